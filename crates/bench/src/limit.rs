//! What the bare wire allows.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

use crate::{
    bare::{Bare, Hop},
    drive::{Load, Measured, What, drive},
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sessions at once, one number after the other.
    #[arg(long, value_delimiter = ',', default_value = "1,32,128")]
    pub(crate) sessions: Vec<u32>,
    /// How long each load lasts, in seconds.
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// End a load after so many requests, if that is sooner.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) requests: u64,
}

/// Views of our sizes, answered without a look.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
}

/// With so many sessions.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) sessions: u32,
    /// One unary call.
    pub(crate) one: Measured,
    /// A unary call, and another behind it.
    pub(crate) unary: Measured,
    /// A unary call, and one long-lived stream behind it.
    pub(crate) stream: Measured,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "bare tonic, requests/s (p50 us)")?;
        writeln!(
            f,
            "sessions        one hop         two unary      one and a stream"
        )?;
        for row in &self.rows {
            write!(f, "{:>8}", row.sessions)?;
            for found in [&row.one, &row.unary, &row.stream] {
                write!(
                    f,
                    "  {:>9.0} ({:>6})",
                    found.requests_per_second, found.p50_us
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let rows = args.sessions.iter().map(|&sessions| {
        Ok(Row {
            sessions,
            one: bare(Hop::None, sessions, args)?,
            unary: bare(Hop::Unary, sessions, args)?,
            stream: bare(Hop::Stream, sessions, args)?,
        })
    });
    Ok(Report {
        rows: rows.collect::<anyhow::Result<_>>()?,
    })
}

/// Views by so many sessions over such servers.
pub(crate) fn bare(hop: Hop, sessions: u32, args: &Args) -> anyhow::Result<Measured> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime's threads")?;
    let services = Bare::start(hop)?;
    let load = Load {
        what: What::Views,
        sessions,
        connections: 0,
        rate: None,
        length: Duration::from_secs(args.seconds),
        requests: args.requests,
        movies: Arc::from([1, 2, 3]),
        seed: 1,
    };
    let measured = runtime.block_on(drive(&[services.url().to_owned()], &load))?;
    Ok(Measured {
        histogram: Vec::new(),
        ..measured
    })
}
