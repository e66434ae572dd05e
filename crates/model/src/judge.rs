//! The judge: it knows the true causes, and checks every step against them.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use backfence_gossip::{Message, Replica, ReplicaId, Scope, Timestamp};

use crate::{
    requests::NOW,
    shared::Shared,
    state::{Cluster, Issued},
    tally::{Tally, Updates},
};

/// The promises, numbered as in the protocol's description.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Invariant {
    /// A session reads its own writes, its reads never go back.
    Session,
    /// No effect is visible where its cause is not, or hidden by its cause.
    Causality,
    /// Each update takes effect once.
    Once,
    /// What replicas know only grows.
    Growth,
    /// The core neither panics nor refuses what it made itself.
    Sound,
}

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Violation {
    /// Which.
    pub(crate) invariant: Invariant,
    /// What was seen.
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { invariant, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// After a step of one replica: I2 and I3.
pub(crate) fn check_value(
    replica: &Replica<Tally>,
    issued: &[Shared<Issued>],
) -> Result<(), Violation> {
    let (id, value) = (replica.id(), replica.value());
    let visible = value.applied();
    for index in visible.iter() {
        let causes = issued[usize::from(index)].causes;
        if let Some(missing) = causes.first_beyond(visible) {
            let what = format!("update {index} is visible at {id}, its cause {missing} is not");
            return Err(Violation::new(Invariant::Causality, what));
        }
        if let Some(winner) = value.winner().filter(|&winner| causes.contains(winner)) {
            let what = format!("at {id} update {index} is hidden by its cause {winner}");
            return Err(Violation::new(Invariant::Causality, what));
        }
    }
    match value.repeated() {
        Some((index, count)) => {
            let what = format!("update {index} took effect {count} times at {id}");
            Err(Violation::new(Invariant::Once, what))
        }
        None => Ok(()),
    }
}

/// After a step of one replica: I6.
pub(crate) fn check_growth(
    before: &Replica<Tally>,
    after: &Replica<Tally>,
) -> Result<(), Violation> {
    grows("replica_ts", before.replica_ts(), after.replica_ts())?;
    grows("value_ts", before.value_ts(), after.value_ts())?;
    // A life that is folded away is no peer any more.
    let remains = |peer: &ReplicaId| !after.replica_ts().has_folded(*peer);
    for peer in before.members().filter(remains) {
        if let Some(report) = before.reported(peer) {
            let now = after.reported(peer).cloned().unwrap_or_default();
            grows("the report of a peer", report, &now)?;
        }
    }
    Ok(())
}

pub(crate) fn grows(what: &str, before: &Timestamp, after: &Timestamp) -> Result<(), Violation> {
    match before.beyond(after).next() {
        Some((origin, now, was)) => {
            let what = format!("{what} fell from {was} to {now} for {origin}");
            Err(Violation::new(Invariant::Growth, what))
        }
        None => Ok(()),
    }
}

/// Most rounds of gossip among all after which everything must be at rest. Two are
/// enough to spread and report everything; the others leave room for state
/// transfers and new incarnations to be heard of.
const ROUNDS: usize = 8;

/// I4 and I5: were all faults to end here and gossip to flow, would everything come
/// to rest, and nothing be lost?
///
/// What is on its way counts as lost; the states in which it arrived follow too.
///
/// # Errors
///
/// What would not come to rest, or what would be lost.
pub(crate) fn check_rest(cluster: &Cluster) -> Result<(), String> {
    let mut replicas: Vec<Replica<Tally>> = cluster
        .nodes
        .iter()
        .map(|node| Replica::clone(&node.replica))
        .collect();
    for _ in 0..ROUNDS {
        if !gossip(&mut replicas)? {
            return at_rest(cluster, &replicas);
        }
    }
    Err(format!("gossip does not end after {ROUNDS} rounds"))
}

/// Lets every replica hear from every other. Says whether that changed anything.
fn gossip(replicas: &mut [Replica<Tally>]) -> Result<bool, String> {
    let mut changed = false;
    for from in 0..replicas.len() {
        for to in (0..replicas.len()).filter(|&to| to != from) {
            let pull = Message::Offer(replicas[to].report());
            changed |= receive(&mut replicas[from], pull)?;
            let answer = replicas[from].message(replicas[to].id(), Scope::All);
            changed |= receive(&mut replicas[to], answer)?;
        }
    }
    Ok(changed)
}

fn receive(replica: &mut Replica<Tally>, message: Message<Tally>) -> Result<bool, String> {
    let before = replica.clone();
    match replica.receive(message, NOW) {
        Ok(_) => Ok(*replica != before),
        Err(error) => Err(format!("{} refuses a state: {error}", replica.id())),
    }
}

fn at_rest(cluster: &Cluster, replicas: &[Replica<Tally>]) -> Result<(), String> {
    let first = &replicas[0];
    for replica in replicas {
        let (id, one) = (replica.id(), first.id());
        if replica.value() != first.value() {
            return Err(format!("{id} and {one} hold different values"));
        }
        if replica.value_ts() != first.value_ts() {
            let (ts, other) = (replica.value_ts(), first.value_ts());
            return Err(format!("value_ts is {ts} at {id}, but {other} at {one}"));
        }
        if replica.waiting_len() > 0 {
            return Err(format!("{} records wait at {id}", replica.waiting_len()));
        }
        if replica.log_len() > 0 {
            return Err(format!(
                "{} records stay in the log of {id}",
                replica.log_len()
            ));
        }
        if !replica.has_joined() {
            return Err(format!("{id} never joins"));
        }
        check_value(replica, &cluster.issued).map_err(|violation| violation.what)?;
    }
    let applied: Updates = first.value().applied();
    if let Some(lost) = cluster.acknowledged.first_beyond(applied) {
        return Err(format!("the acknowledged update {lost} is lost"));
    }
    for client in &cluster.clients {
        if let Some((origin, has, wants)) = client.session.prev.beyond(first.value_ts()).next() {
            return Err(format!(
                "a session waits for record {wants} of {origin} for ever, all have {has}"
            ));
        }
    }
    Ok(())
}

/// Calls the core; where it panics, that is what was found.
pub(crate) fn caught<R>(act: impl FnOnce() -> R) -> Result<R, Violation> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a message");
        Violation::new(Invariant::Sound, format!("the core panics: {text}"))
    })
}
