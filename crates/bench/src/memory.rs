//! How much memory each replica takes.

use std::{fmt, fs, path::PathBuf};

use anyhow::Context as _;
use backfence_cluster::{Cluster, Role};
use backfence_ratings::{Base, Making};
use serde::Serialize;

use crate::report::Data;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) data: Data,
    /// The number of replicas.
    #[arg(long, default_value_t = 3)]
    pub(crate) replicas: u32,
    /// Where the replicas keep what they have and, in `base`, the data they share; it is
    /// left behind. Without it a temporary folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// As soon as all are ready, before any request.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    replicas: Vec<Usage>,
    ratings: usize,
    /// All replicas together, with a page that several share counted once.
    pub(crate) bytes_per_rating: f64,
    /// The same if all of the shared base were in memory, as it is after enough
    /// requests.
    pub(crate) whole_bytes_per_rating: f64,
}

#[derive(Debug, Serialize)]
struct Usage {
    server: u32,
    /// Resident now, in KiB: VmRSS of Linux.
    resident_kib: u64,
    /// The same with shared pages in equal shares: Pss.
    share_kib: u64,
    /// Not of any file: RssAnon.
    own_kib: u64,
    /// The most that was ever resident, in KiB: VmHWM.
    peak_kib: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server   resident MiB   share MiB   own MiB   peak MiB")?;
        let mib = |kib: u64| kib as f64 / 1024.0;
        for usage in &self.replicas {
            let (now, share) = (mib(usage.resident_kib), mib(usage.share_kib));
            let (own, peak) = (mib(usage.own_kib), mib(usage.peak_kib));
            let server = usage.server;
            writeln!(
                f,
                "{server:>6}   {now:>12.1}   {share:>9.1}   {own:>7.1}   {peak:>8.1}"
            )?;
        }
        writeln!(
            f,
            "together {:.1} bytes a rating, {:.1} with all of the base in memory ({} ratings)",
            self.bytes_per_rating, self.whole_bytes_per_rating, self.ratings
        )
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let folder = args.data.folder()?;
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let disks = args.data_dir.as_deref().unwrap_or(temporary.path());
    let making = Making {
        movies: &folder.join("movies.csv"),
        ratings: &folder.join("ratings.csv"),
        strict: false,
        verify: false,
    };
    // Made here, so that no replica has been busy with it.
    let base = Base::keep(&disks.join("base"), &making, |_| {})?;
    let whole = base.file.metadata()?.len();
    let ratings = base.loaded.base.len();
    drop(base);
    let cluster = Cluster::builder()
        .replicas(args.replicas)
        .data(folder)
        .data_dirs_in(disks)
        .start()?;
    let usage = |server| usage(server, cluster.process_id(Role::Replica(server)));
    let replicas: Vec<Usage> = (1..=args.replicas).map(usage).collect::<Result<_, _>>()?;
    let sum = |part: fn(&Usage) -> u64| replicas.iter().map(part).sum::<u64>() as f64 * 1024.0;
    let per_rating = |bytes: f64| bytes / ratings.max(1) as f64;
    Ok(Report {
        bytes_per_rating: per_rating(sum(|usage| usage.share_kib)),
        whole_bytes_per_rating: per_rating(sum(|usage| usage.own_kib) + whole as f64),
        ratings,
        replicas,
    })
}

fn usage(server: u32, process: u32) -> anyhow::Result<Usage> {
    let read = |name| {
        let file = format!("/proc/{process}/{name}");
        fs::read_to_string(&file)
            .with_context(|| format!("cannot read {file}; memory is measured on Linux only"))
    };
    let (status, rollup) = (read("status")?, read("smaps_rollup")?);
    let kib = |text: &str, key| field(text, key).with_context(|| format!("no {key} in /proc"));
    Ok(Usage {
        server,
        resident_kib: kib(&status, "VmRSS:")?,
        share_kib: kib(&rollup, "Pss:")?,
        own_kib: kib(&status, "RssAnon:")?,
        peak_kib: kib(&status, "VmHWM:")?,
    })
}

/// The number of a line such as `VmRSS:     12345 kB`.
fn field(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_read() {
        let status = "Name:\tx\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nVmBad:\tmany kB\n";
        for (key, expected) in [
            ("VmRSS:", Some(10240)),
            ("VmHWM:", Some(20480)),
            ("VmBad:", None),
            ("VmNone:", None),
        ] {
            assert_eq!(field(status, key), expected, "{key}");
        }
    }
}
