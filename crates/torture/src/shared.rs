//! What sessions and faults share while a run is on.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backfence_client::Timestamp;
use tokio::{sync::RwLock, time::Instant};
use tokio_util::sync::CancellationToken;

/// One hot cell gives way to a new one after this long.
const SHIFT: Duration = Duration::from_secs(5);
/// How long a session rests after a request that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(50);
/// An answer that took longer counts as held up.
const LONG: Duration = Duration::from_millis(100);

/// How many cells have ceased to be hot since the run began.
pub(crate) fn shifted(begun: Instant) -> u64 {
    begun.elapsed().as_secs() / SHIFT.as_secs()
}

/// What sessions and faults share while a run is on. Without a clock: in a simulation
/// each host has its own.
#[derive(Debug)]
pub(crate) struct Shared {
    rate: u32,
    taken: AtomicU64,
    ended: CancellationToken,
    /// Held for reading by who has a request in work: who gets it for writing knows that
    /// nobody has.
    pub(crate) at_work: RwLock<()>,
    seen: Mutex<Timestamp>,
    pub(crate) counts: Counts,
}

/// What became of requests.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) reads: AtomicU64,
    pub(crate) failed_reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) failed_sends: AtomicU64,
    pub(crate) unknown_sends: AtomicU64,
    pub(crate) moves: AtomicU64,
    /// Requests that failed, stayed in doubt, or took long.
    pub(crate) held_up: AtomicU64,
    /// The longest answer, in microseconds.
    pub(crate) longest_us: AtomicU64,
}

impl Shared {
    /// It is over when the token is cancelled, here or elsewhere.
    pub(crate) fn new(rate: u32, ended: CancellationToken) -> Self {
        Self {
            rate,
            taken: AtomicU64::new(0),
            ended,
            at_work: RwLock::new(()),
            seen: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// Waits until it is time for the next request, of all that are made since `begun`;
    /// `false` when there are to be no more.
    pub(crate) async fn turn(&self, begun: Instant) -> bool {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let due = Duration::from_secs_f64(number as f64 / f64::from(self.rate));
        tokio::time::sleep_until(begun + due).await;
        !self.is_over()
    }

    /// Whether there are to be no more requests.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// A request that was not answered is made up for by another one, a little later: it is
    /// answers that come at the rate.
    pub(crate) async fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        tokio::time::sleep(AFTER_FAILURE).await;
    }

    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// Takes in what a session has seen.
    pub(crate) fn saw(&self, ts: &Timestamp) {
        self.seen_lock().merge(ts);
    }

    /// All that any session has seen.
    pub(crate) fn seen(&self) -> Timestamp {
        self.seen_lock().clone()
    }

    fn seen_lock(&self) -> std::sync::MutexGuard<'_, Timestamp> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how long a request took, and whether it was answered.
    pub(crate) fn took(&self, time: Duration, answered: bool) {
        if !answered || time > LONG {
            Self::add(&self.held_up);
        }
        if answered {
            let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            self.longest_us.fetch_max(us, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
