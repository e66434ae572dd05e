//! What happens when a packet arrives.

use backfence_gossip::{
    MalformedState, Message, Refusal, Scope, Time, Timestamp, Unbelievable, Update,
};

use crate::{
    Violation,
    ledger::{Ledger, Write},
    node::Held,
    packet::{Kind, Packet, Reply},
    session::{Body, Request},
    trace::Lane,
    world::World,
};

impl World<'_> {
    pub(crate) fn deliver(&mut self, packet: Packet) -> Result<(), Violation> {
        self.report.delivered += 1;
        match packet {
            Packet::Request {
                client,
                front_end,
                to,
                hoped,
                request,
            } => {
                if self.nodes[to].replica.is_none() {
                    return Ok(());
                }
                self.serve(client, front_end, to, hoped, request)?;
                self.check(to)
            }
            Packet::Reply {
                from,
                client,
                front_end,
                number,
                reply,
            } => {
                if self.front_ends[front_end.0].life != front_end.1 {
                    return Ok(());
                }
                self.pass_on(front_end.0, &reply);
                self.answered(from, client, number, reply)
            }
            Packet::Hello {
                from,
                to,
                hello,
                answers,
            } => self.hear_hello((from, to), hello, answers),
            Packet::Gossip {
                from,
                to,
                peer,
                message,
                now,
                pull,
            } => {
                if self.nodes[to].replica.is_none() || !self.is_heard(to, peer, &message)? {
                    return Ok(());
                }
                self.receive(from, to, (message, now), pull)?;
                self.check(to)
            }
        }
    }

    fn serve(
        &mut self,
        client: usize,
        front_end: (usize, u32),
        at: usize,
        hoped: Timestamp,
        request: Request,
    ) -> Result<(), Violation> {
        self.advance(at);
        let number = request.number;
        match request.body {
            Body::Query { prev, cell } => {
                self.nodes[at].held.push(Held {
                    client,
                    front_end,
                    number,
                    prev,
                    hoped: Some(hoped),
                    cell,
                });
                let before = self.nodes[at].held.len();
                self.answer_held(at)?;
                self.report.waited += usize::from(self.nodes[at].held.len() == before);
                Ok(())
            }
            Body::Update(update, seen) => {
                let reply = self.update(at, update, seen)?;
                self.say(
                    at,
                    Packet::Reply {
                        from: at,
                        client,
                        front_end,
                        number,
                        reply,
                    },
                );
                self.answer_held(at)
            }
        }
    }

    fn update(&mut self, at: usize, update: Update<Write>, seen: Time) -> Result<Reply, Violation> {
        let (Write { index, newer, .. }, now) = (update.operation, self.now(at));
        let node = &mut self.nodes[at];
        let is_retired = node.retired;
        let replica = node.replica.as_mut().expect("only the living are asked");
        match replica.update_after(update, seen, now) {
            Ok(accepted) => {
                match accepted.number {
                    Some(number) => {
                        node.accepted(number);
                        self.oracle.recorded(node.id(), number, index);
                        if is_retired {
                            self.oracle.given_up(index);
                        }
                        if newer {
                            self.judge_newer(at)?;
                        }
                    }
                    None => self.report.repeated += 1,
                }
                Ok(Reply {
                    ts: accepted.ts,
                    clock: accepted.clock,
                    now,
                    lost: accepted.lost,
                    kind: Kind::Accepted { index },
                })
            }
            Err(Refusal::ClockAhead { .. } | Refusal::LogFull { .. }) => {
                self.report.refused += 1;
                Ok(Reply::refused())
            }
            Err(Refusal::TooLate { .. }) => {
                self.report.too_late += 1;
                Ok(Reply::refused())
            }
            Err(Refusal::NotJoined { .. }) => Ok(Reply::refused()),
            Err(Refusal::Suspect { .. }) => {
                self.report.declined += 1;
                Ok(Reply::declined())
            }
            Err(Refusal::TooNew { .. }) if newer && self.too_old_for_newer(at).is_some() => {
                self.report.too_new += 1;
                Ok(Reply::final_refusal())
            }
            Err(Refusal::Retired { .. }) if is_retired => Ok(Reply::refused()),
            Err(Refusal::UpdateIdReused { id }) if self.oracle.is_reused(id) => {
                self.report.clashed += 1;
                Ok(Reply::final_refusal())
            }
            Err(refusal) => {
                let what = format!("update {index} was refused: {refusal}");
                Err(Violation {
                    invariant: "I5",
                    step: self.steps,
                    what,
                })
            }
        }
    }

    fn receive(
        &mut self,
        from: usize,
        at: usize,
        (message, theirs): (Message<Ledger>, Time),
        pull: bool,
    ) -> Result<(), Violation> {
        let brought = !matches!(&message, Message::Offer(offer) if offer.records.is_empty());
        if brought {
            let (here, there) = (Lane::Replica(from), Some(Lane::Replica(at)));
            self.trace
                .note(self.steps, here, there, || describe(&message));
        }
        let (peer, now) = (message.from(), self.now(at));
        let node = &mut self.nodes[at];
        let replica = node.replica.as_mut().expect("only the living are told");
        replica.hear_clock(peer, theirs, now);
        match replica.receive(message, now) {
            Ok(received) => {
                self.report.ignored += received.ignored;
                self.report.from_the_dead += usize::from(received.retired);
                self.report.outdated += usize::from(received.outdated);
                self.report.stranded += received.late.len();
                self.report.held += received.held.len();
                received
                    .late
                    .iter()
                    .for_each(|id| self.oracle.came_late(*id));
                node.received(received);
            }
            // By clocks that differ; it comes again.
            Err(MalformedState::Unbelievable(Unbelievable::Ahead { .. })) => {
                self.report.unbelieved += 1;
                return Ok(());
            }
            Err(error) => return self.judge(Err(("I4", format!("a state is refused: {error}")))),
        }
        let replica = self.nodes[at].replica.as_ref().expect("it still lives");
        if pull {
            let answer = replica.message(peer, Scope::All);
            self.gossip(at, (from, peer), answer, false);
        } else if brought {
            let answer = Message::Offer(replica.report());
            self.gossip(at, (from, peer), answer, false);
        }
        self.answer_held(at)
    }

    /// Asks every held query again.
    pub(crate) fn answer_held(&mut self, at: usize) -> Result<(), Violation> {
        let now = self.now(at);
        let node = &mut self.nodes[at];
        let Some(replica) = &node.replica else {
            return Ok(());
        };
        let (mut answers, mut refused, mut declined) = (Vec::new(), None, 0);
        node.held.retain(|held| {
            let reply = match replica.query(&held.prev, now) {
                Ok(Some(view)) if held.hopes_beyond(view.ts) => return true,
                Ok(Some(view)) => Reply::answer(view, held, replica.tells(now)),
                Ok(None) => return true,
                Err(Refusal::Suspect { .. }) => {
                    declined += 1;
                    Reply::declined()
                }
                Err(Refusal::Retired { .. }) if node.retired => Reply::refused(),
                Err(refusal) => {
                    refused = Some(refusal);
                    return true;
                }
            };
            answers.push(Packet::Reply {
                from: at,
                client: held.client,
                front_end: held.front_end,
                number: held.number,
                reply,
            });
            false
        });
        self.report.declined += declined;
        if let Some(refusal) = refused {
            return self.judge(Err(("I1", format!("a query was refused: {refusal}"))));
        }
        for answer in answers {
            self.say(at, answer);
        }
        Ok(())
    }

    /// The queries held at a replica stop waiting for what is merely hoped for.
    pub(crate) fn lose_patience(&mut self, at: usize) -> Result<(), Violation> {
        for held in &mut self.nodes[at].held {
            held.hoped = None;
        }
        self.answer_held(at)?;
        self.check(at)
    }

    /// What a front end learns from a reply.
    fn pass_on(&mut self, front_end: usize, reply: &Reply) {
        let freshness = &mut self.front_ends[front_end].freshness;
        match &reply.kind {
            Kind::Answer { hoped, .. } => freshness.answered(hoped, &reply.ts),
            Kind::Accepted { .. } => freshness.observe(&reply.ts),
            Kind::Refused | Kind::Declined | Kind::RefusedForGood => {}
        }
    }

    fn answered(
        &mut self,
        from: usize,
        client: usize,
        number: u32,
        reply: Reply,
    ) -> Result<(), Violation> {
        let elapsed = self.elapsed();
        let current = &mut self.clients[client];
        if current
            .open
            .as_ref()
            .is_none_or(|open| open.number != number)
        {
            return Ok(());
        }
        let (here, there) = (Lane::Replica(from), Some(Lane::Session(client)));
        match reply.kind {
            Kind::Refused => {
                if self.calm {
                    current.open = None;
                }
                return Ok(());
            }
            Kind::Declined => return Ok(()),
            Kind::RefusedForGood => {
                self.report.given_up += usize::from(current.give_up());
                return Ok(());
            }
            Kind::Accepted { index } => {
                self.trace.note(self.steps, here, there, || {
                    format!("update {index} accepted with {}", reply.ts)
                });
                current.observed.grow_and_insert(index);
                self.oracle.acknowledged(index);
                self.report.updates += 1;
            }
            Kind::Answer { applied, read, .. } => {
                self.trace.note(self.steps, here, there, || {
                    format!("answer {read:?} from {}", reply.ts)
                });
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
        current.observe(&reply.ts, (reply.clock, reply.now), elapsed);
        if current.session.lose(&reply.lost) {
            self.report.pasts_lost += 1;
        }
        Ok(())
    }
}

fn describe(message: &Message<Ledger>) -> String {
    match message {
        Message::Offer(offer) => {
            let numbers: Vec<_> = offer
                .records
                .iter()
                .map(|record| format!("{}#{}", record.origin(), record.number()))
                .collect();
            format!("records {}", numbers.join(" "))
        }
        Message::State(state) => format!("state {}", state.value_ts),
    }
}
