//! Finding programs, and running one to its end.

use std::{
    env::{self, consts::EXE_SUFFIX},
    net::TcpListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::process::Process;

/// What a program did.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it logged.
    pub stderr: String,
}

/// The program of this name that was built with the one that runs now: it is
/// looked for beside that, and in the folders above.
///
/// # Errors
///
/// If there is none; the message says how to build it.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let running = env::current_exe().context("cannot tell where the running program is")?;
    let file = format!("{name}{EXE_SUFFIX}");
    // A test is `target/PROFILE/deps/TEST`, a program `target/PROFILE/PROGRAM`.
    for folder in running.ancestors().skip(1).take(2) {
        let candidate = folder.join(&file);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    let release = running
        .components()
        .any(|part| part.as_os_str() == "release");
    let flag = if release { " --release" } else { "" };
    bail!(
        "there is no {file} near {}; run `cargo build --workspace{flag}` first",
        running.display()
    )
}

/// Runs a program of ours to its end, on `input`.
///
/// # Errors
///
/// If it cannot be started, or does not end within the limit; then it is killed.
pub fn run(name: &str, args: &[&str], input: &[u8], limit: Duration) -> anyhow::Result<Finished> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
    let program = program(name)?;
    let mut process = Process::start(name, &program, &args, input, folder.path())?;
    let status = process.wait(Instant::now() + limit)?;
    Ok(Finished {
        code: status.code(),
        stdout: process.stdout.text(),
        stderr: process.stderr.text(),
    })
}

/// A port that is free on this machine, as is the next one, for those who are given both.
///
/// # Panics
///
/// If there is none.
pub fn two_free_ports() -> u16 {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).ok();
    let found = (0..1000).find_map(|_| {
        let port = free(0)?.local_addr().ok()?.port();
        let next = port.checked_add(1)?;
        (next < u16::MAX && free(next).is_some()).then_some(port)
    });
    found.expect("two ports are free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_said_how_to_build() {
        let error = program("backfence-nothing").expect_err("no such program");
        let error = error.to_string();
        assert!(error.contains("cargo build --workspace"), "{error}");
        assert!(error.contains("backfence-nothing"), "{error}");
    }
}
