//! Lazy replication (the gossip architecture) as a pure state machine.
//!
//! Several replicas hold copies of one value. Any of them takes an update and
//! answers at once; the others get it later, by gossip. Yet nobody ever sees an
//! effect without its cause, and no session sees its own history go backwards.
//!
//! # How it works
//!
//! Each [`Replica`] numbers the updates that it accepts. A [`Timestamp`] counts,
//! per replica, how many of its updates something reflects or depends on; it is the
//! protocol's only notion of "before". A client's [`Session`] keeps one, `prev`: the
//! merge of the timestamps of all replies that it has had.
//!
//! - **Update.** The [`Update`] carries `prev`. The replica that takes it gives it
//!   the next number, which with `prev` makes the timestamp of its [`Record`], and
//!   puts the record into its log. It replies at once, whatever it lacks.
//! - **Query.** The query carries `prev`. A replica answers when its value reflects
//!   all of it, `prev <= value_ts`; otherwise the query waits.
//! - **Gossip.** Replicas send each other the records that the receiver, by its own
//!   report, lacks. A record is applied when it is *stable*: when all that it
//!   depends on is reflected in the value. Then the value timestamp grows by it.
//! - **Retries.** An update keeps its [`UpdateId`] wherever it is sent. A replica
//!   that knows it replies as the first time; a value takes each update once. It is known by
//!   its id and its [`Digest`]: two that bear the same id are two.
//! - **Concurrent updates** reach replicas in different orders, so the application's
//!   [`Value::apply`] must not depend on it: let the greatest `(time, id)` win.
//! - **Discarding.** A record leaves the log when every other replica has reported
//!   to have it. Whoever lacks a record that is gone is sent the whole [`State`],
//!   which it joins with its own.
//! - **Settling.** Each replica refuses what is dated before its horizon, a while behind its
//!   clock. What all have reported from behind theirs, and is applied, is settled: nothing
//!   older can come, so the ids of such updates are forgotten, and deletions need no mark.
//! - **Versions.** Replicas of several versions work together. An update that only newer ones
//!   understand is taken once every replica that remains has said to understand it.
//! - **Lives.** A server that may have forgotten what it issued comes back under a new
//!   [`ReplicaId`]. Its lives before are over once everyone has all of them that anyone
//!   has; then one entry of a timestamp stands for them all ([`Timestamp::ALL`]).
//!
//! # The contract with whoever drives it
//!
//! Nothing here reads a clock, draws a random number, or does I/O; the same calls
//! give the same results, always. Physical time is an argument, and never the hybrid
//! clock. The driver has to:
//!
//! 1. give every replica an id that was never used before, and the same initial
//!    value;
//! 2. merge **every** reply, to queries too, into the session: [`Session::observe`];
//! 3. make an update's id and time together, once, with the session's
//!    [`HybridClock`], and repeat both on every retry;
//! 4. ask a query that got `None` again after every growth of the value;
//! 5. store what [`Accepted::number`] and [`Received`] name before it sends the reply,
//!    or a report that counts it; and give a replica that comes back from a crash a
//!    new incarnation, and what it had stored as a message from itself;
//! 6. pull from every peer now and then: a push may be lost;
//! 7. pass on what each peer says to understand, [`Replica::understands`], and exchange
//!    nothing with one that does not understand what this one [needs](Replica::needs);
//! 8. say of each message of a peer that it has sought out what that peer's clock showed,
//!    [`Replica::hear_clock`], before the message itself; and give sessions with each reply what
//!    its replica's clock shows;
//! 9. say each second or so what time it is, [`Replica::advance`], and store a checkpoint
//!    before the next report where more is settled by it.
//!
//! # A cluster in seventy lines
//!
//! ```
//! use std::{
//!     collections::BTreeMap,
//!     hash::{DefaultHasher, Hash as _, Hasher as _},
//!     time::Duration,
//! };
//!
//! use backfence_gossip::{
//!     Digest, HybridClock, Limits, Message, Replica, ReplicaId, Scope, Session, SessionId, Time, Update,
//!     UpdateId, Value,
//! };
//!
//! /// The application: words by key. The latest write to a key wins.
//! #[derive(Clone, Default)]
//! struct Words(BTreeMap<String, (Time, UpdateId, String)>);
//!
//! impl Value for Words {
//!     type Operation = (String, String);
//!
//!     fn apply(&mut self, update: &Update<Self::Operation>) {
//!         let (key, word) = update.operation.clone();
//!         self.write(key, (update.time, update.id, word));
//!     }
//!
//!     fn merge(&mut self, other: Self) {
//!         other.0.into_iter().for_each(|(key, written)| self.write(key, written));
//!     }
//!
//!     fn size((key, word): &Self::Operation) -> usize {
//!         key.len() + word.len() + 8
//!     }
//!
//!     fn digest(update: &Update<Self::Operation>) -> Digest {
//!         // Enough among friends; where clients are not trusted, use SHA-256.
//!         let mut hasher = DefaultHasher::new();
//!         (update.time, &update.operation).hash(&mut hasher);
//!         Digest(u128::from(hasher.finish()).to_be_bytes())
//!     }
//! }
//!
//! impl Words {
//!     fn write(&mut self, key: String, written: (Time, UpdateId, String)) {
//!         let last = self.0.entry(key).or_insert_with(|| written.clone());
//!         *last = last.clone().max(written);
//!     }
//! }
//!
//! let replica = |server| Replica::new(ReplicaId::new(server, 1), Words::default(), Limits::default());
//! let (mut here, mut there) = (replica(1), replica(2));
//! // They are the first; a replica that comes later joins by hearing from these.
//! here.found();
//! there.found();
//! let now = Time(1_767_225_600_000_000);
//!
//! // A session writes at one replica.
//! let (mut session, mut clock) = (Session::new(SessionId(7)), HybridClock::default());
//! clock.observe(Time(0), now, Duration::ZERO);
//! let update = Update {
//!     id: UpdateId::new(session.id, 1),
//!     prev: session.prev.clone(),
//!     time: clock.tick(Duration::from_millis(1)),
//!     operation: ("greeting".into(), "hello".into()),
//! };
//! let reply = here.update(update.clone(), now)?;
//! session.observe(&reply.ts, reply.clock);
//!
//! // The other replica has not heard of it: it does not answer from an older value.
//! assert!(there.query(&session.prev, now)?.is_none());
//!
//! // It says what it has, and is sent what it lacks: here the whole state, since
//! // until now the first replica knew of nobody to keep its record for.
//! let _ = here.receive(Message::Offer(there.report()), now)?;
//! let received = there.receive(here.message(there.id(), Scope::All), now)?;
//! assert!(received.joined);
//! let view = there.query(&session.prev, now)?.expect("it covers the session now");
//! assert_eq!(view.value.0["greeting"].2, "hello");
//!
//! // A retry is answered as the first time, also here, and changes nothing.
//! let again = there.update(update, now)?;
//! assert_eq!((again.ts, again.number), (reply.ts, None));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//!
//! - R. Ladin, B. Liskov, L. Shrira, S. Ghemawat: *Providing High Availability Using
//!   Lazy Replication*, ACM Transactions on Computer Systems 10(4), 1992. The terms
//!   are theirs: `prev` and `cid` (here [`UpdateId`]), `value_ts`, `replica_ts`
//!   (`rep_ts`), `ts_table`, the log, the executed operation table.
//! - G. Coulouris, J. Dollimore, T. Kindberg, G. Blair: *Distributed Systems: Concepts
//!   and Design*, 5th edition, section 18.4.1.

#![no_std]

extern crate alloc;

mod apply;
mod believe;
mod clocks;
mod exchange;
mod executed;
mod fold;
mod id;
mod log;
mod members;
mod message;
mod refusal;
mod replica;
mod session;
mod settle;
mod state;
mod time;
mod timestamp;
mod transfer;
mod update;
mod version;
mod waiting;

pub use believe::{MAX_MEMBERS, MAX_SERVERS, Unbelievable};
pub use clocks::Skew;
pub use executed::{Block, Executed, FirstReply, Older};
pub use id::{ReplicaId, SessionId, UpdateId};
pub use log::LogEntry;
pub use members::Standing;
pub use message::{Message, Offer, Received, Scope};
pub use refusal::Refusal;
pub use replica::{Accepted, Limits, Replica, View};
pub use session::{Freshness, Session};
pub use settle::Advanced;
pub use state::{MalformedState, State};
pub use time::{HybridClock, Time};
pub use timestamp::Timestamp;
pub use update::{Digest, Record, Update, Value};
