//! This replica's copy: the protocol behind one lock, and who waits for it.

mod admission;
mod age;
#[cfg(test)]
mod broken;
mod clocks;
mod core;
mod exchange;
mod identity;
mod written;

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use backfence_gossip::{MalformedState, Replica, ReplicaId, Time};
use backfence_process::{Address, CancellationToken, Environment, NodeKey, Nonce};
use backfence_ratings::{Base, Ratings};
use backfence_wire::v1;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};

use self::admission::Admission;
use self::clocks::Complaints;
pub(crate) use self::{
    core::{Core, UpdateError},
    exchange::{Clock, NotTaken},
    identity::{BUILD, Identity},
};
use crate::{
    Config,
    cluster::Cluster,
    disk::Disk,
    incarnation::Start,
    long::Long,
    members::{self, NotRetired, Noted},
    states::States,
    unwritten::{Position, Unwritten},
};

/// How long a replica waits for somebody to join by before it says that it is ready.
const JOIN: Duration = Duration::from_secs(2);

/// The one owner of the protocol's state.
///
/// The lock is a plain mutex: none of those who hold it waits, so it is never held across
/// an await. Who wants it waits for a batch of requests, or a part of a message, at most.
pub(crate) struct Copy {
    pub(crate) id: ReplicaId,
    pub(crate) address: Address,
    pub(crate) base: Arc<Base>,
    pub(crate) fingerprint: String,
    pub(crate) long: Long,
    pub(crate) states: Arc<States>,
    /// What others have to prove that they have.
    pub(crate) key: NodeKey,
    environment: Environment,
    overload_probability: f64,
    offline: AtomicBool,
    held: Mutex<Held>,
    /// Cancelled when a panic has left what is held half-changed.
    broken: CancellationToken,
    /// Where nothing is told before it is written; `None` where nothing is kept.
    disk: Option<Disk>,
    /// Marked changed whenever the value has grown: held queries ask again.
    grown: watch::Sender<()>,
    /// Marked changed whenever there may be something to tell a peer: a front end's
    /// update was accepted, or it was heard who knows whom.
    news: watch::Sender<()>,
    /// The peers with a stream to them.
    pulls: Mutex<BTreeMap<ReplicaId, Linked>>,
    /// Told when there is one more of them.
    linked: Notify,
    /// What others are to be told anew when it changes.
    identity: watch::Sender<Identity>,
    /// Whether it may serve, as far as its data go.
    admission: watch::Sender<Admission>,
    /// How many messages peers were sent.
    events: AtomicU64,
    /// Whose clocks were said to be wrong.
    clocks: Mutex<Complaints>,
    /// When a stranger was last complained about, in microseconds since 1970.
    complained: AtomicU64,
    /// The newest version of the wire that is spoken.
    newest: u32,
}

/// A peer with a stream to it.
#[derive(Default)]
struct Linked {
    /// Told to pull at once.
    pull: Arc<Notify>,
    /// When the last call was sent that it has answered.
    answered: Option<Instant>,
}

/// What the lock guards.
struct Held {
    replica: Replica<Ratings>,
    cluster: Cluster,
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
    /// If what it had stored is no state that a replica can be in, or needs a newer program.
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
            written::recover(&mut replica, recovered, environment.now())?;
        }
        replica.meet(start.members.iter().copied());
        if start.first {
            replica.found();
        }
        if let Some(unwritten) = &mut unwritten {
            unwritten.met(&replica);
        }
        let mut held = Held {
            replica,
            cluster: start.cluster,
            unwritten,
        };
        held.note_cluster();
        let identity = held.identity();
        Ok(Self {
            id,
            address,
            fingerprint: base.fingerprint(),
            base,
            long: Long::default(),
            states: Arc::default(),
            key: config.node_key(),
            complained: AtomicU64::new(0),
            environment,
            overload_probability: config.overload_probability,
            offline: AtomicBool::new(false),
            held: Mutex::new(held),
            broken: CancellationToken::new(),
            disk,
            grown: watch::Sender::new(()),
            news: watch::Sender::new(()),
            pulls: Mutex::default(),
            linked: Notify::new(),
            identity: watch::Sender::new(identity),
            admission: watch::Sender::new(Admission::at_start(start.differs)),
            events: AtomicU64::new(0),
            clocks: Mutex::default(),
            newest: config.limits.version,
        })
    }

    /// Whether a front end's request is declined, and why. Over-load is drawn for
    /// each request and leaves the status alone. Where the disk is full, updates are,
    /// and queries whose answer would show what cannot be written.
    pub(crate) fn declines(&self, is_update: bool) -> Option<v1::Declined> {
        if self.is_full() && (is_update || !self.has_reached(self.held().own())) {
            Some(v1::Declined::DiskFull)
        } else if self.may_not_serve() {
            Some(v1::Declined::Starting)
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

    /// Sets the status to what is wanted, or else turns it round; says what it was and
    /// what it is.
    pub(crate) fn change_status(
        &self,
        wanted: Option<v1::ServerStatus>,
    ) -> (v1::ServerStatus, v1::ServerStatus) {
        let offline = wanted.map(|wanted| wanted == v1::ServerStatus::Offline);
        let was_offline = match offline {
            Some(offline) => self.offline.swap(offline, Ordering::Relaxed),
            None => self.offline.fetch_not(Ordering::Relaxed),
        };
        let is_offline = offline.unwrap_or(!was_offline);
        (status(was_offline), status(is_offline))
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

    /// Waits for the disk, and until another who remains has noted that a server was retired,
    /// and the stream to that one has ended: until it knows that it is out it takes such orders
    /// itself, which nobody hears. At the deadline it waits no more. Says who has noted it.
    pub(crate) async fn noted(&self, server: u32, after: Position, deadline: Instant) -> Noted {
        self.reach(after).await;
        let mut grown = self.grown();
        loop {
            grown.mark_unchanged();
            let noted = self.look(|replica| Noted::of(replica, server)).what;
            let is_gone = !self.pulls().keys().any(|peer| peer.server == server);
            if noted.is_kept() && is_gone || Instant::now() >= deadline {
                return noted;
            }
            // Either way there is somebody to ask again: reports mark it too.
            let _ = timeout_at(deadline, grown.changed()).await;
        }
    }

    /// Where all `others` that are registered have said what they have and still nobody
    /// has been found to join by, they have started together, as a cluster. Those with other
    /// data are none of it.
    pub(crate) fn found_with<'a>(&self, others: impl Iterator<Item = &'a Address>) {
        let Some(others) = self.with_same_data(others) else {
            return;
        };
        let linked = self.pulls().len() >= others;
        let mut held = self.held();
        if linked && !held.replica.has_joined() {
            held.replica.found();
            held.note_members();
            self.tell_identity(&mut held);
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

    /// Names the next message that a peer is sent.
    pub(crate) fn next_event(&self) -> u64 {
        1 + self.events.fetch_add(1, Ordering::Relaxed)
    }

    /// To be used once.
    pub(crate) fn nonce(&self) -> Nonce {
        self.environment.nonce()
    }

    /// Logs what a stranger does, once in a second at most: strangers come as often as they like.
    pub(crate) fn complain_of_stranger(&self, why: impl FnOnce() -> String) {
        let (now, second) = (self.now().0, 1_000_000);
        let last = self.complained.load(Ordering::Relaxed);
        let is_due = now.saturating_sub(last) >= second;
        let won = is_due.then(|| {
            self.complained
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
        });
        if matches!(won, Some(Ok(_))) {
            tracing::warn!("{}", why());
        }
    }

    /// Physical time.
    pub(crate) fn now(&self) -> Time {
        self.environment.now()
    }

    /// What a session is to be told that the clock shows; 0 where it may be wrong.
    pub(crate) fn tells(&self) -> Time {
        let now = self.now();
        self.held().replica.tells(now)
    }

    /// Marked changed whenever there is something to push.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Waits until a panic has left the state half-changed. Nothing is read from it then,
    /// and the process is to end.
    pub(crate) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Whether it is.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_cancelled()
    }

    /// Whoever panicked inside a call may have left the state half-changed, so the
    /// panic goes on to everyone: a wrong answer would be worse than none.
    fn held(&self) -> Entered<'_> {
        Entered {
            held: self.held.lock().expect("the protocol's state is intact"),
            broken: &self.broken,
        }
    }
}

/// What the lock guards, for who has entered.
struct Entered<'a> {
    held: MutexGuard<'a, Held>,
    broken: &'a CancellationToken,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.broken.cancel();
        }
    }
}

impl Deref for Entered<'_> {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

impl DerefMut for Entered<'_> {
    fn deref_mut(&mut self) -> &mut Held {
        &mut self.held
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

const fn status(offline: bool) -> v1::ServerStatus {
    if offline {
        v1::ServerStatus::Offline
    } else {
        v1::ServerStatus::Online
    }
}
