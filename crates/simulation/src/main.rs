//! The program `backfence-simulate`.

mod done;

use std::{
    ops::Range,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use backfence_simulation::{Plan, picture, run, shrink};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::done::{Batch, Done};

/// Seeds that are run, counted and written down together.
const BATCH: u64 = 250;

/// Runs whole clusters of the protocol core, message by message, and checks what
/// Backfence promises after every step.
///
/// Each seed is one run, the same every time: requests, retries, packets lost,
/// doubled and reordered, links cut, clocks that jump, replicas that die, lose
/// their disks, come back and join, front ends that come and go. Then the faults
/// end, and everything has to come to rest.
///
/// Ends with 0 when every promise held; with 1 at the first that broke, after the
/// shortest run that breaks it, as a picture; with 2 for a wrong command line.
#[derive(Parser)]
#[command(name = "backfence-simulate", version)]
struct Args {
    /// The seeds to run, such as 0..1000
    #[arg(long, value_name = "A..B", default_value = "0..1000", value_parser = seeds)]
    seeds: Range<u64>,
    /// How many seeds to run at once
    #[arg(long, value_name = "N", default_value_t = default_jobs())]
    jobs: usize,
    /// Write down what is done, and leave out what is written down there
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Run programs of two versions: each life of a replica draws one, and some updates need
    /// the newer
    #[arg(long)]
    versions: bool,
    /// Draw the run of the first seed, whether or not it breaks a promise
    #[arg(long)]
    draw: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match simulate(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Makes the plan of a seed.
type Make = fn(u64) -> Plan;

fn simulate(args: &Args) -> anyhow::Result<bool> {
    let make: Make = match args.versions {
        true => Plan::mixed,
        false => Plan::from_seed,
    };
    if args.draw {
        println!("{}", picture(&make(args.seeds.start)).1);
    }
    let mut done = Done::new(args.versions);
    if let Some(path) = &args.resume {
        done.open(path)?;
    }
    let batches: Vec<_> = batches(&args.seeds)
        .filter(|batch| !done.has(batch))
        .collect();
    let progress = ProgressBar::new(batches.len() as u64 * BATCH).with_style(style());
    let start = Instant::now();
    let failed = run_all((make, &batches), args.jobs.max(1), &progress, &mut done)?;
    progress.finish_and_clear();
    if let Some(seed) = failed {
        explain(make, seed);
        return Ok(false);
    }
    println!("{}", summary(&args.seeds, &done, start.elapsed(), &batches));
    Ok(true)
}

/// Runs the batches on `jobs` threads. Gives the first seed seen to fail.
fn run_all(
    (make, batches): (Make, &[Range<u64>]),
    jobs: usize,
    progress: &ProgressBar,
    done: &mut Done,
) -> anyhow::Result<Option<u64>> {
    let queue = Mutex::new(batches.iter());
    let stop = AtomicBool::new(false);
    let outcome = Mutex::new((done, Ok(None)));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let Some(seeds) = queue.lock().expect("no thread panics").next() else {
                        return;
                    };
                    let ran = run_batch(make, seeds.clone(), progress);
                    let mut outcome = outcome.lock().expect("no thread panics");
                    let (done, result) = &mut *outcome;
                    let ended = match ran {
                        Ok(batch) => done.add(batch).map(|()| None),
                        Err(seed) => Ok(Some(seed)),
                    };
                    if !matches!(ended, Ok(None)) {
                        *result = ended;
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    outcome.into_inner().expect("no thread panics").1
}

fn run_batch(make: Make, seeds: Range<u64>, progress: &ProgressBar) -> Result<Batch, u64> {
    let mut batch = Batch::new(&seeds);
    for seed in seeds {
        match run(&make(seed)) {
            Ok(report) => batch.add(&report),
            Err(_) => return Err(seed),
        }
        progress.inc(1);
    }
    Ok(batch)
}

fn explain(make: Make, seed: u64) {
    let plan = make(seed);
    let shortest = shrink(&plan);
    let (result, picture) = picture(&shortest);
    println!("seed {seed} breaks a promise.");
    if let Err(violation) = result {
        println!("{violation}");
    }
    println!(
        "{} of {} steps are enough; {} replicas, {} sessions:\n",
        shortest.steps.len(),
        plan.steps.len(),
        plan.replicas,
        plan.sessions
    );
    for step in &shortest.steps {
        println!("  {step:?}");
    }
    println!("\n{picture}");
}

fn summary(seeds: &Range<u64>, done: &Done, took: Duration, ran: &[Range<u64>]) -> String {
    let (total, invalid) = done.total(seeds);
    let here: u64 = ran.iter().map(|batch| batch.end - batch.start).sum();
    format!(
        "seeds {}..{}: no promise broken, {invalid} invalid; {} operations, {} faults, {} steps \
         ({here} seeds run here in {:.1} s); {total}",
        seeds.start,
        seeds.end,
        total.operations(),
        total.faults(),
        total.steps,
        took.as_secs_f64(),
    )
}

/// The seeds in batches that do not depend on where the range begins.
fn batches(seeds: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let seeds = seeds.clone();
    (seeds.start / BATCH..seeds.end.div_ceil(BATCH)).map(move |number| {
        let batch = number * BATCH..(number + 1) * BATCH;
        batch.start.max(seeds.start)..batch.end.min(seeds.end)
    })
}

fn seeds(text: &str) -> anyhow::Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("write it as 0..1000")?;
    let range = from.parse().context("no first seed")?..to.parse().context("no end")?;
    anyhow::ensure!(range.start < range.end, "there is no seed in {text}");
    Ok(range)
}

fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos}/{len} seeds, {per_sec}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use backfence_simulation::Report;

    use super::*;

    #[test]
    fn batches_cover_the_seeds_once() {
        let all = |seeds: Range<u64>| batches(&seeds).collect::<Vec<_>>();
        assert_eq!(all(0..500), [0..250, 250..500]);
        assert_eq!(all(10..260), [10..250, 250..260]);
        assert_eq!(all(300..510), [300..500, 500..510]);
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(seeds("3..9").ok(), Some(3..9));
        for wrong in ["", "3", "3..", "..9", "9..3", "3..3", "a..b", "-1..4"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reports_add_up() {
        let mut batch = Batch::new(&(0..2));
        let report = Report {
            updates: 2,
            dropped: 3,
            ..Report::default()
        };
        batch.add(&report);
        batch.add(&report);
        let mut done = Done::new(false);
        done.add(batch).expect("nothing is written");
        let (total, invalid) = done.total(&(0..2));
        assert_eq!((total.operations(), total.faults(), invalid), (4, 6, 2));
    }
}
