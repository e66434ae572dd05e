//! Programs of ours that run beside this one.

use std::{
    env::{self, consts::EXE_SUFFIX},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backfence_process::{CancellationToken, Exit, Failure};
use tokio::{
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::folder::log;

/// How long a program may take until it is ready.
const READY: Duration = Duration::from_secs(30);
/// How often its log is looked at until then.
const LOOK: Duration = Duration::from_millis(20);
/// How long one that was asked to end may take; then it is killed.
const END: Duration = Duration::from_secs(10);
/// How long one that has ended by itself stays so before it is started again.
const AGAIN: Duration = Duration::from_secs(1);
/// So many last lines of a log are shown.
const TAIL: usize = 20;

/// A program to be started.
#[derive(Debug)]
pub(super) struct Server {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    /// How the line begins that says that it is ready.
    ready: &'static str,
}

impl Server {
    /// # Errors
    ///
    /// A [`Failure`] where the program is not beside this one.
    pub(super) fn new(
        folder: &Path,
        name: &str,
        program: &str,
        ready: &'static str,
        args: &[&str],
    ) -> anyhow::Result<Self> {
        let file = env::current_exe()?.with_file_name(format!("{program}{EXE_SUFFIX}"));
        if !file.is_file() {
            let sentence = format!(
                "there is no {}; build all programs with `cargo build --release --workspace`",
                file.display()
            );
            return Err(Failure::new(Exit::NotFound, sentence).into());
        }
        Ok(Self {
            name: name.to_owned(),
            program: file,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            log: folder.join(format!("{name}.log")),
            ready,
        })
    }

    /// Starts it in a process group of its own, so that Ctrl-C in this terminal does not
    /// reach it. What is set for this program in the environment is not for that one.
    fn spawn(&self, log: &File) -> io::Result<Child> {
        let ours = |name: &std::ffi::OsStr| {
            let name = name.to_string_lossy();
            name.starts_with("BACKFENCE_") && !name.starts_with("BACKFENCE_LOG")
        };
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(env::vars_os().filter(|(name, _)| !ours(name)))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        #[cfg(windows)]
        command.creation_flags(0x0000_0200); // CREATE_NEW_PROCESS_GROUP
        command.spawn()
    }

    /// Waits for its end, and starts it again where that is wanted, until it is to stop.
    async fn run(
        self,
        mut child: Child,
        log: File,
        again: Arc<AtomicBool>,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return end(child).await,
                _ = child.wait() => {}
            }
            if !again.load(Ordering::Relaxed) {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(AGAIN) => {}
            }
            match self.spawn(&log) {
                Ok(started) => child = started,
                Err(error) => return tracing::warn!(%error, "cannot start {} again", self.name),
            }
        }
    }
}

async fn end(mut child: Child) {
    #[cfg(unix)]
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        use rustix::process::{Pid, Signal, kill_process};
        // It may have ended just now.
        let _ = Pid::from_raw(id).map(|id| kill_process(id, Signal::TERM));
    }
    #[cfg(not(unix))]
    let _ = child.start_kill();
    if timeout(END, child.wait()).await.is_err() {
        // Fails where it has ended by itself, which is as good.
        let _ = child.kill().await;
    }
}

/// The programs that were started.
#[derive(Debug)]
pub(super) struct Running {
    started: Vec<Started>,
    restart: bool,
    /// From when all are ready on, if they are to be started again.
    again: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Started {
    name: String,
    log: PathBuf,
    ready: &'static str,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Running {
    pub(super) fn new(restart: bool) -> Self {
        Self {
            started: Vec::new(),
            restart,
            again: Arc::default(),
        }
    }

    pub(super) fn start(&mut self, server: Server) -> anyhow::Result<()> {
        let cannot = |error: io::Error| {
            Failure::new(
                Exit::Internal,
                format!("cannot start {}: {error}", server.name),
            )
        };
        let file = log(&server.log).map_err(cannot)?;
        let child = server.spawn(&file).map_err(cannot)?;
        let stop = CancellationToken::new();
        self.started.push(Started {
            name: server.name.clone(),
            log: server.log.clone(),
            ready: server.ready,
            stop: stop.clone(),
            running: tokio::spawn(server.run(child, file, Arc::clone(&self.again), stop)),
        });
        Ok(())
    }

    /// Waits until all that were started are ready.
    ///
    /// # Errors
    ///
    /// A [`Failure`] with the end of the log of one that is not, or has ended.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY;
        for started in &self.started {
            while let Err(text) = started.is_ready() {
                let late = Instant::now() > deadline;
                if late || started.running.is_finished() && started.is_ready().is_err() {
                    return Err(started.trouble(late, &text).into());
                }
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Goes on until all have ended by themselves, which they should not.
    pub(super) async fn watch(&mut self) -> Failure {
        self.again.store(self.restart, Ordering::Relaxed);
        for started in &mut self.started {
            // A task that panicked has ended as well.
            let _ = (&mut started.running).await;
        }
        Failure::new(Exit::Unavailable, "all servers have ended; see their logs")
    }

    /// Stops all: the registry, which was first, when the others have said goodbye.
    pub(super) async fn stop(self) {
        let mut started = self.started.into_iter();
        let first = started.next();
        let rest: Vec<_> = started.collect();
        rest.iter().for_each(|started| started.stop.cancel());
        for started in rest.into_iter().chain(first) {
            started.stop.cancel();
            if !started.running.is_finished() {
                let _ = started.running.await;
            }
        }
    }
}

impl Started {
    /// The text of the log where it does not say so.
    fn is_ready(&self) -> Result<(), String> {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        match text.lines().any(|line| line.starts_with(self.ready)) {
            true => Ok(()),
            false => Err(text),
        }
    }

    fn trouble(&self, late: bool, text: &str) -> Failure {
        let lines: Vec<_> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(TAIL)..] {
            super::say(line);
        }
        let (name, log) = (&self.name, self.log.display());
        let sentence = match late {
            true => format!("{name} is not ready after 30 s; the end of {log} is above"),
            false => format!("{name} has ended; the end of {log} is above"),
        };
        Failure::new(Exit::Unavailable, sentence)
    }
}
