//! What can happen: the steps of the system, as stateright asks for them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering::Relaxed,
};

use backfence_gossip::{
    Accepted, LogEntry, Message, Refusal, Replica, ReplicaId, Scope, State, Time, Update, UpdateId,
    View,
};
use stateright::{Model, Property};

use crate::{
    action::{Action, Content},
    events::Events,
    judge::{Invariant, Violation, check_growth, check_rest, check_value, grows},
    setup::{Request, Setup},
    state::{Cluster, Issued, Node, Packet, Pools},
    tally::Tally,
};

/// Physical time stands still: the order of updates comes from what sessions saw.
const NOW: Time = Time(0);

/// Real replicas of the core, and everything that can happen to them.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) setup: Setup,
    pub(crate) events: Events,
    pools: Pools,
}

/// What a step leads to; `None` where it changes nothing or is out of bounds.
type Step = Result<Option<Cluster>, Violation>;

impl Model for System {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        vec![Cluster::new(&self.setup, &self.pools)]
    }

    fn actions(&self, cluster: &Cluster, actions: &mut Vec<Action>) {
        if cluster.violation.is_some() {
            return;
        }
        let nodes = || 0..self.setup.replicas;
        let contents: &[_] = match self.setup.pulls_and_pushes {
            true => &[Content::News, Content::Own, Content::Report],
            false => &[Content::News],
        };
        self.requests(cluster, actions);
        if cluster.packets.len() < self.setup.in_flight {
            for from in nodes().filter(|&from| cluster.nodes[usize::from(from)].may_report()) {
                for to in nodes().filter(|&to| to != from) {
                    let send = |&content| Action::Send { from, to, content };
                    actions.extend(contents.iter().map(send));
                }
            }
        }
        for packet in 0..cluster.packets.len() {
            actions.push(Action::Deliver { packet });
            actions.push(Action::Duplicate { packet });
            actions.push(Action::Lose { packet });
        }
        for at in nodes() {
            if cluster.nodes[usize::from(at)].disk.is_some() {
                actions.push(Action::Sync { at });
            }
            if cluster.crashes < self.setup.crashes {
                actions.push(Action::Crash { at });
            }
        }
    }

    fn next_state(&self, cluster: &Cluster, action: Action) -> Option<Cluster> {
        match self.step(cluster, action) {
            Ok(next) => Some(self.without_idle(cluster, next?)),
            Err(violation) => {
                let violation = Some(violation);
                Some(Cluster {
                    violation,
                    ..cluster.clone()
                })
            }
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds(cluster: &Cluster, invariant: Invariant) -> bool {
            let broken = cluster.violation.as_ref();
            broken.is_none_or(|violation| violation.invariant != invariant)
        }
        vec![
            Property::always(
                "I1: sessions read what they saw",
                |system: &Self, cluster| {
                    holds(cluster, Invariant::Session) && system.reads(cluster).is_ok()
                },
            ),
            Property::always("I2: no effect without its cause", |_, cluster| {
                holds(cluster, Invariant::Causality)
            }),
            Property::always("I3: each update takes effect once", |_, cluster| {
                holds(cluster, Invariant::Once)
            }),
            Property::always("I4, I5: all comes to rest, nothing lost", |_, cluster| {
                comes_to_rest(cluster).is_ok()
            }),
            Property::always("I6: knowledge only grows", |_, cluster| {
                holds(cluster, Invariant::Growth)
            }),
            Property::always("the core refuses nothing of its own", |_, cluster| {
                holds(cluster, Invariant::Sound)
            }),
        ]
    }
}

/// I4 and I5, in the states in which nothing is on its way: from every other state
/// one of these is reached by losing what is.
pub(crate) fn comes_to_rest(cluster: &Cluster) -> Result<(), String> {
    if cluster.violation.is_some() || !cluster.packets.is_empty() {
        return Ok(());
    }
    caught(|| check_rest(cluster)).unwrap_or_else(|violation| Err(violation.what))
}

impl System {
    /// A configuration, ready to be checked.
    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            setup,
            events: Events::default(),
            pools: Pools::default(),
        }
    }

    /// Leaves out the messages that would change nothing, where the setup says so.
    fn without_idle(&self, before: &Cluster, mut next: Cluster) -> Cluster {
        if self.setup.forget_idle {
            let Cluster { nodes, packets, .. } = &mut next;
            packets.retain(|packet| {
                let at = usize::from(packet.to);
                let known = nodes[at].replica.is(&before.nodes[at].replica)
                    && before.packets.contains(packet);
                known || !idle(&nodes[at].replica, packet)
            });
        }
        next
    }

    fn requests(&self, cluster: &Cluster, actions: &mut Vec<Action>) {
        // The first update comes to the first replica: until then they are alike.
        let start = cluster.issued.is_empty();
        for at in (0..self.setup.replicas).filter(|&at| at == 0 || !start) {
            for (session, script) in (0u8..).zip(&self.setup.sessions) {
                let done = cluster.clients[usize::from(session)].done;
                match script.get(usize::from(done)) {
                    Some(Request::Write) => actions
                        .extend([true, false].map(|heard| Action::Write { session, at, heard })),
                    Some(Request::Read) => actions.push(Action::Read { session, at }),
                    None => {}
                }
            }
            if cluster.copies < self.setup.copies {
                let late = |update| Action::Late { update, at };
                actions.extend(cluster.acknowledged.iter().map(late));
            }
        }
    }

    fn step(&self, cluster: &Cluster, action: Action) -> Step {
        match action {
            Action::Write { session, at, heard } => {
                self.write(cluster.clone(), session.into(), at.into(), heard)
            }
            Action::Late { update, at } => {
                let mut next = cluster.clone();
                let recorded = self.record(&mut next, update, at.into(), true)?;
                Ok(recorded.filter(|(_, new)| *new).map(|_| next))
            }
            Action::Read { session, at } => self.read(cluster, session.into(), at.into()),
            Action::Send { from, to, content } => Ok(self.send(cluster, from, to, content)),
            Action::Deliver { packet } => {
                let mut next = cluster.clone();
                let packet = next.packets.remove(packet);
                self.deliver(&mut next, &packet)?;
                Ok(Some(next))
            }
            Action::Duplicate { packet } => {
                let mut next = cluster.clone();
                let changed = self.deliver(&mut next, &cluster.packets[packet])?;
                Ok(changed.then_some(next))
            }
            Action::Lose { packet } => {
                let mut next = cluster.clone();
                next.packets.remove(packet);
                Ok(Some(next))
            }
            Action::Sync { at } => Ok(self.sync(cluster, at.into())),
            Action::Crash { at } => self.crash(cluster, at.into()),
        }
    }

    /// A session sends its update, for the first time or again, and hears the reply
    /// or does not. Where the record is not on the disk yet there is no reply: it
    /// comes with a retry there.
    fn write(&self, mut next: Cluster, session: usize, at: usize, heard: bool) -> Step {
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
    fn record(
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
            Err(Refusal::LogFull { .. }) => return Ok(None),
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

    fn read(&self, cluster: &Cluster, session: usize, at: usize) -> Step {
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

    /// Gives a message to whoever it is addressed to. Says whether that changed
    /// anything.
    fn deliver(&self, next: &mut Cluster, packet: &Packet) -> Result<bool, Violation> {
        let at = usize::from(packet.to);
        let before = next.nodes[at].replica.clone();
        let message = Message::clone(&packet.message);
        let received = self
            .touch(next, at, |replica| replica.receive(message))?
            .map_err(|error| {
                let what = format!("{} refuses a state: {error}", before.id());
                Violation::new(Invariant::Sound, what)
            })?;
        if received.ignored > 0 {
            self.events.ignored.fetch_add(1, Relaxed);
        }
        if received.joined && self.setup.never_transfers() {
            let what = format!("{} is sent a whole state for nothing", before.id());
            return Err(Violation::new(Invariant::Sound, what));
        }
        if received.joined {
            self.events.joined.fetch_add(1, Relaxed);
        }
        Ok(next.nodes[at].replica != before)
    }

    /// Kills a replica and starts it anew with what is on its disk.
    fn crash(&self, cluster: &Cluster, at: usize) -> Step {
        let node = &cluster.nodes[at];
        let old = node.replica.id();
        let id = match self.setup.same_id {
            true => old,
            false => ReplicaId::new(old.server, old.incarnation + 1),
        };
        let stored = State {
            from: id,
            ..node.stored()
        };
        if *node.replica.replica_ts() != stored.replica_ts {
            self.events.forgot.fetch_add(1, Relaxed);
        }
        let replica = caught(|| {
            let mut replica = Replica::new(id, Tally::default(), self.setup.limits());
            let recovered = replica.receive(Message::State(Box::new(stored.clone())));
            recovered.map(|_| replica)
        })?
        .map_err(|error| {
            let what = format!("{id} cannot recover: {error}");
            Violation::new(Invariant::Sound, what)
        })?;
        grows("replica_ts", &stored.replica_ts, replica.replica_ts())?;
        grows("value_ts", &stored.value_ts, replica.value_ts())?;
        check_value(&replica, &cluster.issued)?;
        let mut next = cluster.clone();
        next.crashes += 1;
        next.nodes[at] = Node::new(replica, self.setup.disk, &self.pools);
        Ok(Some(next))
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

    fn send(&self, cluster: &Cluster, from: u8, to: u8, content: Content) -> Option<Cluster> {
        let replica = &cluster.nodes[usize::from(from)].replica;
        let peer = cluster.nodes[usize::from(from)].knows(u32::from(to) + 1);
        let message = match (content, peer) {
            (Content::Report, _) => Message::Offer(replica.report()),
            (Content::News, Some(peer)) => replica.message(peer, Scope::All),
            (Content::News, None) => Message::Offer(replica.report()),
            (Content::Own, Some(peer)) if replica.has_news_for(peer, Scope::Own) => {
                replica.message(peer, Scope::Own)
            }
            _ => return None,
        };
        let message = self.pools.messages.share(message);
        let mut next = cluster.clone();
        next.send(Packet { to, message }).then_some(next)
    }

    fn sync(&self, cluster: &Cluster, at: usize) -> Option<Cluster> {
        let node = &cluster.nodes[at];
        let state = node.replica.state();
        if node.disk.as_deref() == Some(&state) {
            return None;
        }
        let mut next = cluster.clone();
        next.nodes[at].disk = Some(self.pools.states.share(state));
        Some(next)
    }

    /// Lets a replica do something, and judges what came of it.
    fn touch<R>(
        &self,
        next: &mut Cluster,
        at: usize,
        act: impl FnOnce(&mut Replica<Tally>) -> R,
    ) -> Result<R, Violation> {
        let before = &next.nodes[at].replica;
        let mut after = Replica::clone(before);
        let result = caught(|| act(&mut after))?;
        if after != **before {
            check_growth(before, &after)?;
            check_value(&after, &next.issued)?;
            next.nodes[at].replica = self.pools.replicas.share(after);
        }
        Ok(result)
    }
}

/// Whether a message would change nothing where it is going. A message at which the
/// core fails is not idle.
fn idle(replica: &Replica<Tally>, packet: &Packet) -> bool {
    caught(|| {
        let mut after = replica.clone();
        let received = after.receive(Message::clone(&packet.message));
        received.is_ok() && after == *replica
    })
    .unwrap_or(false)
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

/// Calls the core; where it panics, that is what was found.
fn caught<R>(act: impl FnOnce() -> R) -> Result<R, Violation> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a message");
        Violation::new(Invariant::Sound, format!("the core panics: {text}"))
    })
}
