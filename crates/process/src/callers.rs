//! Who is connected, what each has open, and who has to go.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Places;

/// Calls in work in all.
const CALLS: usize = 8192;
/// Calls of which the rest of the request is waited for, in all.
const ARRIVING: usize = 2048;
/// How long a response may stay unread before its connection is cut.
const UNREAD: Duration = Duration::from_secs(10);

/// The connections of one server.
#[derive(Debug)]
pub(crate) struct Callers {
    next: AtomicU64,
    /// Held for one change, never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connections: HashMap<u64, Connected>,
    calls: Places<u64>,
    arriving: Places<u64>,
}

#[derive(Debug)]
struct Connected {
    cut: CancellationToken,
    /// When the last of its calls ended, or it came.
    idle_since: Instant,
    /// The responses that are on their way, by when they were made.
    unread: BTreeSet<(Instant, u64)>,
}

/// The connection that a call comes by: among the extensions of each request.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    number: u64,
    of: Arc<Callers>,
}

impl Callers {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU64::new(1),
            state: Mutex::new(State {
                connections: HashMap::new(),
                calls: Places::new(CALLS),
                arriving: Places::new(ARRIVING),
            }),
        })
    }

    /// A new connection, which ends when it is `cut`.
    pub(crate) fn connected(self: &Arc<Self>, cut: CancellationToken) -> Client {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connected = Connected {
            cut,
            idle_since: Instant::now(),
            unread: BTreeSet::new(),
        };
        self.state().connections.insert(number, connected);
        let of = Arc::clone(self);
        Client(Arc::new(Inner { number, of }))
    }

    /// Cuts the connection that has had no call for longest. False where each has one.
    pub(crate) fn cut_idle(&self) -> bool {
        let state = self.state();
        let State {
            connections, calls, ..
        } = &*state;
        let idle = connections
            .iter()
            .filter(|&(number, connected)| calls.of(number) == 0 && !connected.cut.is_cancelled());
        let longest = idle.min_by_key(|&(number, connected)| (connected.idle_since, number));
        longest.is_some_and(|(_, connected)| {
            connected.cut.cancel();
            true
        })
    }

    /// Cuts the connections that leave their responses unread.
    pub(crate) fn cut_unread(&self, now: Instant) {
        for connected in self.state().connections.values() {
            let oldest = connected.unread.first();
            if oldest.is_some_and(|&(made, _)| now.duration_since(made) >= UNREAD) {
                connected.cut.cancel();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// Numbers the connection, among those of this server.
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// A place for a call; `None` where the connection has its share.
    pub(crate) fn call(&self) -> Option<Call> {
        let taken = self.0.of.state().calls.take(self.0.number);
        taken.then(|| Call {
            caller: self.clone(),
            made: None,
        })
    }

    /// A place for a call of which the rest is waited for.
    pub(crate) fn arriving(&self) -> Option<Arriving> {
        let taken = self.0.of.state().arriving.take(self.0.number);
        taken.then(|| Arriving(self.clone()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.0.number)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.of.state().connections.remove(&self.number);
    }
}

/// The place of a call, until it is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    caller: Client,
    /// When its response was made, and a number that no other has.
    made: Option<(Instant, u64)>,
}

impl Call {
    /// Its response is made whole, and only to be read.
    pub(crate) fn answered(&mut self) {
        let Inner { number, of } = &*self.caller.0;
        let made = (Instant::now(), of.next.fetch_add(1, Ordering::Relaxed));
        if let Some(connected) = of.state().connections.get_mut(number) {
            connected.unread.insert(made);
            self.made = Some(made);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Inner { number, of } = &*self.caller.0;
        let mut state = of.state();
        state.calls.give_back(number);
        if let Some(connected) = state.connections.get_mut(number) {
            if let Some(made) = &self.made {
                connected.unread.remove(made);
            }
            connected.idle_since = Instant::now();
        }
    }
}

/// The place of a call of which the rest is waited for, until it is dropped.
#[derive(Debug)]
pub(crate) struct Arriving(Client);

impl Drop for Arriving {
    fn drop(&mut self) {
        let Inner { number, of } = &*self.0.0;
        of.state().arriving.give_back(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(callers: &Arc<Callers>) -> (Client, CancellationToken) {
        let cut = CancellationToken::new();
        (callers.connected(cut.clone()), cut)
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_idle_for_longest_goes_first() {
        let callers = Callers::new();
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(connected(&callers));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let call = all[0].0.call().unwrap();
        let gone = |all: &[(Client, CancellationToken)]| -> Vec<bool> {
            all.iter().map(|(_, cut)| cut.is_cancelled()).collect()
        };
        assert!(callers.cut_idle());
        assert_eq!(gone(&all), [false, true, false]);
        drop(call);
        // It has been busy since the third came.
        assert!(callers.cut_idle());
        assert_eq!(gone(&all), [false, true, true]);
        let call = all[0].0.call();
        assert!(!callers.cut_idle());
        drop(call);
        assert!(callers.cut_idle() && !callers.cut_idle());
        all.clear();
        assert!(callers.state().connections.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_goes() {
        let callers = Callers::new();
        let ((reads, read), (silent, unread)) = (connected(&callers), connected(&callers));
        let (mut one, mut other) = (reads.call().unwrap(), silent.call().unwrap());
        let _long = reads.call().unwrap();
        one.answered();
        other.answered();
        tokio::time::advance(UNREAD / 2).await;
        callers.cut_unread(Instant::now());
        drop(one);
        tokio::time::advance(UNREAD / 2).await;
        callers.cut_unread(Instant::now());
        assert!(!read.is_cancelled() && unread.is_cancelled());
    }

    #[tokio::test]
    async fn a_connection_has_its_share_of_calls() {
        let callers = Callers::new();
        let (greedy, newcomer) = (connected(&callers).0, connected(&callers).0);
        let held: Vec<_> = std::iter::from_fn(|| greedy.call()).collect();
        assert_eq!(held.len(), CALLS / 2);
        let sent: Vec<_> = std::iter::from_fn(|| greedy.arriving()).collect();
        assert_eq!(sent.len(), ARRIVING / 2);
        assert!(newcomer.call().is_some() && newcomer.arriving().is_some());
        drop((held, sent));
        assert!(greedy.call().is_some() && greedy.arriving().is_some());
    }
}
