//! Measures Backfence against the bare wire.
//!
//! It states what it measured and asserts nothing about times: they depend on the
//! machine. It fails when it cannot measure.

mod all;
mod bare;
mod base;
mod burst;
mod dataset;
mod drive;
mod etcd;
mod gossip;
mod hop;
mod import;
mod invent;
mod limit;
mod link;
mod load;
mod memory;
mod overload;
#[cfg(unix)]
mod prompt;
mod propagate;
mod report;
mod skew;
mod start;
mod update_cost;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Backfence on this machine.
///
/// Build with `cargo build --release --workspace` first: the programs that stand
/// beside this one are measured.
#[derive(Parser)]
#[command(name = "backfence-bench", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Requests a second and their latency through one front end, beside the limit
    /// that the bare wire sets.
    Load(load::Args),
    /// Requests a second that bare servers do, in three shapes.
    Limit(limit::Args),
    /// The time from the acknowledgement of an update until every replica shows it.
    Propagate(propagate::Args),
    /// What a view waits for while a burst of updates arrives at the replica asked.
    Burst(burst::Args),
    /// What gossip costs the core and the wire.
    Gossip(gossip::Args),
    /// Everything, as a table with the goals, and JSON beside it. It takes some minutes.
    All(all::Args),
    /// The time from launch until everything is ready.
    Start(start::Args),
    /// The memory that each replica takes with a data set.
    Memory(memory::Args),
    /// The cost of an update after few others and after many.
    UpdateCost(update_cost::Args),
    /// What remains of the throughput when twice as much is offered as one replica with a
    /// slow disk can carry.
    Overload(overload::Args),
    /// Ratings a second by `backfence import`, beside those by `load`.
    Import(import::Args),
    /// The time from launch until the terminal client asks for something.
    #[cfg(unix)]
    Prompt(prompt::Args),
    /// The time to make the base of a data set, to open it, and to look things up in it.
    Base(base::Args),
    /// Write a data set in MovieLens format, of any size.
    Dataset(dataset::Args),
    /// The server behind the bare front: used by `load`.
    #[command(hide = true)]
    BareBack,
    /// The server in front, as bare as can be: used by `load`.
    #[command(hide = true)]
    BareFront(bare::FrontArgs),
}

fn main() -> ExitCode {
    let Args { command, json } = Args::parse();
    match run(command, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, json: bool) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("note: this is a debug build; measure with --release");
    }
    match command {
        Command::Load(args) => report::show(&load::run(&args)?, json),
        Command::Limit(args) => report::show(&limit::run(&args)?, json),
        Command::Propagate(args) => report::show(&propagate::run(&args)?, json),
        Command::Burst(args) => report::show(&burst::run(&args)?, json),
        Command::Gossip(args) => report::show(&gossip::run(&args)?, json),
        Command::All(args) => report::show(&all::run(&args)?, json),
        Command::Start(args) => report::show(&start::run(&args)?, json),
        Command::Memory(args) => report::show(&memory::run(&args)?, json),
        Command::UpdateCost(args) => report::show(&update_cost::run(&args)?, json),
        Command::Base(args) => report::show(&base::run(&args)?, json),
        Command::Dataset(args) => report::show(&dataset::run(&args)?, json),
        Command::Overload(args) => report::show(&overload::run(&args)?, json),
        Command::Import(args) => report::show(&import::run(&args)?, json),
        #[cfg(unix)]
        Command::Prompt(args) => report::show(&prompt::run(&args)?, json),
        Command::BareBack => bare::back(),
        Command::BareFront(args) => bare::front(args),
    }
}
