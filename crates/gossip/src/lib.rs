//! Lazy replication (the gossip architecture) as a pure state machine.

#![no_std]

extern crate alloc;

mod exchange;
mod executed;
mod id;
mod log;
mod replica;
mod session;
mod time;
mod timestamp;
mod transfer;
mod update;
mod waiting;

pub use exchange::{Message, Offer, Received, Scope};
pub use id::{ReplicaId, SessionId, UpdateId};
pub use log::LogEntry;
pub use replica::{Accepted, Limits, Refusal, Replica, View};
pub use session::{Freshness, Session};
pub use time::{HybridClock, Time};
pub use timestamp::Timestamp;
pub use transfer::{Executed, MalformedState, State};
pub use update::{Record, Update, Value};
