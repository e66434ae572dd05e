//! What a replica keeps on disk, so that a crash loses nothing that it has told.
//!
//! A [`Store`] is one directory of one server. Each [`Store::write`] is one
//! transaction that is on stable storage when the call returns: records that were
//! accepted or received, members that were heard of, or a [`Checkpoint`]. What
//! gathers while one batch is written is best written as the next one.
//!
//! [`Store::open`] gives back what was written, as [`Recovered`]: the last checkpoint,
//! and the records after it. It needs no tool and no flag after any crash; it refuses a
//! directory that it cannot vouch for, changes nothing in it, and says why: [`OpenError`].
//! A store of a former format is [`Migrated`].
//!
//! # The contract with whoever calls it
//!
//! 1. [`Store::begin`] notes the incarnation of a new life before anything else.
//! 2. Nothing is told that a batch holds before its write has returned.
//! 3. On [`WriteError::NoSpace`] drop the store, and keep the batch: when
//!    [`Store::open`] succeeds again, write it again. All writes can be repeated.
//! 4. On [`WriteError::Failed`] stop the process. What the kernel still holds of the
//!    batch may be on the disk or not, and no later sync tells.
//! 5. The first checkpoint of a life is [whole](Checkpoint::whole), or else it holds all
//!    that changed with the records that [`Recovered`] gave besides its state.
//!
//! # Tables
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | a name | format, server, fingerprint, cluster, incarnation, the checkpoint's cut |
//! | `members` | server, incarnation | |
//! | `records` | server, incarnation, number | `backfence.v1.Record` |
//! | `waiting` | server, incarnation, number | |
//! | `cells` | user, movie | `backfence.v1.State.Cell` |
//! | `executed` | session | `backfence.v1.State.Executed`, without blocks |
//! | `digests` | session, number | `backfence.v1.State.Executed.Block` |
//!
//! The cut is a `backfence.v1.State` without log, executed and cells.

mod batch;
mod create;
mod error;
mod held;
mod migrate;
mod owner;
mod recover;
mod store;
mod tables;
mod watch;

pub use batch::{Batch, Checkpoint};
pub use create::{discard, is_there};
pub use error::{OpenError, WriteError};
pub use migrate::Migrated;
pub use recover::Recovered;
pub use store::Store;
