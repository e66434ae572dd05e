//! Everything, in one table.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use backfence_cluster::Cluster;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    bare::Hop,
    base, burst, dataset,
    drive::{Load, Measured, What, drive},
    etcd::{self, Etcd},
    gossip, limit, memory, propagate,
    report::Data,
    start, update_cost,
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: Data,
    /// Where to write all figures as JSON.
    #[arg(long, value_name = "FILE", default_value = "backfence-bench.json")]
    out: PathBuf,
    /// Where the disks of the replicas, etcd's and the large data set go for the time
    /// being; the set takes 28 bytes a rating, its base 9 more.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// The ratings of the large data set.
    #[arg(long, default_value_t = 32_000_204)]
    ratings: u64,
    /// A Python with duckdb, for the comparison.
    #[arg(long, default_value = "python3", value_name = "PROGRAM")]
    python: PathBuf,
    /// How long each load lasts, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Everything as small as can be: it shows that all runs, and no figure is worth
    /// anything.
    #[arg(long)]
    short: bool,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    /// As the goals are numbered.
    number: &'static str,
    measure: String,
    figure: Option<f64>,
    /// What the figure has to be, at least or at most.
    goal: Goal,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
    None,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
    /// What could not be measured, and why.
    missing: Vec<String>,
    /// The reports that the rows are taken from.
    details: Value,
}

impl Row {
    fn met(&self) -> &'static str {
        match (self.figure, self.goal) {
            (None, _) => "not measured",
            (Some(_), Goal::None) => "",
            (Some(figure), Goal::AtLeast(goal)) if figure >= goal => "met",
            (Some(figure), Goal::AtMost(goal)) if figure <= goal => "met",
            _ => "missed",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "      measure                                             figure   goal"
        )?;
        for row in &self.rows {
            let goal = match row.goal {
                Goal::AtLeast(goal) => format!(">= {goal}"),
                Goal::AtMost(goal) => format!("<= {goal}"),
                Goal::None => String::new(),
            };
            let figure = match row.figure {
                Some(figure) if figure.abs() >= 1_000.0 => format!("{figure:.0}"),
                Some(figure) => format!("{figure:.3}"),
                None => "-".to_owned(),
            };
            let Row {
                number, measure, ..
            } = row;
            writeln!(
                f,
                "{number:<4}  {measure:<48}  {figure:>9}   {goal:<10}  {}",
                row.met()
            )?;
        }
        for missing in &self.missing {
            writeln!(f, "not measured: {missing}")?;
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let mut all = All {
        report: Report {
            rows: Vec::new(),
            missing: Vec::new(),
            details: json!({}),
        },
        scratch: tempfile::tempdir_in(&args.scratch)
            .with_context(|| format!("cannot use {}", args.scratch.display()))?,
        args: if args.short {
            shortened(args)
        } else {
            args.clone()
        },
    };
    all.requests()?;
    all.core()?;
    all.starts()?;
    all.large()?;
    let json = serde_json::to_vec_pretty(&all.report)?;
    fs::write(&args.out, json).with_context(|| format!("cannot write {}", args.out.display()))?;
    eprintln!("all figures are in {}", args.out.display());
    Ok(all.report)
}

fn shortened(args: &Args) -> Args {
    Args {
        ratings: args.ratings.min(20_000),
        seconds: 1,
        ..args.clone()
    }
}

struct All {
    report: Report,
    scratch: tempfile::TempDir,
    args: Args,
}

impl All {
    fn row(
        &mut self,
        number: &'static str,
        measure: &str,
        figure: impl Into<Option<f64>>,
        goal: Goal,
    ) {
        self.report.rows.push(Row {
            number,
            measure: measure.to_owned(),
            figure: figure.into(),
            goal,
        });
    }

    fn detail(&mut self, name: &str, report: &impl Serialize) -> anyhow::Result<()> {
        eprintln!("{name}: done");
        self.report.details[name] = serde_json::to_value(report)?;
        Ok(())
    }

    /// P1, P2, P4: each load between the bare ones that it is held against.
    fn requests(&mut self) -> anyhow::Result<()> {
        let short = self.args.short;
        let limits = limit::Args {
            sessions: Vec::new(),
            seconds: self.args.seconds,
            requests: if short { 200 } else { u64::MAX },
        };
        let load = Load {
            what: What::Views,
            sessions: 0,
            connections: 0,
            rate: None,
            length: Duration::from_secs(self.args.seconds),
            requests: limits.requests,
            movies: self.args.data.movies()?,
            seed: 1,
        };
        let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
        let builder = Cluster::builder().data(self.args.data.folder()?);
        let cluster = builder
            .data_dirs_in(self.scratch.path().join("disks"))
            .start()?;
        let urls = [cluster.front_end(1)];
        let on_ours = |what, sessions| -> anyhow::Result<Measured> {
            // Sessions of their own for each load.
            let seed = u64::from(sessions) * 1_000_003;
            let load = Load {
                what,
                sessions,
                seed,
                ..load.clone()
            };
            let measured = runtime.block_on(drive(&urls, &load))?;
            anyhow::ensure!(
                measured.errors.is_empty(),
                "requests failed: {:?}",
                measured.errors
            );
            Ok(Measured {
                histogram: Vec::new(),
                ..measured
            })
        };
        let mut rates_at_32 = 0.0;
        let mut etcd = self.etcd()?;
        for sessions in [1, 32, 128] {
            let stream = limit::bare(Hop::Stream, sessions, &limits)?;
            let views = on_ours(What::Views, sessions)?;
            let unary = limit::bare(Hop::Unary, sessions, &limits)?;
            let over = |other: &Measured| views.requests_per_second / other.requests_per_second;
            let name = format!("views / bare stream, {sessions} sessions");
            self.row("P1", &name, over(&stream), Goal::AtLeast(0.9));
            if sessions > 1 {
                let name = format!("views / bare unary, {sessions} sessions");
                self.row("P1", &name, over(&unary), Goal::AtLeast(1.5));
                let rates = on_ours(What::Rates, sessions)?;
                let figure = rates.requests_per_second / views.requests_per_second;
                let name = format!("durable updates / views, {sessions} sessions");
                self.row("P2", &name, figure, Goal::AtLeast(0.5));
                let puts = match &mut etcd {
                    Some(etcd) => Some(runtime.block_on(etcd.puts(sessions, load.length))?),
                    None => None,
                };
                let goal = Goal::AtLeast(if sessions == 32 { 2.5 } else { 2.0 });
                let name = format!("durable updates / etcd's puts, {sessions} sessions");
                self.row(
                    "P2",
                    &name,
                    puts.map(|puts| rates.requests_per_second / puts),
                    goal,
                );
                if sessions == 32 {
                    rates_at_32 = rates.requests_per_second;
                }
                self.detail(
                    &format!("rates_{sessions}"),
                    &json!({"rates": rates, "etcd_puts": puts}),
                )?;
            }
            let found = json!({"views": views, "bare_stream": stream, "bare_unary": unary});
            self.detail(&format!("views_{sessions}"), &found)?;
        }
        drop((cluster, etcd));
        self.propagation(rates_at_32 / 2.0)
    }

    fn etcd(&mut self) -> anyhow::Result<Option<Etcd>> {
        let Some(program) = etcd::find() else {
            let why = "etcd's puts: etcd is not installed (apt-get install etcd-server)";
            self.report.missing.push(why.to_owned());
            return Ok(None);
        };
        Etcd::start(&program, self.scratch.path()).map(Some)
    }

    fn propagation(&mut self, half: f64) -> anyhow::Result<()> {
        let args = |background| propagate::Args {
            data: self.args.data.clone(),
            updates: if self.args.short { 50 } else { 2_000 },
            replicas: 3,
            background,
            data_dir: None,
        };
        let idle = propagate::run(&args(None))?;
        let loaded = propagate::run(&args(Some(half.max(1.0))))?;
        let name = "visible everywhere / bare unary call, p50, idle";
        self.row("P4", name, idle.p50_over_bare, Goal::AtMost(3.0));
        let name = "visible everywhere / bare unary call, p99, half load";
        self.row("P4", name, loaded.p99_over_bare, Goal::AtMost(20.0));
        self.detail("propagate", &json!({"idle": idle, "half_load": loaded}))?;
        self.burst()
    }

    fn burst(&mut self) -> anyhow::Result<()> {
        let updates = if self.args.short { 1_000 } else { 100_000 };
        let burst = burst::run(&burst::Args {
            data: self.args.data.clone(),
            updates,
            views: if self.args.short { 50 } else { 5_000 },
        })?;
        for (name, us) in [("p99", burst.burst.p99_us), ("most", burst.burst.max_us)] {
            let name = format!("a view while {updates} updates arrive, {name}, ms");
            self.row("P4", &name, us as f64 / 1e3, Goal::None);
        }
        self.detail("burst", &burst)
    }

    /// P3, P8, P9, P10.
    fn core(&mut self) -> anyhow::Result<()> {
        let short = self.args.short;
        let cost = update_cost::run(&update_cost::Args {
            few: if short { 100 } else { 1_000 },
            many: if short { 1_000 } else { 1_000_000 },
            timed: if short { 100 } else { 2_000 },
            runs: if short { 3 } else { 31 },
            seed: 1,
        })?;
        let name = "an update after many others / after few";
        self.row("P3", name, cost.many_over_few, Goal::AtMost(1.25));
        self.detail("update_cost", &cost)?;
        let gossip = gossip::run(&gossip::Args {
            cells: if short { 1_000 } else { 1_000_000 },
            records: if short { 1_000 } else { 500_000 },
            replicas: if short {
                vec![3, 5]
            } else {
                vec![3, 5, 9, 15, 31]
            },
            burst: 2_000,
        })?;
        let per_second = gossip.records_per_second;
        self.row(
            "P8",
            "records a second into the core",
            per_second,
            Goal::AtLeast(500_000.0),
        );
        let name = "bytes a gossiped update beside its content";
        self.row("P9", name, gossip.extra_bytes, Goal::AtMost(24.0));
        for spread in &gossip.spread {
            let name = format!("bytes an update among {} replicas", spread.replicas);
            self.row("P10", &name, spread.bytes_per_update, Goal::None);
        }
        self.detail("gossip", &gossip)
    }

    /// P5.
    fn starts(&mut self) -> anyhow::Result<()> {
        let start = start::run(&start::Args {
            data: self.args.data.clone(),
            runs: if self.args.short { 1 } else { 11 },
            replicas: 3,
        })?;
        self.row(
            "P5",
            "launch to ready, ms",
            start.median_ms,
            Goal::AtMost(340.0),
        );
        self.detail("start", &start)
    }

    /// P6 and P7, with users and movies in proportion to the largest set of MovieLens.
    fn large(&mut self) -> anyhow::Result<()> {
        let ratings = self.args.ratings;
        let part = ratings as f64 / 32_000_204.0;
        let folder = self.scratch.path().join("large");
        let args = dataset::Args {
            folder: folder.clone(),
            users: (200_948.0 * part).ceil().max(100.0) as u32,
            movies: (87_585.0 * part.sqrt()).ceil().max(1_000.0) as u32,
            ratings,
            seed: 1,
        };
        self.detail("dataset", &dataset::run(&args)?)?;
        let found = self.base(&folder);
        let memory = found.and_then(|()| self.memory(&folder));
        // It is large, and nobody needs it any more.
        fs::remove_dir_all(&folder).context("cannot remove the large data set")?;
        memory
    }

    fn base(&mut self, folder: &Path) -> anyhow::Result<()> {
        let base = base::run(&base::Args {
            data: Data::in_folder(folder),
            base_dir: Some(folder.join("disks").join("base")),
            runs: 5,
            lookups: 100_000,
            python: self.args.python.clone(),
            seed: 1,
        })?;
        let duckdb = base
            .duckdb_seconds
            .map(|seconds| base.make_seconds / seconds);
        self.row(
            "P6",
            "making the base / DuckDB's load",
            duckdb,
            Goal::AtMost(1.0),
        );
        if duckdb.is_none() {
            let why = "DuckDB's load: no Python with duckdb (pip install duckdb; --python)";
            self.report.missing.push(why.to_owned());
        }
        let opening = base.open_ms / 1e3 / base.make_seconds;
        self.row(
            "P6",
            "opening the base / making it",
            opening,
            Goal::AtMost(0.04),
        );
        self.detail("base", &base)
    }

    fn memory(&mut self, folder: &Path) -> anyhow::Result<()> {
        let memory = memory::run(&memory::Args {
            data: Data::in_folder(folder),
            replicas: 3,
            data_dir: Some(folder.join("disks")),
        })?;
        let name = "memory of three replicas, bytes a rating";
        self.row("P7", name, memory.bytes_per_rating, Goal::AtMost(12.0));
        let name = "the same with all of the base in memory";
        self.row(
            "P7",
            name,
            memory.whole_bytes_per_rating,
            Goal::AtMost(12.0),
        );
        self.detail("memory", &memory)
    }
}
