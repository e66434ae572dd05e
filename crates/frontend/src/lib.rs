//! The Backfence front end: sends each request to a replica that can serve it.
//!
//! A client sends its session's token with each request and gets the next one
//! back; the front end keeps nothing that a session depends on, so any front end
//! will do. Tokens are sealed with a key that all front ends share. Each request
//! makes one pass over the servers in order of their numbers: each is tried once at
//! most, for an equal share of the time that is left, until one serves it. An update
//! keeps its id and time over these tries.
//!
//! A server that does not answer is skipped for a while, with one probe at a time;
//! it is tried all the same, last, when all others have failed. Requests and
//! replies share one stream for each server, matched by number.
//!
//! Nothing grows without a bound: requests in work (4096 in all, 1024 for each
//! server), their size (64 KiB), and the time that each may take (60 s). What goes
//! beyond is answered with an error at once.

mod breaker;
mod clusters;
mod data;
mod deadline;
mod error;
mod fresh;
mod front_end;
mod guard;
mod link;
mod members;
mod memory;
mod operator;
mod pass;
mod request;
mod router;
mod run;
mod said;
mod seal;
mod server;
mod service;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use front_end::FrontEnd;
pub use run::{Config, run};

/// No change is left half-made by a panic, so a poisoned lock is fine.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
