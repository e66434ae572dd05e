//! Lazy replication (the gossip architecture) as a pure state machine.

#![no_std]

extern crate alloc;

mod id;
mod time;
mod timestamp;
mod update;

pub use id::{ReplicaId, SessionId, UpdateId};
pub use time::{HybridClock, Time};
pub use timestamp::Timestamp;
pub use update::{Record, Update, Value};
