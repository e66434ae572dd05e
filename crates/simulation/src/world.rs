//! A cluster, its network and its clients, one step at a time.

use std::{collections::BTreeSet, time::Duration};

use backfence_gossip::{Freshness, Limits, Message, Replica, ReplicaId, Scope, Time};

use crate::{
    Violation,
    ledger::{Ledger, Write},
    node::{Comeback, Node},
    oracle::{Oracle, Verdict},
    packet::Packet,
    plan::{Plan, Step},
    report::Report,
    session::{Client, Named, Request},
    trace::{Lane, Trace},
    versions::NEW,
};

/// Where true time starts.
pub(crate) const START: Time = Time(1_767_225_600_000_000);
/// True time goes on by this much at each step.
pub(crate) const STEP: Duration = Duration::from_millis(3);
/// Packets in flight; beyond, the oldest is lost.
const MAX_PACKETS: usize = 96;

/// One run.
pub(crate) struct World<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    /// How many sessions there were: no id is used twice.
    sessions: usize,
    pub(crate) front_ends: Vec<FrontEnd>,
    pub(crate) packets: Vec<Packet>,
    pub(crate) cuts: BTreeSet<(usize, usize)>,
    pub(crate) oracle: Oracle,
    pub(crate) steps: usize,
    /// Faults are over: every disk syncs at once, and a refusal ends a request.
    pub(crate) calm: bool,
    pub(crate) report: Report,
    pub(crate) trace: Trace,
    /// A replica that has told what was not on its disk.
    told_too_early: Option<usize>,
}

/// A front end: what it hopes for, and how often it was replaced.
#[derive(Default)]
pub(crate) struct FrontEnd {
    pub(crate) life: u32,
    pub(crate) freshness: Freshness,
}

impl<'a> World<'a> {
    pub(crate) fn new(plan: &'a Plan, trace: Trace) -> Self {
        let mut world = Self {
            plan,
            nodes: Vec::new(),
            clients: (1..=plan.sessions)
                .map(|number| Client::new(number, START, Duration::ZERO))
                .collect(),
            sessions: plan.sessions,
            front_ends: (0..plan.front_ends).map(|_| FrontEnd::default()).collect(),
            packets: Vec::new(),
            cuts: BTreeSet::new(),
            oracle: Oracle::default(),
            steps: 0,
            calm: false,
            report: Report::default(),
            trace,
            told_too_early: None,
        };
        for _ in 0..plan.replicas {
            world.join();
        }
        // They are started as a cluster: each knows of the others.
        for node in 0..plan.replicas {
            world.introduce(node);
            world.nodes[node].found();
        }
        world.hear_clocks();
        world
    }

    pub(crate) fn step(&mut self, step: Step) -> Result<(), Violation> {
        self.steps += 1;
        let nodes = self.nodes.len();
        let node = |number: u8| usize::from(number) % nodes;
        let client = |number: u8| usize::from(number) % self.plan.sessions;
        let front_end = |number: u8| usize::from(number) % self.plan.front_ends;
        match step {
            Step::Ask {
                session,
                via,
                to,
                cell,
            } => {
                self.ask(client(session), front_end(via), node(to), cell);
            }
            Step::Write {
                session,
                via,
                to,
                cell,
            } => {
                self.write(
                    client(session),
                    front_end(via),
                    (node(to), cell),
                    Named::Next,
                );
            }
            Step::Reuse {
                session,
                via,
                to,
                cell,
                back,
                same_time,
            } => {
                let back = usize::from(back);
                let again = Named::Again { back, same_time };
                if self.clients[client(session)].has_written() {
                    self.write(client(session), front_end(via), (node(to), cell), again);
                }
            }
            Step::Leap {
                session,
                via,
                to,
                cell,
                by,
            } => {
                let named = match by {
                    0 => Named::Between,
                    by => Named::Ahead(1 << by),
                };
                self.write(client(session), front_end(via), (node(to), cell), named);
            }
            Step::Retry { session, via, to } => {
                self.retry(client(session), front_end(via), node(to));
            }
            Step::GiveUp { session } => {
                self.report.given_up += usize::from(self.clients[client(session)].give_up());
            }
            Step::LateRetry { session, via, to } => {
                let client = client(session);
                if let Some(request) = self.clients[client].given_up.clone() {
                    self.report.late += 1;
                    self.request(client, front_end(via), node(to), request);
                }
            }
            Step::NewSession { session } => {
                self.sessions += 1;
                let (client, elapsed) = (client(session), self.elapsed());
                self.clients[client].start_anew(self.sessions, START.after(elapsed), elapsed);
            }
            Step::ReplaceFrontEnd { front_end: number } => {
                self.replace_front_end(front_end(number));
            }
            Step::Deliver { packet } => {
                if let Some(packet) = self.take(packet) {
                    self.deliver(packet)?;
                }
            }
            Step::Drop { packet } => {
                self.report.dropped += usize::from(self.take(packet).is_some());
            }
            Step::Duplicate { packet } => self.duplicate(packet),
            Step::Push { from, to } => self.push(node(from), node(to)),
            Step::Pull { from, to } => self.pull(node(from), node(to)),
            Step::Impatience { replica } => self.lose_patience(node(replica))?,
            Step::Sync { replica } => self.sync(node(replica)),
            Step::Crash { replica } => self.crash(node(replica)),
            Step::Restart { replica } => self.restart(node(replica))?,
            Step::Backup { replica } => self.nodes[node(replica)].back_up(),
            Step::Restore { replica } => self.lose_disk(node(replica), Comeback::Backup)?,
            Step::Wipe { replica } => self.lose_disk(node(replica), Comeback::Nothing)?,
            Step::Cut { from, to } => self.cut([(node(from), node(to))]),
            Step::Isolate { replica } => {
                let alone = node(replica);
                self.cut((0..nodes).flat_map(|other| [(alone, other), (other, alone)]));
            }
            Step::Heal => self.cuts.clear(),
            Step::Skew { replica, ms } => self.skew(node(replica), ms),
            Step::Poison { replica, how } => self.poison(node(replica), how)?,
            Step::Retire { replica, at } => self.retire(node(replica), node(at))?,
            Step::Replace { replica } => self.replace(node(replica))?,
            Step::Join => {
                if nodes < self.plan.most_replicas {
                    self.join();
                    self.report.joined += 1;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn judge(&self, verdict: Verdict) -> Result<(), Violation> {
        verdict.map_err(|(invariant, what)| Violation {
            invariant,
            step: self.steps,
            what,
        })
    }

    pub(crate) fn elapsed(&self) -> Duration {
        STEP * u32::try_from(self.steps).unwrap_or(u32::MAX)
    }

    pub(crate) fn now(&mut self, node: usize) -> Time {
        let truth = START.after(self.elapsed());
        self.nodes[node].now(truth)
    }

    fn join(&mut self) {
        let server = u32::try_from(self.nodes.len() + 1).expect("few replicas");
        let limits = Limits {
            message_bytes: self.plan.message_bytes,
            log_bytes: self.plan.log_bytes,
            late: Duration::from_millis(self.plan.late_ms),
            version: self.plan.program(self.steps, (server, 1)),
            ..Limits::default()
        };
        self.nodes.push(Node::new(server, limits));
        self.introduce(self.nodes.len() - 1);
    }

    fn ask(&mut self, client: usize, via: usize, to: usize, cell: u8) {
        if self.clients[client].open.is_none() {
            let request = self.clients[client].ask(cell);
            self.request(client, via, to, request);
        }
    }

    fn write(&mut self, client: usize, via: usize, (to, cell): (usize, u8), named: Named) {
        if self.clients[client].open.is_none() {
            let elapsed = self.elapsed();
            let index = self.oracle.update(&self.clients[client].observed);
            let delete = index % 3 == 2;
            let write = Write {
                index,
                cell,
                delete,
                newer: self.plan.is_newer(index),
            };
            let request = self.clients[client].write(write, named, elapsed);
            match named {
                Named::Next => {}
                Named::Ahead(_) | Named::Between => self.report.leapt += 1,
                Named::Again { .. } => self.report.reused += 1,
            }
            self.oracle.made(&request);
            self.request(client, via, to, request);
        }
    }

    pub(crate) fn retry(&mut self, client: usize, via: usize, to: usize) {
        if let Some(request) = self.clients[client].open.clone() {
            self.report.retried += 1;
            self.request(client, via, to, request);
        }
    }

    fn request(&mut self, client: usize, via: usize, to: usize, request: Request) {
        let lane = Lane::Replica(to);
        self.trace
            .note(self.steps, Lane::Session(client), Some(lane), || {
                request.to_string()
            });
        let front_end = &self.front_ends[via];
        self.send(Packet::Request {
            client,
            front_end: (via, front_end.life),
            to,
            hoped: front_end.freshness.hoped().clone(),
            request,
        });
    }

    fn push(&mut self, from: usize, to: usize) {
        let peer = self.nodes[to].id();
        let Some(replica) = &self.nodes[from].replica else {
            return;
        };
        if from != to && replica.has_news_for(peer, Scope::Own) {
            let message = replica.message(peer, Scope::Own);
            self.gossip(from, (to, peer), message, false);
        }
    }

    pub(crate) fn pull(&mut self, from: usize, to: usize) {
        self.advance(from);
        let peer = self.nodes[to].id();
        let Some(replica) = &self.nodes[from].replica else {
            return;
        };
        if from != to {
            let report = Message::Offer(replica.report());
            self.gossip(from, (to, peer), report, true);
        }
    }

    /// Time passes at a replica, as it does now and then.
    pub(crate) fn advance(&mut self, at: usize) {
        let now = self.now(at);
        if let Some(replica) = &mut self.nodes[at].replica {
            let advanced = replica.advance(now);
            replica.release(Ledger::release);
            self.report.forgotten += advanced.forgotten.len();
            if advanced.settled {
                self.nodes[at].checkpoint();
            }
        }
    }

    /// A replica says something to a peer: to a server in one of its lives.
    pub(crate) fn gossip(
        &mut self,
        from: usize,
        (to, peer): (usize, ReplicaId),
        message: Message<Ledger>,
        pull: bool,
    ) {
        if !self.may_speak(from, to, peer) {
            return;
        }
        self.report.states += usize::from(matches!(message, Message::State(_)));
        let now = self.now(from);
        self.say(
            from,
            Packet::Gossip {
                from,
                to,
                peer,
                message,
                now,
                pull,
            },
        );
    }

    /// A replica says something: it leaves when what it tells is on the disk.
    pub(crate) fn say(&mut self, from: usize, packet: Packet) {
        self.nodes[from].say(packet);
        if self.calm || self.plan.slow_disks >> from & 1 == 0 {
            self.sync(from);
        }
    }

    pub(crate) fn sync(&mut self, node: usize) {
        for packet in self.nodes[node].sync() {
            self.send(packet);
        }
    }

    pub(crate) fn send(&mut self, packet: Packet) {
        if let Packet::Gossip { from, message, .. } = &packet
            && !self.nodes[*from].has_stored(message)
        {
            self.told_too_early = Some(*from);
        }
        if let Packet::Gossip { from, to, .. } | Packet::Hello { from, to, .. } = packet
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

    pub(crate) fn check(&mut self, at: usize) -> Result<(), Violation> {
        if let Some(node) = self.told_too_early {
            let id = self.nodes[node].id();
            self.judge(Err(("I5", format!("{id} tells what is not on its disk"))))?;
        }
        let node = &mut self.nodes[at];
        let Some(replica) = &node.replica else {
            return Ok(());
        };
        let mut verdict = self.oracle.check(replica, &mut node.seen);
        if verdict.is_ok() && self.plan.versions.is_some() && node.version() < NEW {
            verdict = self.oracle.check_understood(replica);
        }
        self.judge(verdict)
    }

    /// The replicas that live.
    pub(crate) fn replicas(&self) -> Vec<&Replica<Ledger>> {
        self.nodes
            .iter()
            .filter_map(|node| node.replica.as_ref())
            .collect()
    }
}
