//! Measures the check of 1,000,000 operations of 32 sessions.
//!
//! `cargo run --release -p backfence-checker --example million [FILE]`; the history is
//! also written to FILE, if given, so that `backfence-check` can be measured with it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::time::Instant;

use backfence_checker::{HistoryBuilder, check};

#[path = "../tests/support/store.rs"]
mod store;

fn main() -> std::io::Result<()> {
    let load = store::Load {
        operations: 1_000_000,
        sessions: 32,
        replicas: 16,
        keys: 1000,
        seed: 1,
    };
    let start = Instant::now();
    let mut builder = HistoryBuilder::default();
    store::run(&load, |operation| {
        builder
            .push(operation)
            .expect("the store numbers operations and values");
    });
    let history = builder.finish();
    println!(
        "made in {:.2?}, peak memory {}",
        start.elapsed(),
        peak_memory()
    );
    if let Some(file) = std::env::args_os().nth(1) {
        let mut out = BufWriter::new(File::create(file)?);
        history.write_to(&mut out)?;
        out.flush()?;
    }
    let start = Instant::now();
    let verdict = check(&history);
    println!(
        "checked in {:.2?}, peak memory {}",
        start.elapsed(),
        peak_memory()
    );
    println!("{verdict:?}");
    Ok(())
}

/// The most memory that the process had so far, as Linux tells it.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or("unknown: no Linux".to_owned(), |peak| {
        peak.trim().to_owned()
    })
}
