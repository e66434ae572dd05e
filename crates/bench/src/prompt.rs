//! How long the terminal client takes until somebody can type.

use std::{
    fmt,
    fs::File,
    io::{ErrorKind, Read as _},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, bail};
use backfence_cluster::{Cluster, program};
use rustix::{
    fs::{Mode, OFlags},
    io::{FdFlags, fcntl_setfd},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde::Serialize;

use crate::report::{Data, median};

const PROMPT: &[u8] = b"Enter your user ID: ";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: Data,
    /// How often to start the client.
    #[arg(long, default_value_t = 21)]
    runs: usize,
    /// The number of replicas.
    #[arg(long, default_value_t = 3)]
    replicas: u32,
}

/// From the launch of the client, in a terminal of its own, until it has asked for
/// the user; the cluster is there.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    median_ms: f64,
    fastest_ms: f64,
    slowest_ms: f64,
    runs: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median_ms,
            fastest_ms,
            slowest_ms,
            runs,
        } = self;
        writeln!(f, "from launch until the first prompt, {runs} runs")?;
        writeln!(f, "median    {median_ms:>7.1} ms")?;
        writeln!(f, "fastest   {fastest_ms:>7.1} ms")?;
        writeln!(f, "slowest   {slowest_ms:>7.1} ms")
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let builder = Cluster::builder().replicas(args.replicas);
    let cluster = builder.data(args.data.folder()?).start()?;
    let times: Vec<_> = (0..args.runs)
        .map(|_| once(&cluster))
        .collect::<Result<_, _>>()?;
    Ok(Report {
        median_ms: median(times.clone()).context("--runs has to be at least 1")?,
        fastest_ms: times.iter().copied().fold(f64::INFINITY, f64::min),
        slowest_ms: times.iter().copied().fold(0.0, f64::max),
        runs: args.runs,
    })
}

fn once(cluster: &Cluster) -> anyhow::Result<f64> {
    let state = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (mut screen, keyboard) = terminal().context("cannot make a pseudo-terminal")?;
    let stdio = || keyboard.try_clone().map(Stdio::from);
    let mut command = Command::new(program("backfence")?);
    command
        .args(["--registry", &cluster.registry()])
        .env_remove("BACKFENCE_USER")
        .env_remove("BACKFENCE_FRONTEND")
        .env("TERM", "xterm")
        .env("XDG_STATE_HOME", state.path())
        .stdin(stdio()?)
        .stdout(stdio()?)
        .stderr(stdio()?);
    let launched = Instant::now();
    let mut child = command.spawn().context("cannot start backfence")?;
    // Theirs alone now: who reads learns of their end.
    drop((command, keyboard));
    let seen = wait_for_prompt(&mut screen);
    let time = launched.elapsed().as_secs_f64() * 1e3;
    child.kill().context("cannot end backfence")?;
    child.wait().context("cannot wait for backfence")?;
    seen.map(|()| time)
}

/// Both ends of a new terminal.
fn terminal() -> anyhow::Result<(File, File)> {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    fcntl_setfd(&screen, FdFlags::CLOEXEC)?;
    grantpt(&screen)?;
    unlockpt(&screen)?;
    let name = ptsname(&screen, Vec::new())?;
    let keyboard = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    Ok((screen.into(), keyboard.into()))
}

fn wait_for_prompt(screen: &mut File) -> anyhow::Result<()> {
    let (mut seen, mut part) = (Vec::new(), [0; 1024]);
    loop {
        let read = match screen.read(&mut part) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other,
        };
        match read {
            Ok(read @ 1..) => seen.extend_from_slice(&part[..read]),
            // Linux says that the other end is closed by an error.
            _ => bail!(
                "it ended without a prompt: {}",
                String::from_utf8_lossy(&seen)
            ),
        }
        if seen.windows(PROMPT.len()).any(|seen| seen == PROMPT) {
            return Ok(());
        }
    }
}
