//! This replica's copy: the protocol behind one lock, and who waits for it.

mod written;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backfence_gossip::{
    Accepted, MalformedState, Message, Received, Record, Refusal, Replica, ReplicaId, Scope,
    Timestamp, Update, View,
};
use backfence_process::{Address, Environment};
use backfence_ratings::{Base, Operation, Ratings, UnknownMovie};
use backfence_wire::v1;
use tokio::sync::{Notify, watch};

use crate::{
    Config,
    disk::Disk,
    incarnation::Start,
    members::{self, NotRetired},
    unwritten::{Position, Unwritten},
};

/// How long a replica waits for somebody to join by before it says that it is ready.
const JOIN: Duration = Duration::from_secs(2);

/// The one owner of the protocol's state.
///
/// The lock is a plain mutex: every call is short and none waits, so it is never
/// held across an await, and a task that wants it waits no longer than a call.
pub(crate) struct Copy {
    pub(crate) id: ReplicaId,
    pub(crate) address: Address,
    pub(crate) base: Arc<Base>,
    pub(crate) fingerprint: String,
    environment: Environment,
    overload_probability: f64,
    offline: AtomicBool,
    held: Mutex<Held>,
    /// Where nothing is told before it is written; `None` where nothing is kept.
    disk: Option<Disk>,
    /// Marked changed whenever the value has grown: held queries ask again.
    grown: watch::Sender<()>,
    /// Marked changed whenever there may be something to tell a peer: a front end's
    /// update was accepted, or it was heard who knows whom.
    news: watch::Sender<()>,
    /// The peers with a stream to them; told to pull at once.
    pulls: Mutex<BTreeMap<ReplicaId, Arc<Notify>>>,
    /// Told when there is one more of them.
    linked: Notify,
}

/// What the lock guards.
struct Held {
    replica: Replica<Ratings>,
    unwritten: Option<Unwritten>,
}

/// What may be told when the disk has come so far.
pub(crate) struct Told<T> {
    pub(crate) what: T,
    pub(crate) after: Position,
}

impl Copy {
    /// A replica that starts anew, or from what it had stored.
    ///
    /// # Errors
    ///
    /// If what it had stored is no state that a replica can be in.
    pub(crate) fn new(
        start: Start,
        base: Arc<Base>,
        address: Address,
        config: &Config,
        environment: Environment,
    ) -> Result<Self, MalformedState> {
        let id = start.id;
        let mut replica = Replica::new(id, Ratings::new(base.clone()), config.limits);
        let (disk, recovered) = start.disk.unzip();
        let mut unwritten = recovered.as_ref().map(Unwritten::after);
        if let Some(recovered) = recovered {
            written::recover(&mut replica, recovered)?;
        }
        replica.meet(start.members.iter().copied());
        if start.first {
            replica.found();
        }
        if let Some(unwritten) = &mut unwritten {
            unwritten.met(&replica);
        }
        Ok(Self {
            id,
            address,
            fingerprint: base.fingerprint(),
            base,
            environment,
            overload_probability: config.overload_probability,
            offline: AtomicBool::new(false),
            held: Mutex::new(Held { replica, unwritten }),
            disk,
            grown: watch::Sender::new(()),
            news: watch::Sender::new(()),
            pulls: Mutex::default(),
            linked: Notify::new(),
        })
    }

    /// Whether a front end's request is declined, and why. Over-load is drawn for
    /// each request and leaves the status alone. Where the disk is full, updates are,
    /// and queries whose answer would show what cannot be written.
    pub(crate) fn declines(&self, is_update: bool) -> Option<v1::Declined> {
        if self.is_full() && (is_update || !self.has_reached(self.held().own())) {
            Some(v1::Declined::DiskFull)
        } else if self.offline.load(Ordering::Relaxed) {
            Some(v1::Declined::Offline)
        } else if self.overload_probability > 0.0
            && self.environment.chance(self.overload_probability)
        {
            Some(v1::Declined::Overloaded)
        } else {
            None
        }
    }

    /// Turns the status round; says what it was and what it is.
    pub(crate) fn change_status(&self) -> (v1::ServerStatus, v1::ServerStatus) {
        let was_offline = self.offline.fetch_not(Ordering::Relaxed);
        (status(was_offline), status(!was_offline))
    }

    /// Retires another server for good. Whether it was retired before; that may be told
    /// when the disk has it.
    pub(crate) fn retire(&self, server: u32, force: bool) -> Result<Told<bool>, NotRetired> {
        let linked: Vec<_> = self.pulls().keys().copied().collect();
        let mut held = self.held();
        let already = members::may_retire(&held.replica, server, force, &linked)?;
        if held.replica.retire(server) {
            held.note_members();
        }
        let after = held.position();
        drop(held);
        self.wake_disk();
        self.grown.send_replace(());
        self.news.send_replace(());
        Ok(Told {
            what: already,
            after,
        })
    }

    /// Takes an update of a movie that exists.
    pub(crate) fn update(&self, update: Update<Operation>) -> Result<Told<Accepted>, UpdateError> {
        let now = self.environment.now();
        let mut held = self.held();
        let Held { replica, unwritten } = &mut *held;
        replica.value().check(&update.operation)?;
        let kept = unwritten.as_ref().map(|_| update.clone());
        let accepted = replica.update(update, now)?;
        if let (Some(number), Some(unwritten), Some(update)) = (accepted.number, unwritten, kept) {
            // The core took it just now, so it can be a record.
            unwritten.made(Record::new(self.id, number, update).expect("it was accepted"));
        }
        // A record that another has made is of use as a copy once it is written too.
        let after = match accepted.number {
            Some(_) => held.own(),
            None => held.position(),
        };
        drop(held);
        if accepted.number.is_some() {
            self.wake_disk();
            self.grown.send_replace(());
            self.news.send_replace(());
        }
        let what = accepted;
        Ok(Told { what, after })
    }

    /// Asks the value, if it covers `prev`. The answer may be told when this replica's
    /// own records are written: a crash before would give their numbers, which the
    /// answer names, to other updates.
    pub(crate) fn query<T>(
        &self,
        prev: &Timestamp,
        ask: impl FnOnce(View<'_, Ratings>) -> Option<T>,
    ) -> Result<Option<Told<T>>, Refusal> {
        let now = self.environment.now();
        let held = self.held();
        let after = held.own();
        let answer = held.replica.query(prev, now)?.and_then(ask);
        Ok(answer.map(|what| Told { what, after }))
    }

    /// The first record of each origin that `prev` asks for and the value lacks.
    pub(crate) fn missing(&self, prev: &Timestamp) -> Timestamp {
        self.held().replica.missing(prev)
    }

    /// Has what `prev` asks for and the value lacks pulled from peers, at once.
    pub(crate) fn pull(&self, prev: &Timestamp) {
        let sources = self.held().replica.sources(prev);
        let pulls = self.pulls();
        for source in sources {
            if let Some(pull) = pulls.get(&source) {
                pull.notify_one();
            }
        }
    }

    /// Has everything pulled from every peer with a stream, and pushed to it, at once.
    /// These are they.
    pub(crate) fn pull_all(&self) -> Vec<ReplicaId> {
        let pulls = self.pulls();
        pulls.values().for_each(|pull| pull.notify_one());
        pulls.keys().copied().collect()
    }

    /// What to send to a peer, when it may be told.
    pub(crate) async fn message(&self, peer: ReplicaId, scope: Scope) -> Message<Ratings> {
        self.when_written(|replica| replica.message(peer, scope))
            .await
    }

    /// A report, when it may be told.
    pub(crate) async fn report(&self) -> Message<Ratings> {
        self.when_written(|replica| Message::Offer(replica.report()))
            .await
    }

    /// Whether a peer lacks something, be it records or the news of a member.
    pub(crate) fn has_news_for(&self, peer: ReplicaId, scope: Scope) -> bool {
        let replica = &self.held().replica;
        replica.has_news_for(peer, scope) || !replica.knows_all(peer)
    }

    /// What a peer last reported: its records, and whether it knows every member.
    pub(crate) fn reported(&self, peer: ReplicaId) -> (Option<Timestamp>, bool) {
        let replica = &self.held().replica;
        (replica.reported(peer).cloned(), replica.knows_all(peer))
    }

    /// Takes a message of a peer. Whatever it brings, held queries ask again: also a
    /// retirement that comes to count may set them free.
    pub(crate) fn receive(&self, message: Message<Ratings>) -> Result<Received, MalformedState> {
        let mut held = self.held();
        let Held { replica, unwritten } = &mut *held;
        let kept = match (&message, &unwritten) {
            (Message::Offer(offer), Some(_)) => offer.records.clone(),
            _ => Vec::new(),
        };
        let received = replica.receive(message);
        if let (Ok(received), Some(unwritten)) = (&received, unwritten) {
            let is_new = |record: &Record<Operation>| {
                let mut accepted = received.accepted.iter();
                accepted.any(|(origin, numbers)| {
                    *origin == record.origin() && numbers.contains(&record.number())
                })
            };
            kept.into_iter()
                .filter(is_new)
                .for_each(|record| unwritten.received(record));
            if received.met {
                unwritten.met(replica);
            }
            if received.joined {
                unwritten.joined();
            }
        }
        drop(held);
        self.wake_disk();
        self.grown.send_replace(());
        if received.as_ref().is_ok_and(|received| received.heard) {
            self.news.send_replace(());
        }
        received
    }

    /// Hears of a peer that opens a stream.
    pub(crate) fn meet(&self, peer: ReplicaId) {
        let mut held = self.held();
        if held.replica.meet([peer]) {
            held.note_members();
        }
        drop(held);
        self.wake_disk();
        self.grown.send_replace(());
    }

    /// Where all `others` that are registered have said what they have and still nobody
    /// has been found to join by, they have started together, as a cluster.
    pub(crate) fn found_with(&self, others: usize) {
        let linked = self.pulls().len() >= others;
        let mut held = self.held();
        if linked && !held.replica.has_joined() {
            held.replica.found();
            held.note_members();
            drop(held);
            self.wake_disk();
            self.grown.send_replace(());
        }
    }

    /// Waits a while until it takes updates. Without all of its peers it may not for
    /// long, and answers queries.
    pub(crate) async fn joined(&self) {
        let mut grown = self.grown();
        let joined = async {
            while !self.held().replica.has_joined() {
                // The sender lives in this copy.
                let _ = grown.changed().await;
            }
        };
        let _ = tokio::time::timeout(JOIN, joined).await;
    }

    /// Waits until a later incarnation of this server is heard of, or its end. Whether
    /// it is the end.
    pub(crate) async fn retired(&self) -> bool {
        let mut grown = self.grown();
        while !self.held().replica.is_retired() {
            // The sender lives in this copy.
            let _ = grown.changed().await;
        }
        members::has_ended(&self.held().replica, self.id.server)
    }

    /// Marked changed whenever the value has grown.
    pub(crate) fn grown(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    /// Marked changed whenever there is something to push.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Lets the stream to `peer`, which has said what it has, be told to pull, until the
    /// entry is taken out.
    pub(crate) fn link(&self, peer: ReplicaId) -> Arc<Notify> {
        let pull = self.pulls().entry(peer).or_default().clone();
        self.linked.notify_one();
        pull
    }

    /// Waits for the next stream.
    pub(crate) async fn linked(&self) {
        self.linked.notified().await;
    }

    /// The stream to `peer` has ended.
    pub(crate) fn unlink(&self, peer: ReplicaId) {
        self.pulls().remove(&peer);
    }

    /// Who this is and what it has.
    pub(crate) fn describe(&self) -> v1::DescribeResponse {
        let held = self.held();
        let replica = &held.replica;
        let state = v1::ReplicaState {
            id: Some(self.id.into()),
            value_ts: Some(replica.value_ts().into()),
            replica_ts: Some(replica.replica_ts().into()),
            log_len: replica.log_len() as u64,
            waiting: replica.waiting_len() as u64,
        };
        v1::DescribeResponse {
            state: Some(state),
            status: status(self.offline.load(Ordering::Relaxed)).into(),
            fingerprint: self.fingerprint.clone(),
            members: replica.members().map(Into::into).collect(),
            known: members::known(replica),
        }
    }

    /// Whoever panicked inside a call may have left the state half-changed, so the
    /// panic goes on to everyone: a wrong answer would be worse than none.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("the protocol's state is intact")
    }

    fn pulls(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Arc<Notify>>> {
        self.pulls
            .lock()
            .expect("a map of peers cannot be half-changed")
    }
}

impl Held {
    /// Has who takes part written.
    fn note_members(&mut self) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.met(&self.replica);
        }
    }

    /// Up to here everything is to be written first.
    fn position(&self) -> Position {
        self.unwritten
            .as_ref()
            .map(Unwritten::position)
            .unwrap_or_default()
    }

    /// Up to this record its own are to be written first.
    fn own(&self) -> Position {
        self.unwritten
            .as_ref()
            .map(Unwritten::own)
            .unwrap_or_default()
    }
}

/// Why an update was not taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError {
    #[error(transparent)]
    UnknownMovie(#[from] UnknownMovie),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

const fn status(offline: bool) -> v1::ServerStatus {
    if offline {
        v1::ServerStatus::Offline
    } else {
        v1::ServerStatus::Online
    }
}
