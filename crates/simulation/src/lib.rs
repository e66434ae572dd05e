//! Whole clusters of the protocol core, message by message, from one seed.
//!
//! A [`Plan`] says what happens: requests, retries, packets that arrive, are lost
//! or come twice, links that are cut, clocks that jump, replicas that die, lose
//! their disks, come back or join, front ends that come and go. [`run`] plays it on real [`backfence_gossip::Replica`]s and checks after every
//! step, against a history that only it knows, that
//!
//! - I1: a session reads its own writes, its reads never go back, its writes are
//!   ordered;
//! - I2: no effect is visible at a replica where its cause is not;
//! - I3: each update takes effect once, however often and wherever it was sent;
//! - I4: after faults end and gossip flows, all replicas have equal values and
//!   value timestamps, nothing waits, and the logs drain;
//! - I5: an acknowledged update is never lost while a disk that has it survives;
//! - I6: replica_ts, value_ts and the reports of peers only grow;
//! - I7: where programs of two versions run, no replica is given, or told of, a record that
//!   its program does not understand, and an update of the newer kind is accepted once
//!   all who remain have said that they understand it.
//!
//! A disk holds what the core's return values say must be stored, and nothing is told
//! before what it tells is there. A replica that comes back takes a new incarnation
//! and joins what is on its disk.
//!
//! The same plan gives the same run, always. [`shrink`] makes a plan that breaks a
//! promise shorter, [`picture`] draws it.

mod disk;
mod faults;
mod hello;
mod hostile;
mod ledger;
mod node;
mod oracle;
mod packet;
mod plan;
mod report;
mod run;
mod session;
mod shrink;
mod trace;
mod traffic;
mod versions;
mod world;

pub use ledger::{Ledger, Write};
pub use oracle::Violation;
pub use plan::{Plan, Step};
pub use report::Report;
pub use run::{picture, run};
pub use shrink::shrink;
