//! Whole clusters of the protocol core, message by message, from one seed.
//!
//! A [`Plan`] says what happens: requests, retries, packets that arrive, are lost
//! or come twice, links that are cut, clocks that are wrong, replicas that join.
//! [`run`] plays it on real [`backfence_gossip::Replica`]s and checks after every
//! step, against a history that only it knows, that
//!
//! - I1: a session reads its own writes, its reads never go back, its writes are
//!   ordered;
//! - I2: no effect is visible at a replica where its cause is not;
//! - I3: each update takes effect once, however often and wherever it was sent;
//! - I4: after faults end and gossip flows, all replicas have equal values and
//!   value timestamps, nothing waits, and the logs drain;
//! - I5: an acknowledged update is never lost;
//! - I6: replica_ts, value_ts and the reports of peers only grow.
//!
//! The same plan gives the same run, always.

mod ledger;
mod oracle;
mod plan;
mod report;
mod session;
mod world;

pub use ledger::{Ledger, Write};
pub use oracle::Violation;
pub use plan::{Plan, Step};
pub use report::Report;
pub use world::run;
