//! What a program gets from outside: connections, time, randomness.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use backfence_gossip::Time;
use hyper_util::rt::TokioIo;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::Address;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_millis(500);
/// A connection is pinged when it was silent for this long, also without a call ...
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// ... and given up when it stays silent for this long after.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(1);
/// A clock that goes back by no more than this stands meanwhile.
const STANDS: Duration = Duration::from_secs(5);
/// Where a seeded environment's clock starts: 2026-01-01T00:00:00Z.
const SEEDED_START: Time = Time(1_767_225_600_000_000);

/// A connection's bytes.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A connection in the making.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// How to reach an address. [`Environment::real`] has TCP; a simulation its own.
pub trait Connector: Send + Sync + 'static {
    /// Opens a connection. The caller gives up after 500 ms.
    fn connect(&self, address: Address) -> Connecting;
}

/// What a program gets from outside. A clone is the same environment.
#[derive(Clone)]
pub struct Environment {
    connector: Arc<dyn Connector>,
    clock: Arc<dyn Fn() -> Time + Send + Sync>,
    /// The greatest time given so far, in microseconds.
    latest: Arc<AtomicU64>,
    /// Behind a mutex because any task may draw; it is held for one draw.
    random: Arc<Mutex<StdRng>>,
}

impl Environment {
    /// TCP, the system's clock, and a generator seeded by the system.
    pub fn real() -> Self {
        Self::new(rand::make_rng(), wall_clock)
    }

    /// Everything reproducible but the network, which is TCP until
    /// [`with_connector`](Self::with_connector) replaces it: a generator with
    /// this seed, and a clock that starts at 2026-01-01 and goes by
    /// [`tokio::time`]. Make one inside each simulated host.
    pub fn seeded(seed: u64) -> Self {
        let start = Instant::now();
        let clock = move || SEEDED_START.after(start.elapsed());
        Self::new(StdRng::seed_from_u64(seed), clock)
    }

    fn new(random: StdRng, clock: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self {
            connector: Arc::new(Tcp),
            clock: Arc::new(clock),
            latest: Arc::default(),
            random: Arc::new(Mutex::new(random)),
        }
    }

    /// The same environment with another way to connect.
    #[must_use]
    pub fn with_connector(self, connector: impl Connector) -> Self {
        Self {
            connector: Arc::new(connector),
            ..self
        }
    }

    /// The same environment with another wall clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self {
            clock: Arc::new(clock),
            latest: Arc::default(),
            ..self
        }
    }

    /// The same environment with a generator of its own, from this seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self {
            random: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            ..self
        }
    }

    /// A channel to the address, which connects at the first call and again
    /// whenever the connection has broken. Must be called inside a runtime.
    ///
    /// Connecting is bounded by 500 ms and a silent connection is given up after
    /// 2 s, but a call has no limit: wrap each in [`within`](crate::within).
    pub fn connect(&self, address: &Address) -> Channel {
        let connector = Arc::clone(&self.connector);
        let target = address.clone();
        let connect = move |_: Uri| {
            let connection = connector.connect(target.clone());
            async move { connection.await.map(TokioIo::new) }
        };
        Endpoint::from_shared(format!("http://{address}"))
            .expect("an address is a valid authority of a URI")
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_with_connector_lazy(tower::service_fn(connect))
    }

    /// The wall clock. While the system's goes back by up to 5 s, it stands. Where that goes back
    /// further, it was wrong, and is followed.
    pub fn now(&self) -> Time {
        let read = (self.clock)();
        let latest = self.latest.fetch_max(read.0, Ordering::Relaxed).max(read.0);
        if Time(latest).since(read) <= STANDS {
            return Time(latest);
        }
        self.latest.store(read.0, Ordering::Relaxed);
        read
    }

    /// A random number.
    pub fn random_u64(&self) -> u64 {
        self.rng().random()
    }

    /// A random number, for ids that must never meet.
    pub fn random_u128(&self) -> u128 {
        self.rng().random()
    }

    /// 32 random bytes, for what is used once.
    pub fn nonce(&self) -> [u8; 32] {
        self.rng().random()
    }

    /// True with probability `p`; out of 0 to 1, with the nearer of the two.
    pub fn chance(&self, p: f64) -> bool {
        self.rng().random_bool(p.clamp(0.0, 1.0))
    }

    /// A random duration between half of this one and the whole, so that many
    /// programs do not act in step.
    pub fn jitter(&self, duration: Duration) -> Duration {
        duration.mul_f64(self.rng().random_range(0.5..=1.0))
    }

    /// A draw cannot leave the generator half-changed, so a poisoned lock is fine.
    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

struct Tcp;

impl Connector for Tcp {
    fn connect(&self, address: Address) -> Connecting {
        Box::pin(async move {
            let stream = TcpStream::connect((address.host(), address.port())).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

fn wall_clock() -> Time {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time::default().after(since_1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_back_only_where_it_was_wrong() {
        let reading = Arc::new(AtomicU64::new(5));
        let clock = Arc::clone(&reading);
        let environment =
            Environment::seeded(1).with_clock(move || Time(clock.load(Ordering::Relaxed)));
        let mut given = Vec::new();
        let hour = 3_600_000_000;
        for read in [5, 9, 3, 8, 10, hour, 11, 9, 12] {
            reading.store(read, Ordering::Relaxed);
            given.push(environment.clone().now().0);
        }
        assert_eq!(given, [5, 9, 9, 9, 10, hour, 11, 11, 12]);
    }

    #[test]
    fn one_seed_draws_the_same_again() {
        let draw = |seed| {
            let environment = Environment::seeded(seed);
            (environment.random_u64(), environment.random_u128())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn chance_and_jitter_keep_their_bounds() {
        let environment = Environment::seeded(3);
        for _ in 0..1000 {
            assert!(environment.chance(2.0));
            assert!(!environment.chance(-1.0));
            let drawn = environment.jitter(Duration::from_secs(1));
            assert!((Duration::from_millis(500)..=Duration::from_secs(1)).contains(&drawn));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_seeded_clock_goes_by_the_runtime() {
        let environment = Environment::seeded(3);
        let before = environment.now();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(environment.now().since(before), Duration::from_secs(3));
    }
}
