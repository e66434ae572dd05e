//! One run, from the start of the cluster to the verdict.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use backfence_checker::check;
use backfence_client::Client;
use backfence_cluster::{Cluster, Network};
use backfence_process::{Exit, Failure};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    faults::Faults,
    journal::{Journal, Journals},
    ledger,
    nemesis::Nemesis,
    plan::{Plan, SESSIONS},
    probe,
    report::{History, Operations, Report, Verdict},
    shared::Shared,
    talker::Talker,
};

/// How long the cluster may take to answer, and to come to rest, when the faults are over.
const CALM: Duration = Duration::from_secs(60);
/// Requests that have to be answered when the faults are over.
const LIVELY: u64 = 200;

/// What a run left.
#[derive(Debug)]
pub struct Ran {
    /// What it amounted to.
    pub report: Report,
    /// What sessions saw; `None` where a session broke off.
    pub history: Option<backfence_checker::History>,
    /// Where the logs and disks of the cluster are kept, unless all held.
    pub kept: Option<PathBuf>,
}

/// Starts a cluster of the programs beside this one, tortures it, and judges. Where it may,
/// each replica has a network of its own, that can be cut.
///
/// # Errors
///
/// If the cluster cannot be started; [`Exit::Interrupted`] if it is to stop before it is
/// done. What is found wrong is in the report.
pub async fn run(plan: &Plan, stop: &CancellationToken) -> anyhow::Result<Ran> {
    let mut ran = Ran {
        report: Report::new(plan),
        history: None,
        kept: None,
    };
    let network = match Network::new(plan.replicas) {
        Ok(network) => Some(Arc::new(network)),
        Err(why) => {
            let why = format!("{why:#}");
            eprintln!("SKIPPED network cuts: {why}");
            ran.report.faults.without_cuts = Some(why);
            None
        }
    };
    let builder = Cluster::builder()
        .replicas(plan.replicas)
        .front_ends(plan.front_ends)
        .overload_probability(plan.overload())
        .late(&format!("{}s", plan.late))
        .data_dirs(plan.disks);
    let cluster = match &network {
        Some(network) => network.hold(builder).start(),
        None => builder.start(),
    };
    let tortured = match cluster {
        Ok(cluster) => Ok(torture(cluster, network.clone(), plan, stop, &mut ran).await),
        Err(error) => Err(error),
    };
    if stop.is_cancelled() {
        return Err(Failure::new(Exit::Interrupted, "interrupted").into());
    }
    if let Err(error) = tortured? {
        ran.report.verdict = Verdict::Violated(format!("{error:#}"));
    } else if let Some(why) = ran.report.shortcoming() {
        ran.report.verdict = Verdict::Invalid(why);
    }
    Ok(ran)
}

/// The network outlives the cluster with whoever calls.
async fn torture(
    cluster: Cluster,
    network: Option<Arc<Network>>,
    plan: &Plan,
    stop: &CancellationToken,
    ran: &mut Ran,
) -> anyhow::Result<()> {
    let client = probe::client(&cluster).await?;
    let shared = Arc::new(Shared::new(plan.rate, stop.child_token()));
    let talkers = talkers(plan, &client, &shared);
    eprintln!("all programs run; faults begin");
    let begun = Instant::now();
    let mut nemesis = Nemesis::new(cluster, network, *plan, client.clone(), Arc::clone(&shared));
    let injecting = tokio::task::spawn_blocking(move || {
        let injected = nemesis.inject();
        (nemesis, injected)
    });
    let (nemesis, injected) = injecting.await.context("the faults crashed")?;
    let Nemesis {
        mut cluster,
        faults,
        ..
    } = nemesis;
    let without_cuts = ran.report.faults.without_cuts.take();
    ran.report.faults = Faults {
        without_cuts,
        ..faults
    };
    let judged = async {
        let lively = lively(&shared).await;
        shared.end();
        ran.report.seconds = begun.elapsed().as_secs_f64();
        let talked = join(talkers).await;
        ran.report.operations = Operations::of(&shared.counts);
        injected?;
        let journals = talked?;
        lively?;
        judge(&client, plan, &journals, ran).await
    };
    let judged = tokio::select! {
        judged = judged => judged,
        () = stop.cancelled() => return Ok(()),
    };
    if judged.is_err() {
        ran.kept = Some(cluster.keep());
    }
    judged
}

fn talkers(plan: &Plan, client: &Client, shared: &Arc<Shared>) -> JoinSet<anyhow::Result<Journal>> {
    let mut talkers = JoinSet::new();
    for number in 0..SESSIONS {
        let talker = Talker::new(client, plan.seed, number, Arc::clone(shared));
        let shared = Arc::clone(shared);
        talkers.spawn(async move {
            let talked = talker.talk().await;
            // One that breaks off ends the run.
            talked.inspect_err(|_| shared.end())
        });
    }
    talkers
}

/// Once the faults are over, requests are answered.
async fn lively(shared: &Shared) -> anyhow::Result<()> {
    let answered = || Operations::of(&shared.counts).answered();
    let (before, deadline) = (answered(), Instant::now() + CALM);
    while answered() < before + LIVELY && !shared.is_over() {
        ensure!(
            Instant::now() < deadline,
            "without faults, {} requests were answered in {CALM:?}",
            answered() - before
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// The first error, if any session met one.
async fn join(mut talkers: JoinSet<anyhow::Result<Journal>>) -> anyhow::Result<Journals> {
    let mut journals = Vec::new();
    let mut failed = None;
    while let Some(talked) = talkers.join_next().await {
        match talked.context("a session crashed") {
            Ok(Ok(journal)) => journals.push(journal),
            Ok(Err(error)) | Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(Journals::new(journals)),
    }
}

async fn judge(
    client: &Client,
    plan: &Plan,
    journals: &Journals,
    ran: &mut Ran,
) -> anyhow::Result<()> {
    let found = &mut ran.report.found;
    let recorded = journals.history()?;
    let recorded = ran.history.insert(recorded);
    let size = recorded.size();
    let begun = Instant::now();
    let digest = probe::rest(client, plan.replicas, CALM).await?;
    found.digest = Some(format!("{digest:032x}"));
    found.rest_ms = Some(begun.elapsed().as_millis() as u64);
    journals.check_numbers()?;
    ledger::check(client, journals).await?;
    found.acknowledged = Some(journals.acknowledged() as u64);
    found.unknown = Some(journals.unknown() as u64);
    let consistent = check(recorded).map_err(|violation| {
        anyhow::anyhow!("the history is not causally consistent:\n{violation}")
    })?;
    found.history = Some(History {
        operations: size.operations,
        sessions: size.sessions,
        keys: size.keys,
        reads_of_others: consistent.reads_of_others as usize,
    });
    Ok(())
}
