//! The command line.

use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

use backfence_client::UserId;
use backfence_process::{Address, KeyArgs, LogArgs};
use clap::{Parser, Subcommand, ValueEnum, builder::FalseyValueParser};

use crate::{ask::Ask, import::SESSIONS, plain::parse_user, up::Up};

/// Rates movies with Backfence. Without a command, asks what to do until `quit`.
///
/// The same commands work at its prompt, where `help` lists them, and in a script of
/// one command a line: `backfence - < FILE`.
#[derive(Debug, Parser)]
#[command(
    name = "backfence",
    version,
    after_help = AFTER_HELP,
    // Lines about the registry and the like would stand between the answers.
    mut_arg("level", |level| level.default_value("warn")),
    mut_arg("cluster_key", |key| key.global(true).help(KEY_HELP).long_help(KEY_HELP))
)]
pub struct Args {
    /// The registry that knows the front ends.
    #[arg(
        long,
        env = "BACKFENCE_REGISTRY",
        default_value = "http://127.0.0.1:7400",
        value_name = "URL",
        global = true
    )]
    pub(crate) registry: Address,
    /// A front end to use instead of those that the registry knows. May be given
    /// several times, or several with commas between.
    #[arg(
        long = "frontend",
        env = "BACKFENCE_FRONTEND",
        value_delimiter = ',',
        value_name = "URL",
        global = true
    )]
    pub(crate) front_ends: Vec<Address>,
    /// Your user ID, a number.
    #[arg(long, env = "BACKFENCE_USER", value_name = "ID", value_parser = parse_user, global = true)]
    pub(crate) user: Option<UserId>,
    /// Continue the session in this file, and save it there: a command sees what the one
    /// before has written.
    #[arg(long, env = "BACKFENCE_SESSION", value_name = "FILE", global = true)]
    pub(crate) session: Option<PathBuf>,
    /// How long a request may take, retries included, and how long to look for a front end
    /// before it. [default: 2s, and 10s to look]
    #[arg(long, env = "BACKFENCE_TIMEOUT", value_name = "TIME", value_parser = parse_timeout, global = true)]
    pub(crate) timeout: Option<Duration>,
    /// How many servers must have an update before the answer, which names them. If too few
    /// have it in time, the update still counts, and the exit code is 6.
    #[arg(long, env = "BACKFENCE_COPIES", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub(crate) copies: u32,
    /// Print answers as JSON objects, one a line. The same as `-w json`.
    #[arg(long, global = true, conflicts_with = "answers")]
    pub(crate) json: bool,
    /// How to print answers: by default tables have frames on a terminal only.
    #[arg(short = 'w', long = "write-out", value_name = "FORMAT", global = true)]
    pub(crate) answers: Option<Format>,
    /// No colors. NO_COLOR in the environment does the same.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Do not save what is typed at the prompt.
    #[arg(long, env = "BACKFENCE_NO_HISTORY", value_parser = FalseyValueParser::new())]
    pub(crate) no_history: bool,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const KEY_HELP: &str = "The cluster's secret, a file, for what operators do: change, members, \
digest, log, at-risk, gossip, retire. By default that of a cluster which `backfence up` runs on this machine";

const AFTER_HELP: &str = "\
Examples:
  backfence
  backfence --user 1 rate Toy Story 4.5
  backfence --user 1 view '#1'
  backfence search story --genre comedy --year 1995
  backfence --user 1 ratings --limit 10
  backfence top --genre drama --min-ratings 50
  backfence status --watch
  backfence members
  backfence at-risk
  backfence digest
  backfence log 1 --limit 5
  backfence --user 1 --copies 2 rate Toy Story 4.5
  backfence --json average 'toy story (1995)'
  backfence --session mine --user 1 delete Toy Story
  backfence --user 1 - --keep-going < commands
  backfence import mine.csv
  backfence export > ratings.csv
  backfence completions bash > backfence.bash
  backfence man --output man1

At the prompt, Tab completes commands and titles, `help rate` says more about a command,
Ctrl-C gives up a request, and Ctrl-D leaves. A title may be in any letter case, with or
without its year, or # and the movie's id; if several movies match you can choose, and if
none does, similar ones are shown. To continue an interrupted import, run the same command
again.

Exit codes: 0 done, 1 internal, 2 usage, 3 not found, 4 ambiguous or refused, 5 unavailable,
6 out of time or copies not met, 7 outcome unknown, 130 interrupted.";

/// How answers are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Sentences, and tables as plain columns.
    Simple,
    /// Sentences, and tables with frames.
    Table,
    /// JSON objects, one a line.
    Json,
}

/// What the program can do in one go.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Ask(Ask),
    /// Run the commands on standard input, one per line.
    ///
    /// Blank lines and lines that begin with # are skipped. Put words with
    /// blanks in double quotes. Stops at the first command that fails, and ends with its
    /// exit code.
    #[command(name = "script", alias = "-")]
    Script {
        /// Go on after a command that fails. The exit code is that of the first failure.
        #[arg(long)]
        keep_going: bool,
    },
    /// Import the ratings in a CSV file of `userId,movieId,rating` rows.
    ///
    /// Progress is saved beside the file, in FILE.progress: after an interruption the
    /// same command continues, and no rating is sent twice. A row
    /// that makes no sense is named and skipped.
    Import {
        /// A CSV file with a header that begins with userId,movieId,rating.
        file: PathBuf,
        /// How many sessions send at once.
        #[arg(long, default_value_t = SESSIONS, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
        sessions: u16,
    },
    /// Write all current ratings as MovieLens CSV, sorted by user and movie.
    Export {
        /// A file to write instead of standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Start a registry, servers and a front end on this machine, and a client.
    ///
    /// When the client ends, all that was started is stopped. Ratings are kept: the next
    /// start goes on with them.
    #[command(
        after_help = "Examples:\n  backfence up --replicas 5\n  backfence up --data ml-latest-small --fresh"
    )]
    Up(Up),
    /// Print the completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write those of all commands.
    Man {
        /// A folder for the pages of all commands.
        #[arg(long, short, value_name = "FOLDER")]
        output: Option<PathBuf>,
    },
}

impl Args {
    /// How answers are printed on stdout.
    pub(crate) fn format(&self) -> Format {
        match self.answers {
            _ if self.json => Format::Json,
            Some(format) => format,
            None if std::io::stdout().is_terminal() => Format::Table,
            None => Format::Simple,
        }
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 2s or 500ms"))?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(600);
    if allowed.contains(&time) {
        Ok(time)
    } else {
        Err("a request may take from 100ms to 10min".to_owned())
    }
}
