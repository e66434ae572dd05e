//! How much memory each replica takes.

use std::{fmt, fs};

use anyhow::Context as _;
use backfence_cluster::{Cluster, Role};
use serde::Serialize;

use crate::report::Data;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: Data,
    /// The number of replicas.
    #[arg(long, default_value_t = 3)]
    replicas: u32,
}

/// As soon as all are ready, before any request.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    replicas: Vec<Usage>,
}

#[derive(Debug, Serialize)]
struct Usage {
    server: u32,
    /// Resident now, in KiB: VmRSS of Linux.
    resident_kib: u64,
    /// The most that was ever resident, in KiB: VmHWM.
    peak_kib: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server   resident MiB   peak MiB")?;
        for usage in &self.replicas {
            let mib = |kib: u64| kib as f64 / 1024.0;
            let (now, peak) = (mib(usage.resident_kib), mib(usage.peak_kib));
            writeln!(f, "{:>6}   {now:>12.1}   {peak:>8.1}", usage.server)?;
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let folder = args.data.folder()?;
    let cluster = Cluster::builder()
        .replicas(args.replicas)
        .data(folder)
        .start()?;
    let usage = |server| usage(server, cluster.process_id(Role::Replica(server)));
    let replicas = (1..=args.replicas).map(usage).collect::<Result<_, _>>()?;
    Ok(Report { replicas })
}

fn usage(server: u32, process: u32) -> anyhow::Result<Usage> {
    let file = format!("/proc/{process}/status");
    let status = fs::read_to_string(&file)
        .with_context(|| format!("cannot read {file}; memory is measured on Linux only"))?;
    let kib = |key| field(&status, key).with_context(|| format!("no {key} in {file}"));
    Ok(Usage {
        server,
        resident_kib: kib("VmRSS:")?,
        peak_kib: kib("VmHWM:")?,
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
