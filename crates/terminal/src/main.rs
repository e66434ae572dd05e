//! `backfence`: rates movies from a terminal, a pipe or a script.

use std::{cell::Cell, process::ExitCode};

use backfence_process::Exit;
use backfence_terminal::Args;

fn main() -> ExitCode {
    // An answer such as "not found" stands on stdout: there is no error to report,
    // only a code.
    let answered = Cell::new(Exit::Done);
    let ended = backfence_process::main(async |args: Args| {
        answered.set(backfence_terminal::run(args).await?);
        Ok(())
    });
    match answered.get() {
        Exit::Done => ended,
        code => code.into(),
    }
}
