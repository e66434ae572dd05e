//! One running program.

use std::{
    io::Write as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use crate::capture::Capture;

/// How long a program may take to stop where it is, after `kill -STOP`.
const STOPPING: Duration = Duration::from_secs(5);

/// A program with its output captured. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    /// As errors call it, and its files are named: `server2`.
    name: String,
    child: Child,
    pub(crate) stdout: Capture,
    pub(crate) stderr: Capture,
}

/// The signals that are sent here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Kill,
    Terminate,
    Stop,
    Continue,
}

impl Process {
    /// Starts a program that reads `input` and then finds the end of it. Its
    /// output goes to `NAME.out` and `NAME.err` in the folder.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        args: &[String],
        input: &[u8],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(args)
            // What is set outside must not leak in; a test says what it wants.
            .env_clear()
            .envs(std::env::vars_os().filter(|(key, _)| !is_ours(key)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let pipes = (child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = pipes else {
            bail!("{name} was started without its pipes");
        };
        let file = |ending| folder.join(format!("{name}.{ending}"));
        let process = Self {
            name: name.to_owned(),
            stdout: Capture::start(stdout, &file("out"))?,
            stderr: Capture::start(stderr, &file("err"))?,
            child,
        };
        process.feed(input.to_owned())
    }

    /// A program may end, or print much, before it has read all of its input.
    fn feed(mut self, input: Vec<u8>) -> anyhow::Result<Self> {
        let mut stdin = self.child.stdin.take().context("no pipe to write to")?;
        thread::spawn(move || stdin.write_all(&input));
        Ok(self)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stdout.
    pub(crate) fn wait_for_line<T>(
        &self,
        what: &str,
        deadline: Instant,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        self.stdout
            .wait_for(deadline, wanted)
            .with_context(|| self.trouble(&format!("did not print `{what}`")))
    }

    /// Waits for a line on stderr.
    pub(crate) fn wait_for_log<T>(
        &self,
        what: &str,
        deadline: Instant,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        self.stderr
            .wait_for(deadline, wanted)
            .with_context(|| self.trouble(&format!("did not log `{what}`")))
    }

    /// Waits until the program has ended. Its last output has been read then.
    pub(crate) fn wait(&mut self, deadline: Instant) -> anyhow::Result<ExitStatus> {
        ensure!(
            self.stdout.wait_until_closed(deadline) && self.stderr.wait_until_closed(deadline),
            self.trouble("did not end in time")
        );
        let waiting = self.child.wait();
        waiting.with_context(|| format!("cannot wait for {}", self.name))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn send(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.id().to_string();
        let sent = Command::new("kill")
            .args([signal.flag(), &id])
            .stderr(Stdio::null())
            .status()
            .context("cannot run the kill command")?;
        ensure!(sent.success(), self.trouble("is not there any more"));
        if matches!(signal, Signal::Stop) {
            self.wait_until_stopped();
        }
        Ok(())
    }

    /// The sentence with the end of both outputs.
    pub(crate) fn trouble(&self, sentence: &str) -> String {
        let Self {
            name,
            stdout,
            stderr,
            ..
        } = self;
        format!("{name} {sentence}\n{}{}", stdout.tail(), stderr.tail())
    }

    /// The signal takes effect a little after it was sent. Where there is no
    /// `/proc` that cannot be seen, and is left out.
    fn wait_until_stopped(&self) {
        let deadline = Instant::now() + STOPPING;
        let stat = format!("/proc/{}/stat", self.id());
        while let Ok(stat) = std::fs::read_to_string(&stat) {
            let state = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.chars().next());
            if state == Some('T') || Instant::now() > deadline {
                return;
            }
            thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Signal {
    const fn flag(self) -> &'static str {
        match self {
            Self::Kill => "-KILL",
            Self::Terminate => "-TERM",
            Self::Stop => "-STOP",
            Self::Continue => "-CONT",
        }
    }
}

fn is_ours(key: &std::ffi::OsStr) -> bool {
    key.to_string_lossy().starts_with("BACKFENCE_")
}
