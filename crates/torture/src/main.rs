//! `backfence-torture`: a real cluster under faults.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use backfence_process::{Exit, Failure, shutdown_on_signals};
use backfence_torture::{Plan, Ran, Verdict, run};
use clap::Parser;

/// Runs a real Backfence cluster under faults, and checks what its clients saw.
///
/// Starts a registry, replicas with data directories and front ends from the programs beside
/// this one; lets sessions read and write a few ratings while programs are killed, halted
/// and restarted, disks are lost and, as root on Linux, networks are cut; then lets all
/// come to rest, and checks each promise.
///
/// Ends with 0 when all held; with 1 when something did not, or too little happened to tell;
/// with 2 for a wrong command line, or when the cluster cannot be started; with 130 when
/// Ctrl-C ends it before.
#[derive(Parser)]
#[command(name = "backfence-torture", version)]
struct Args {
    /// How long faults are injected; in the first minute each kind comes once
    #[arg(long, value_name = "M", default_value_t = 2.0, value_parser = minutes)]
    minutes: f64,
    /// How many replicas
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=16))]
    replicas: u32,
    /// How many front ends
    #[arg(long, value_name = "F", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    frontends: u32,
    /// Requests a second, on average
    #[arg(long, value_name = "R", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How long after it was made the replicas take an update, in seconds; what is older is
    /// settled, and forgotten
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u32).range(30..=86_400))]
    late: u32,
    /// Have replicas speak the oldest version of the wire or the newest, drawn anew whenever
    /// one starts after a fault, as while a cluster is upgraded and taken back
    #[arg(long)]
    mixed: bool,
    /// Of all that is drawn; the timing still differs from run to run
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Write what sessions saw there, for backfence-check or another checker
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Print the report as one JSON object on one line
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match torture(&args).await {
        Ok(Verdict::Held) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            let code = error.downcast_ref().map(Failure::code);
            code.unwrap_or(Exit::Usage).into()
        }
    }
}

async fn torture(args: &Args) -> anyhow::Result<Verdict> {
    let stop = shutdown_on_signals().context("cannot handle signals")?;
    let stopping = stop.clone();
    tokio::spawn(async move {
        stopping.cancelled().await;
        eprintln!("removing what was started, which takes some seconds");
    });
    let plan = Plan {
        length: Duration::from_secs_f64(args.minutes * 60.0),
        replicas: args.replicas,
        front_ends: args.frontends,
        rate: args.rate,
        late: args.late,
        seed: args.seed.unwrap_or_else(rand::random),
        disks: true,
        mixed: args.mixed,
    };
    eprintln!("seed {}", plan.seed);
    let Ran {
        report,
        history,
        kept,
    } = run(&plan, &stop).await?;
    let mut stdout = std::io::stdout();
    // Who closed the pipe has read enough, and the exit code still tells the verdict.
    let _ = match args.json {
        true => writeln!(stdout, "{}", serde_json::to_string(&report)?),
        false => write!(stdout, "{report}"),
    };
    if let Some(kept) = &kept {
        eprintln!(
            "the cluster's logs and disks are kept in {}",
            kept.display()
        );
    }
    let default = kept.map(|kept| kept.join("history.txt"));
    if let (Some(file), Some(history)) = (args.export.clone().or(default), history) {
        export(&file, &history).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("what sessions saw is in {}", file.display());
    }
    Ok(report.verdict)
}

fn export(file: &Path, history: &backfence_checker::History) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    history.write_to(&mut out)?;
    out.flush()
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.1..=10_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("a run takes from 0.1 to 10000 minutes".to_owned()),
    }
}
