//! `backfence-network`: the real servers and clients in a simulated network, by seeds.

use std::{
    collections::BTreeMap,
    ops::Range,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use backfence_torture::{Operations, simulate};
use clap::Parser;

/// Runs the real servers and clients of Backfence in a simulated network, in simulated
/// time: links cut, cut one way and held, connections reset, programs crashed.
///
/// A seed decides what goes wrong. Judged by what the sessions saw; ends with
/// 0 when every promise held, with 1 when one broke, with 2 for a wrong command line.
#[derive(Parser)]
#[command(name = "backfence-network", version)]
struct Args {
    /// The seeds to run, such as 0..2000
    #[arg(long, value_name = "A..B", default_value = "0..20", value_parser = seeds)]
    seeds: Range<u64>,
    /// How many seeds to run at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
}

#[derive(Default)]
struct Sum {
    runs: u64,
    invalid: u64,
    operations: Operations,
    faults: BTreeMap<&'static str, u64>,
    simulated_ms: u64,
    broken: BTreeMap<u64, String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let next = AtomicU64::new(args.seeds.start);
    let sum = Mutex::new(Sum::default());
    thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= args.seeds.end {
                        break;
                    }
                    let simulated = simulate(seed);
                    sum.lock().expect("no thread panics").add(seed, simulated);
                }
            });
        }
    });
    let sum = sum.into_inner().expect("no thread panics");
    for (seed, why) in &sum.broken {
        println!("seed {seed} breaks a promise: {why}");
    }
    let Sum {
        runs,
        invalid,
        operations,
        faults,
        simulated_ms,
        broken,
    } = sum;
    println!(
        "seeds {}..{}: {} broken, {invalid} of {runs} invalid; {} s simulated",
        args.seeds.start,
        args.seeds.end,
        broken.len(),
        simulated_ms / 1000
    );
    print!("{operations}");
    println!("faults");
    for (kind, count) in faults {
        println!("  {count:>9} {kind}");
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}

impl Sum {
    fn add(&mut self, seed: u64, simulated: anyhow::Result<backfence_torture::Simulated>) {
        self.runs += 1;
        match simulated {
            Ok(simulated) => {
                self.invalid += u64::from(!simulated.is_valid());
                self.operations += simulated.operations;
                self.simulated_ms += simulated.simulated_ms;
                for (kind, count) in simulated.faults {
                    *self.faults.entry(kind).or_default() += count;
                }
            }
            Err(why) => {
                self.broken.insert(seed, format!("{why:#}"));
            }
        }
    }
}

fn seeds(text: &str) -> anyhow::Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("write it as 0..2000")?;
    let range = from.parse().context("no first seed")?..to.parse().context("no end")?;
    anyhow::ensure!(range.start < range.end, "there is no seed in {text}");
    Ok(range)
}
