//! `backfence-model`: checks every state of small clusters of the protocol core.

use std::{
    io::{Write, stdout},
    panic,
    process::ExitCode,
};

use anyhow::{Context, bail};
use backfence_model::{Setup, check};
use clap::Parser;

/// Checks every state of small clusters of the protocol core.
///
/// Exits 0 when everything holds, and 1 when a promise can be broken; then it prints
/// a shortest way to break it.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configurations to check; all when none is named.
    names: Vec<String>,

    /// Print the configurations and check nothing.
    #[arg(long)]
    list: bool,

    /// Check only those that take seconds.
    #[arg(long)]
    small: bool,

    /// Threads; a search that is bounded in depth uses one.
    #[arg(long, default_value_t = 2)]
    threads: usize,

    /// Search only to this many steps from the start.
    #[arg(long)]
    depth: Option<usize>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    // A panic of the core is a finding, and told with the steps that led to it.
    panic::set_hook(Box::new(|_| {}));
    let mut verdict = ExitCode::SUCCESS;
    for setup in chosen(&arguments)? {
        if arguments.list {
            print(&format!("{setup}\n"))?;
            continue;
        }
        let outcome = check(&setup, arguments.threads);
        print(&outcome.to_string())?;
        if !outcome.holds() {
            verdict = ExitCode::FAILURE;
        }
    }
    Ok(verdict)
}

fn chosen(arguments: &Arguments) -> anyhow::Result<Vec<Setup>> {
    let mut setups = Setup::small();
    if !arguments.small {
        setups.extend(Setup::large());
    }
    for name in &arguments.names {
        if !setups.iter().any(|setup| setup.name == name) {
            bail!("there is no configuration {name}; --list prints those that there are");
        }
    }
    let named = |setup: &Setup| {
        arguments.names.is_empty() || arguments.names.iter().any(|name| name == setup.name)
    };
    setups.retain(named);
    for setup in &mut setups {
        setup.depth = arguments.depth.or(setup.depth);
    }
    Ok(setups)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
