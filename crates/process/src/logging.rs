//! Logs, on stderr.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Libraries below us that would drown our own lines.
const NOISY: [&str; 6] = ["h2", "hyper", "hyper_util", "tokio", "tonic", "tower"];

/// What is logged and how. For `#[command(flatten)]`.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Minimum log level; logs go to stderr.
    #[arg(
        long = "log",
        env = "BACKFENCE_LOG",
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Logs"
    )]
    pub level: LogLevel,
    /// Lines for people, or one JSON object a line.
    #[arg(
        long = "log-format",
        env = "BACKFENCE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "human",
        help_heading = "Logs"
    )]
    pub format: LogFormat,
}

/// How important a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogLevel {
    /// Nothing is logged.
    Off,
    /// What needs action.
    Error,
    /// What may need action.
    Warn,
    /// What changed.
    Info,
    /// Each request.
    Debug,
    /// Each step.
    Trace,
}

/// How a line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people; coloured on a terminal, unless `NO_COLOR` is set.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogArgs {
    /// Starts logging on stderr. A second call, as tests make, changes nothing.
    pub fn init(&self) {
        self.init_into(io::stderr, wants_colour());
    }

    /// Starts logging to where it is told, as for a program whose screen is in use.
    pub fn init_into<W>(&self, writer: W, colour: bool)
    where
        W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
    {
        let level = LevelFilter::from(self.level);
        let noisy = NOISY.map(|target| (target, level.min(LevelFilter::WARN)));
        let filter = Targets::new().with_default(level).with_targets(noisy);
        let lines = fmt::layer()
            .with_writer(writer)
            // It would report them by a macro that panics when stderr is closed.
            .log_internal_errors(false);
        let lines = match self.format {
            LogFormat::Human => lines.with_ansi(colour).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let _ = tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .try_init();
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// By <https://no-color.org>: any value but an empty one says no.
fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
}
