//! What sessions do.

use std::sync::atomic::Ordering::Relaxed;

use backfence_gossip::{
    Accepted, LogEntry, Refusal, Replica, ReplicaId, Time, Update, UpdateId, View,
};

use crate::{
    judge::{Invariant, Violation},
    model::{Step, System},
    state::{Cluster, Issued},
    tally::Tally,
};

/// Physical time stands still: the order of updates comes from what sessions saw.
pub(crate) const NOW: Time = Time(0);

impl System {
    /// A session sends its update, for the first time or again, and hears the reply
    /// or does not. Where the record is not on the disk yet there is no reply: it
    /// comes with a retry there.
    pub(crate) fn write(&self, mut next: Cluster, session: usize, at: usize, heard: bool) -> Step {
        let open = next.clients[session].open;
        let update = open.unwrap_or_else(|| self.issue(&mut next, session));
        let Some((accepted, new)) = self.record(&mut next, update, at, open.is_some())? else {
            return Ok(None);
        };
        if !heard {
            return Ok(new.then_some(next));
        }
        let node = &next.nodes[at];
        if !node.has_stored(accepted.ts.count(node.replica.id())) {
            return Ok(None);
        }
        let client = &mut next.clients[session];
        client.session.observe(&accepted.ts, accepted.clock);
        client.observed.insert(update);
        client.open = None;
        client.done += 1;
        next.acknowledged.insert(update);
        Ok(Some(next))
    }

    /// Gives an update to a replica. `None` where that is out of bounds.
    pub(crate) fn record(
        &self,
        next: &mut Cluster,
        update: u8,
        at: usize,
        again: bool,
    ) -> Result<Option<(Accepted, bool)>, Violation> {
        let issued = next.issued[usize::from(update)].update.clone();
        let replica = &next.nodes[at].replica;
        let (id, known) = (replica.id(), knows(replica, update));
        let reply = self.touch(next, at, |replica| replica.update(issued.clone(), NOW))?;
        let accepted = match reply {
            Ok(accepted) => accepted,
            Err(Refusal::LogFull { .. } | Refusal::NotJoined { .. }) => return Ok(None),
            Err(refusal) => {
                let what = format!("update {update} is refused: {refusal}");
                return Err(Violation::new(Invariant::Session, what));
            }
        };
        nothing_lost(&accepted.lost)?;
        let new = accepted.number.is_some();
        if new && known {
            let what = format!("{id} makes a second record of update {update}");
            return Err(Violation::new(Invariant::Once, what));
        }
        if new && again {
            if next.copies == self.setup.copies {
                return Ok(None);
            }
            next.copies += 1;
            self.events.copied.fetch_add(1, Relaxed);
        }
        Ok(Some((accepted, new)))
    }

    pub(crate) fn read(&self, cluster: &Cluster, session: usize, at: usize) -> Step {
        let Some(view) = self.ask(cluster, session, at)? else {
            return Ok(None);
        };
        let mut next = cluster.clone();
        let client = &mut next.clients[session];
        client.observed = client.observed.union(view.value.applied());
        client.session.observe(view.ts, view.clock);
        client.done += 1;
        Ok(Some(next))
    }

    /// What a session would be answered; `None` where it has to wait.
    fn ask<'a>(
        &self,
        cluster: &'a Cluster,
        session: usize,
        at: usize,
    ) -> Result<Option<View<'a, Tally>>, Violation> {
        let (client, node) = (&cluster.clients[session], &cluster.nodes[at]);
        let view = match node.replica.query(&client.session.prev, NOW) {
            Ok(Some(view)) => view,
            Ok(None) => {
                self.events.waited.fetch_add(1, Relaxed);
                return Ok(None);
            }
            Err(refusal) => {
                let what = format!("the query of session {session} is refused: {refusal}");
                return Err(Violation::new(Invariant::Session, what));
            }
        };
        if !node.has_stored(view.ts.count(node.replica.id())) {
            return Ok(None);
        }
        nothing_lost(&view.lost)?;
        match client.observed.first_beyond(view.value.applied()) {
            Some(missing) => {
                let what = format!("session {session} no longer sees update {missing}");
                Err(Violation::new(Invariant::Session, what))
            }
            None => Ok(Some(view)),
        }
    }

    /// I1: were any session to read now, anywhere, would it see what it saw? So a
    /// script needs queries only where what they saw goes on to matter.
    pub(crate) fn reads(&self, cluster: &Cluster) -> Result<(), Violation> {
        for session in 0..cluster.clients.len() {
            for at in 0..cluster.nodes.len() {
                self.ask(cluster, session, at)?;
            }
        }
        Ok(())
    }

    /// A session makes its next update: the id, the causes and the time are fixed here.
    fn issue(&self, next: &mut Cluster, session: usize) -> u8 {
        let index = u8::try_from(next.issued.len()).expect("few updates");
        let client = &mut next.clients[session];
        client.open = Some(index);
        let update = Update {
            id: UpdateId::new(client.session.id, u64::from(client.done) + 1),
            prev: client.session.prev.clone(),
            time: Time(client.session.clock.0 + 1),
            operation: index,
        };
        let causes = client.observed;
        let issued = self.pools.issued.share(Issued { update, causes });
        next.issued.push(issued);
        index
    }
}

/// Every disk survives, so nobody may be told that a past is lost.
fn nothing_lost(lost: &[ReplicaId]) -> Result<(), Violation> {
    match lost.first() {
        Some(replica) => {
            let what = format!("what {replica} had accepted is given up, though it is not lost");
            Err(Violation::new(Invariant::Session, what))
        }
        None => Ok(()),
    }
}

/// Whether an update is reflected in the value, or waits.
fn knows(replica: &Replica<Tally>, update: u8) -> bool {
    let is_it = |entry: &LogEntry<u8>| entry.record.update().operation == update;
    replica.value().applied().contains(update) || replica.log().any(is_it)
}
