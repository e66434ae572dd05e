//! Exhaustive model checking of the protocol core in small configurations.
//!
//! What is checked is [`backfence_gossip::Replica`] itself, not a model of it. Around
//! it stands the smallest world that can hurt it: messages that are lost, come
//! twice or late, sessions that go from replica to replica, retries whose first reply
//! was lost, disks that lag, crashes. Every order of these is tried, within the
//! bounds of a [`Setup`], by stateright's breadth-first search.
//!
//! In every state:
//!
//! - I1: whatever any session would be answered anywhere shows all that it saw;
//! - I2: no effect is visible where its cause is not, and no write loses to its cause;
//! - I3: no update took effect twice, and none is recorded twice by one replica;
//! - I4 and I5: were all faults to end here and gossip to flow, all replicas would
//!   come to equal values and value timestamps, nothing would wait, the logs would
//!   be empty, every acknowledged update would be there, and no session would wait
//!   for ever;
//! - I6: no step makes replica_ts, value_ts or the report of a peer smaller; over a
//!   restart, nor what was stored.
//!
//! # What stands for what
//!
//! Time is logical: physical time stands still, and an update's time is one more than
//! all that its session has seen. A message on its way may be delivered, delivered
//! with a copy left behind, or lost, at any time. A reply that arrives and one that
//! is lost are two steps. A crash leaves what was on the disk; the replica comes back
//! under a new incarnation, or under its old id where the setup says so, and joins
//! that state as if it had sent it to itself. Where
//! disks lag, a reply, an answer that reflects records of the replica's own, and a
//! message that counts records leave only when these are on the disk; to wait with
//! a message and then send it is the same as to send it then. The first update comes
//! to the first replica, since until then all are alike but for their names.
//!
//! A check in which nothing happened proves nothing: see [`Outcome::missing`].

mod action;
mod check;
mod configurations;
mod events;
mod judge;
mod model;
mod nodes;
mod requests;
mod setup;
mod shared;
mod state;
mod tally;

pub use check::{Counterexample, Outcome, check};
pub use setup::{Disk, Request, Setup};
