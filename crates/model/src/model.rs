//! What can happen: the steps of the system, as stateright asks for them.

use stateright::{Model, Property};

use crate::{
    action::{Action, Content},
    events::Events,
    judge::{Invariant, Violation, caught, check_rest},
    nodes::idle,
    setup::{Request, Setup},
    state::{Cluster, Pools},
};

/// Real replicas of the core, and everything that can happen to them.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) setup: Setup,
    pub(crate) events: Events,
    pub(crate) pools: Pools,
}

/// What a step leads to; `None` where it changes nothing or is out of bounds.
pub(crate) type Step = Result<Option<Cluster>, Violation>;

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
        let start = cluster.issued.is_empty() && self.setup.newcomers == 0;
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
}
