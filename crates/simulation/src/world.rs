//! A cluster, its network and its clients, one step at a time.

use std::{collections::BTreeSet, time::Duration};

use backfence_gossip::{Limits, Message, Refusal, Replica, ReplicaId, Scope, Time, Timestamp};
use fixedbitset::FixedBitSet;

use crate::{
    Violation,
    ledger::{Ledger, Write},
    oracle::{Oracle, Seen},
    plan::{Plan, Step},
    report::Report,
    session::{Body, Client, Request},
};

/// Where true time starts. Late enough that a skewed clock is after 1970.
const START: Time = Time(1_000_000_000);
/// True time goes on by this much at each step.
const STEP: Duration = Duration::from_millis(3);
/// Rounds without faults in which everything has to come to rest.
const ROUNDS: usize = 60;
/// Packets in flight; beyond, the oldest is lost.
const MAX_PACKETS: usize = 512;

/// One run.
struct World<'a> {
    plan: &'a Plan,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    packets: Vec<Packet>,
    cuts: BTreeSet<(usize, usize)>,
    oracle: Oracle,
    steps: usize,
    report: Report,
}

struct Node {
    replica: Replica<Ledger>,
    seen: Seen,
    /// Apart from true time, in milliseconds.
    skew: i64,
    /// The latest that its clock has shown: like the real one it never goes back.
    clock: Time,
    held: Vec<Held>,
}

/// A query that waits for what its session has seen.
struct Held {
    client: usize,
    number: u32,
    prev: Timestamp,
    cell: u8,
}

#[derive(Clone)]
enum Packet {
    Request {
        client: usize,
        to: usize,
        request: Request,
    },
    Reply {
        client: usize,
        number: u32,
        reply: Reply,
    },
    Gossip {
        from: usize,
        to: usize,
        message: Message<Ledger>,
        pull: bool,
    },
}

#[derive(Clone)]
struct Reply {
    ts: Timestamp,
    clock: Time,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Answer {
        applied: FixedBitSet,
        read: Option<usize>,
    },
    Accepted {
        index: usize,
    },
    /// No room, or the clock is behind: the session tries on or gives up.
    Refused,
}

/// Runs a plan, and checks I1 to I6 on the way and at its end.
///
/// # Errors
///
/// The first [`Violation`].
pub fn run(plan: &Plan) -> Result<Report, Violation> {
    let mut world = World::new(plan);
    for step in &plan.steps {
        world.step(*step)?;
    }
    world.rest()?;
    Ok(world.report)
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut world = Self {
            plan,
            nodes: Vec::new(),
            clients: (1..=plan.sessions).map(Client::new).collect(),
            packets: Vec::new(),
            cuts: BTreeSet::new(),
            oracle: Oracle::default(),
            steps: 0,
            report: Report::default(),
        };
        for _ in 0..plan.replicas {
            world.join();
        }
        world
    }

    fn step(&mut self, step: Step) -> Result<(), Violation> {
        self.steps += 1;
        let nodes = self.nodes.len();
        let node = |number: u8| usize::from(number) % nodes;
        let client = |number: u8| usize::from(number) % self.plan.sessions;
        match step {
            Step::Ask {
                session,
                replica,
                cell,
            } => self.ask(client(session), node(replica), cell),
            Step::Write {
                session,
                replica,
                cell,
            } => self.write(client(session), node(replica), cell),
            Step::Retry { session, replica } => self.retry(client(session), node(replica)),
            Step::GiveUp { session } => {
                if self.clients[client(session)].open.take().is_some() {
                    self.report.given_up += 1;
                }
            }
            Step::Deliver { packet } => {
                if let Some(packet) = self.take(packet) {
                    self.deliver(packet)?;
                }
            }
            Step::Drop { packet } => {
                if self.take(packet).is_some() {
                    self.report.dropped += 1;
                }
            }
            Step::Duplicate { packet } => self.duplicate(packet),
            Step::Push { replica, peer } => self.push(node(replica), node(peer)),
            Step::Pull { replica, peer } => self.pull(node(replica), node(peer)),
            Step::Cut { from, to } => {
                self.report.cuts += 1;
                self.cuts.insert((node(from), node(to)));
            }
            Step::Isolate { replica } => {
                self.report.cuts += 1;
                let alone = node(replica);
                self.cuts
                    .extend((0..nodes).flat_map(|other| [(alone, other), (other, alone)]));
            }
            Step::Heal => self.cuts.clear(),
            Step::Skew { replica, ms } => self.nodes[node(replica)].skew = i64::from(ms),
            Step::Join => {
                if nodes < self.plan.most_replicas {
                    self.join();
                    self.report.joined += 1;
                }
            }
        }
        Ok(())
    }

    /// Ends all faults, lets every request be answered and gossip flow, and demands
    /// that everything comes to rest.
    fn rest(&mut self) -> Result<(), Violation> {
        self.cuts.clear();
        for node in &mut self.nodes {
            node.skew = 0;
        }
        let mut verdict = Ok(());
        for round in 0..ROUNDS {
            // Long enough that no clock is behind any more.
            self.steps += 5_000;
            for client in 0..self.clients.len() {
                self.retry(client, client + round);
            }
            for from in 0..self.nodes.len() {
                for to in 0..self.nodes.len() {
                    self.pull(from, to);
                }
            }
            while !self.packets.is_empty() {
                let packet = self.packets.remove(0);
                self.deliver(packet)?;
            }
            verdict = self.at_rest();
            if verdict.is_ok() {
                self.report.rounds = self.report.rounds.max(round + 1);
                self.report.acknowledged = self.oracle.acknowledgements();
                return Ok(());
            }
        }
        self.judge(verdict)
    }

    fn at_rest(&self) -> Result<(), (&'static str, String)> {
        if let Some(client) = self.clients.iter().position(|client| client.open.is_some()) {
            return Err((
                "I4",
                format!("a request of session {client} is never answered"),
            ));
        }
        let replicas: Vec<_> = self.nodes.iter().map(|node| &node.replica).collect();
        self.oracle.check_rest(&replicas)
    }

    fn judge(&self, verdict: Result<(), (&'static str, String)>) -> Result<(), Violation> {
        verdict.map_err(|(invariant, what)| Violation {
            invariant,
            step: self.steps,
            what,
        })
    }

    fn elapsed(&self) -> Duration {
        STEP * u32::try_from(self.steps).unwrap_or(u32::MAX)
    }

    /// What a node's clock shows.
    fn now(&mut self, node: usize) -> Time {
        let truth = START.after(self.elapsed()).0;
        let node = &mut self.nodes[node];
        let shown = Time(truth.saturating_add_signed(node.skew * 1000));
        node.clock = node.clock.max(shown);
        node.clock
    }

    fn join(&mut self) {
        let server = u32::try_from(self.nodes.len() + 1).expect("few replicas");
        let limits = Limits {
            message_bytes: self.plan.message_bytes,
            log_bytes: self.plan.log_bytes,
            ..Limits::default()
        };
        self.nodes.push(Node {
            replica: Replica::new(ReplicaId::new(server, 1), Ledger::default(), limits),
            seen: Seen::default(),
            skew: 0,
            clock: Time(0),
            held: Vec::new(),
        });
    }

    fn ask(&mut self, client: usize, to: usize, cell: u8) {
        if self.clients[client].open.is_none() {
            let request = self.clients[client].ask(cell);
            self.send(Packet::Request {
                client,
                to,
                request,
            });
        }
    }

    fn write(&mut self, client: usize, to: usize, cell: u8) {
        if self.clients[client].open.is_none() {
            let elapsed = self.elapsed();
            let index = self.oracle.update(&self.clients[client].observed);
            let request = self.clients[client].write(Write { index, cell }, elapsed);
            self.send(Packet::Request {
                client,
                to,
                request,
            });
        }
    }

    fn retry(&mut self, client: usize, to: usize) {
        let to = to % self.nodes.len();
        if let Some(request) = self.clients[client].open.clone() {
            self.report.retried += 1;
            self.send(Packet::Request {
                client,
                to,
                request,
            });
        }
    }

    fn push(&mut self, from: usize, to: usize) {
        let peer = self.nodes[to].replica.id();
        if from != to && self.nodes[from].replica.has_news_for(peer, Scope::Own) {
            let message = self.nodes[from].replica.message(peer, Scope::Own);
            self.gossip(from, to, message, false);
        }
    }

    fn pull(&mut self, from: usize, to: usize) {
        if from != to {
            let report = Message::Offer(self.nodes[from].replica.report());
            self.gossip(from, to, report, true);
        }
    }

    fn gossip(&mut self, from: usize, to: usize, message: Message<Ledger>, pull: bool) {
        if matches!(message, Message::State(_)) {
            self.report.states += 1;
        }
        self.send(Packet::Gossip {
            from,
            to,
            message,
            pull,
        });
    }

    fn send(&mut self, packet: Packet) {
        if let Packet::Gossip { from, to, .. } = packet
            && self.cuts.contains(&(from, to))
        {
            self.report.cut_off += 1;
            return;
        }
        self.packets.push(packet);
        if self.packets.len() > MAX_PACKETS {
            self.packets.remove(0);
            self.report.dropped += 1;
        }
    }

    fn take(&mut self, packet: u16) -> Option<Packet> {
        let len = self.packets.len();
        (len > 0).then(|| self.packets.swap_remove(usize::from(packet) % len))
    }

    fn duplicate(&mut self, packet: u16) {
        if !self.packets.is_empty() {
            let packet = self.packets[usize::from(packet) % self.packets.len()].clone();
            self.report.duplicated += 1;
            self.send(packet);
        }
    }

    fn deliver(&mut self, packet: Packet) -> Result<(), Violation> {
        self.report.delivered += 1;
        match packet {
            Packet::Request {
                client,
                to,
                request,
            } => {
                self.serve(client, to, request)?;
                self.check(to)
            }
            Packet::Reply {
                client,
                number,
                reply,
            } => self.answered(client, number, reply),
            Packet::Gossip {
                from,
                to,
                message,
                pull,
            } => {
                self.receive(from, to, message, pull)?;
                self.check(to)
            }
        }
    }

    fn serve(&mut self, client: usize, at: usize, request: Request) -> Result<(), Violation> {
        let number = request.number;
        let update = match request.body {
            Body::Query { prev, cell } => {
                self.nodes[at].held.push(Held {
                    client,
                    number,
                    prev,
                    cell,
                });
                let before = self.nodes[at].held.len();
                self.answer_held(at)?;
                if self.nodes[at].held.len() == before {
                    self.report.waited += 1;
                }
                return Ok(());
            }
            Body::Update(update) => update,
        };
        let (index, now) = (update.operation.index, self.now(at));
        let reply = match self.nodes[at].replica.update(update, now) {
            Ok(accepted) => {
                if accepted.number.is_none() {
                    self.report.repeated += 1;
                }
                Reply {
                    ts: accepted.ts,
                    clock: accepted.clock,
                    kind: Kind::Accepted { index },
                }
            }
            Err(Refusal::ClockAhead { .. } | Refusal::LogFull { .. }) => {
                self.report.refused += 1;
                Reply {
                    ts: Timestamp::new(),
                    clock: Time(0),
                    kind: Kind::Refused,
                }
            }
            Err(refusal) => {
                return self.judge(Err((
                    "I5",
                    format!("update {index} was refused: {refusal}"),
                )));
            }
        };
        self.send(Packet::Reply {
            client,
            number,
            reply,
        });
        self.answer_held(at)
    }

    fn receive(
        &mut self,
        from: usize,
        at: usize,
        message: Message<Ledger>,
        pull: bool,
    ) -> Result<(), Violation> {
        let brought = !matches!(&message, Message::Offer(offer) if offer.records.is_empty());
        match self.nodes[at].replica.receive(message) {
            Ok(received) => self.report.ignored += received.ignored,
            Err(error) => return self.judge(Err(("I4", format!("a state is refused: {error}")))),
        }
        let peer = self.nodes[from].replica.id();
        if pull {
            let answer = self.nodes[at].replica.message(peer, Scope::All);
            self.gossip(at, from, answer, false);
        } else if brought {
            let answer = Message::Offer(self.nodes[at].replica.report());
            self.gossip(at, from, answer, false);
        }
        self.answer_held(at)
    }

    /// Asks every held query again.
    fn answer_held(&mut self, at: usize) -> Result<(), Violation> {
        let now = self.now(at);
        let node = &mut self.nodes[at];
        let mut answers = Vec::new();
        let mut refused = None;
        node.held
            .retain(|held| match node.replica.query(&held.prev, now) {
                Ok(Some(view)) => {
                    let kind = Kind::Answer {
                        applied: view.value.applied().clone(),
                        read: view.value.read(held.cell),
                    };
                    let (ts, clock) = (view.ts.clone(), view.clock);
                    answers.push((held.client, held.number, Reply { ts, clock, kind }));
                    false
                }
                Ok(None) => true,
                Err(refusal) => {
                    refused = Some(refusal);
                    true
                }
            });
        if let Some(refusal) = refused {
            return self.judge(Err(("I1", format!("a query was refused: {refusal}"))));
        }
        for (client, number, reply) in answers {
            self.send(Packet::Reply {
                client,
                number,
                reply,
            });
        }
        Ok(())
    }

    fn answered(&mut self, client: usize, number: u32, reply: Reply) -> Result<(), Violation> {
        let elapsed = self.elapsed();
        let current = &mut self.clients[client];
        if current
            .open
            .as_ref()
            .is_none_or(|open| open.number != number)
        {
            return Ok(());
        }
        match reply.kind {
            Kind::Refused => return Ok(()),
            Kind::Accepted { index } => {
                current.observed.grow(index + 1);
                current.observed.insert(index);
                self.oracle.acknowledged(index);
                self.report.updates += 1;
            }
            Kind::Answer { applied, read } => {
                let verdict = self
                    .oracle
                    .check_answer(client, &current.observed, &applied);
                current.observed.union_with(&applied);
                self.report.queries += 1;
                self.report.hits += usize::from(read.is_some());
                self.judge(verdict)?;
            }
        }
        let current = &mut self.clients[client];
        current.open = None;
        current.observe(&reply.ts, reply.clock, elapsed);
        Ok(())
    }

    fn check(&mut self, at: usize) -> Result<(), Violation> {
        let node = &mut self.nodes[at];
        let verdict = self.oracle.check(&node.replica, &mut node.seen);
        self.judge(verdict)
    }
}
