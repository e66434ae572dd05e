//! `backfence-check`: judges a recorded history.

mod report;

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use backfence_checker::{History, Unreadable, check};
use clap::Parser;

/// Checks a recorded history for causal consistency with convergence.
///
/// Looks for one order of all writes that extends causality (the order in each session, and
/// from each write to its reads) and explains every read: it returns the last write of its
/// key among those in its causal past. Where there is none, the counterexample is printed as
/// a circle of operations, each of which must come before the next.
#[derive(Parser)]
#[command(name = "backfence-check", version, after_long_help = FORMAT)]
struct Arguments {
    /// The history, one operation a line; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the verdict as one JSON object on one line
    #[arg(long)]
    json: bool,
}

const FORMAT: &str = "\
The history has one operation a line, each session's in its order:

  w(KEY,VALUE,SESSION,TXN)   a write of VALUE to KEY
  r(KEY,VALUE,SESSION,TXN)   a read of KEY that returned VALUE

All are unsigned numbers of at most 64 bits. VALUE 0 is the initial value and never written;
a value is written to a key at most once; TXN is unique in the file. Blank lines and lines
that start with # are skipped. A line has at most 4096 bytes, and operations times sessions
are at most 2^30.

Exit codes: 0 consistent, 1 not consistent, 2 cannot be read (also wrong usage).";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (text, code) = match read(&arguments.file) {
        Ok(history) => {
            let verdict = check(&history);
            let code = u8::from(verdict.is_err());
            let report = if arguments.json {
                report::json(&history, &verdict)
            } else {
                report::text(&history, &verdict)
            };
            (report, code)
        }
        Err(unreadable) => {
            let file = name(&arguments.file);
            eprintln!("{}", report::refusal(&file, &unreadable));
            if !arguments.json {
                return ExitCode::from(2);
            }
            (report::unreadable(&file, &unreadable), 2)
        }
    };
    // Who closed the pipe has read enough, and the exit code still tells the verdict.
    if let Err(error) = writeln!(io::stdout(), "{text}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        eprintln!("backfence-check: the verdict (exit code {code}) cannot be printed: {error}");
    }
    ExitCode::from(code)
}

fn read(file: &Path) -> Result<History, Unreadable> {
    if file == Path::new("-") {
        return History::parse(io::stdin().lock());
    }
    let opened = File::open(file).map_err(|error| Unreadable {
        line: 1,
        problem: error.into(),
    })?;
    History::parse(BufReader::with_capacity(1 << 16, opened))
}

fn name(file: &Path) -> String {
    if file == Path::new("-") {
        return "<stdin>".to_owned();
    }
    file.display().to_string()
}
