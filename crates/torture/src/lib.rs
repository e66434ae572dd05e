//! Runs a real Backfence cluster under faults, and checks what its clients saw.
//!
//! [`run`] starts the real programs with data directories, lets sessions fight over a few
//! ratings that change every few seconds, answer each other and move from front end to
//! front end, and meanwhile kills, halts and restarts programs, wipes disks and puts old
//! copies back, and as root cuts networks. Then the faults end, everything has to come to rest, and it is checked that
//!
//! - the history of what the sessions saw is causally consistent with convergence;
//! - all replicas have one digest, and empty logs;
//! - each acknowledged update is visible, or superseded by a later one;
//! - no session was told of a loss, and no number of a replica was given twice;
//! - averages are those of the ratings;
//! - enough happened for all that to mean something.
//!
//! A disk is only replaced when all other replicas have on theirs what any session has
//! seen: what only one disk has may be lost with it. That one is spared then, and counted.

mod cells;
mod faults;
mod journal;
mod ledger;
mod nemesis;
mod network;
mod plan;
mod probe;
mod report;
mod run;
mod shared;
mod talker;

pub use faults::{Faults, Kind, Tally};
pub use network::{Simulated, simulate};
pub use plan::Plan;
pub use report::{Found, History, Operations, Report, Verdict};
pub use run::{Ran, run};
