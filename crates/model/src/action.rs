//! The steps, and how they are told to a person.

use std::fmt;

use backfence_gossip::Message;

use crate::{
    state::{Cluster, Packet},
    tally::Tally,
};

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// A session sends its update, or a retry of it, to a replica; the reply arrives
    /// or is lost.
    Write { session: u8, at: u8, heard: bool },
    /// A copy of an acknowledged update arrives late.
    Late { update: u8, at: u8 },
    /// A session asks a replica.
    Read { session: u8, at: u8 },
    /// A replica sends a message to another.
    Send { from: u8, to: u8, content: Content },
    /// A message arrives.
    Deliver { packet: usize },
    /// A message arrives, and a copy of it is still on its way.
    Duplicate { packet: usize },
    /// A message is lost.
    Lose { packet: usize },
    /// A replica's disk catches up.
    Sync { at: u8 },
    /// A replica loses what is not on its disk, and starts again.
    Crash { at: u8 },
}

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// All that the receiver is known to lack, and a report.
    News,
    /// What it lacks of the sender's own records.
    Own,
    /// Only what the sender has.
    Report,
}

/// A step from a state, in words.
pub(crate) struct Told<'a>(pub(crate) &'a Cluster, pub(crate) &'a Action);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(cluster, action) = self;
        let id = |at: &u8| cluster.nodes[usize::from(*at)].replica.id();
        let packet = |at: &usize| Sent(cluster, &cluster.packets[*at]);
        match action {
            Action::Write { session, at, heard } => {
                let client = &cluster.clients[usize::from(*session)];
                let (again, update) = match client.open {
                    Some(update) => (" again", usize::from(update)),
                    None => ("", cluster.issued.len()),
                };
                let reply = if *heard {
                    "is answered"
                } else {
                    "hears nothing"
                };
                let prev = &client.session.prev;
                write!(
                    f,
                    "session {session} sends update {update} (prev {prev}){again} to {}, {reply}",
                    id(at)
                )
            }
            Action::Late { update, at } => {
                write!(f, "a late copy of update {update} arrives at {}", id(at))
            }
            Action::Read { session, at } => {
                let prev = &cluster.clients[usize::from(*session)].session.prev;
                write!(f, "session {session} (prev {prev}) reads at {}", id(at))
            }
            Action::Send { from, to, content } => {
                let content = match content {
                    Content::News => "what it lacks",
                    Content::Own => "what it lacks of its own",
                    Content::Report => "a report",
                };
                write!(f, "{} sends {} {content}", id(from), id(to))
            }
            Action::Deliver { packet: at } => write!(f, "{} arrives", packet(at)),
            Action::Duplicate { packet: at } => {
                write!(f, "{} arrives, and a copy of it is on its way", packet(at))
            }
            Action::Lose { packet: at } => write!(f, "{} is lost", packet(at)),
            Action::Sync { at } => write!(f, "{} has everything on its disk", id(at)),
            Action::Crash { at } => write!(f, "{} crashes and starts again", id(at)),
        }
    }
}

/// A message on its way, in words.
struct Sent<'a>(&'a Cluster, &'a Packet);

impl fmt::Display for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(cluster, packet) = self;
        let to = cluster.nodes[usize::from(packet.to)].replica.id();
        match &*packet.message {
            Message::Offer(offer) => {
                let (from, ts) = (offer.from, &offer.replica_ts);
                write!(f, "the offer of {from} with {ts} and ")?;
                match offer.records.as_slice() {
                    [] => f.write_str("no records")?,
                    records => {
                        f.write_str("records")?;
                        for record in records {
                            let (origin, number) = (record.origin(), record.number());
                            let update = record.update().operation;
                            write!(f, " {origin}/{number} (update {update})")?;
                        }
                    }
                }
            }
            Message::State(state) => {
                let (from, ts, floor) = (state.from, &state.replica_ts, &state.floor);
                write!(f, "the state of {from} with {ts}, floor {floor}")?;
            }
        }
        write!(f, " to {to}")
    }
}

/// What a replica holds, in words.
pub(crate) fn tell(cluster: &Cluster) -> String {
    let mut text = String::new();
    for node in &cluster.nodes {
        let replica = &node.replica;
        let value: &Tally = replica.value();
        text += &format!(
            "     {}: received {}, reflects {} = updates {:?}, {} in the log, {} waiting\n",
            replica.id(),
            replica.replica_ts(),
            replica.value_ts(),
            value.applied(),
            replica.log_len(),
            replica.waiting_len(),
        );
    }
    text
}
