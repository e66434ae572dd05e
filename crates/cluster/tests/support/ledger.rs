//! A load that remembers what was acknowledged, and what must be there afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::Arc,
    time::Duration,
};

use backfence_client::{
    Client, Error, MovieId, Prepared, ReplicaId, Session, Source, Time, UpdateId, UserId,
    UserRating,
};
use backfence_cluster::Cluster;
use backfence_process::{ClusterKey, Environment};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use super::{PATIENCE, change, drained, stars};

/// All sessions rate for this user, besides one of their own each.
const SHARED: UserId = UserId(999);
const MOVIES: u64 = 9;
/// Between two updates of a session.
const PACE: Duration = Duration::from_millis(5);

/// What one cell of the ratings showed; `None` where there was no rating.
type Seen = Option<UserRating>;
type Cell = (UserId, MovieId);

/// A load of several sessions, through any front end that the registry knows.
pub(crate) struct Load {
    end: watch::Sender<bool>,
    acknowledged: Arc<watch::Sender<u64>>,
    sessions: JoinSet<Writer>,
}

impl Load {
    pub(crate) async fn start(cluster: &Cluster, sessions: u64) -> Self {
        let seed = seed();
        println!("BACKFENCE_SEED={seed}");
        let client = registered(cluster).await;
        let end = watch::Sender::new(false);
        let acknowledged = Arc::new(watch::Sender::new(0));
        let mut writers = JoinSet::new();
        for number in 0..sessions {
            let writer = Writer {
                session: client.session(),
                own: UserId(1000 + number as u32),
                random: seed.wrapping_mul(1 << 20).wrapping_add(number),
                ledger: Ledger::default(),
            };
            writers.spawn(writer.run(end.subscribe(), acknowledged.clone()));
        }
        Self {
            end,
            acknowledged,
            sessions: writers,
        }
    }

    /// Waits until so many more updates were acknowledged.
    pub(crate) async fn acknowledged(&self, more: u64) {
        let mut count = self.acknowledged.subscribe();
        let wanted = *count.borrow_and_update() + more;
        let reached = count.wait_for(|count| *count >= wanted);
        let reached = timeout_at(Instant::now() + PATIENCE, reached).await;
        reached
            .unwrap_or_else(|_| panic!("{more} more updates were not acknowledged in {PATIENCE:?}"))
            .expect("the load goes on");
    }

    /// Ends it, and checks that all that was acknowledged is seen by whoever did it and
    /// at each of so many replicas, that these are equal, and that their logs drain.
    pub(crate) async fn end(self, cluster: &Cluster, replicas: u32) -> Ledger {
        let mut ledger = Ledger::default();
        self.end.send_replace(true);
        for mut writer in self.sessions.join_all().await {
            let own = &writer.ledger;
            own.check_session(&mut writer.session).await;
            ledger.join(writer.ledger);
        }
        assert!(!ledger.acknowledged.is_empty(), "nothing was acknowledged");
        ledger.check(cluster, replicas).await;
        ledger
    }
}

/// A client that finds its front ends again after they have moved.
pub(crate) async fn registered(cluster: &Cluster) -> Client {
    let registry = Source::Registry(cluster.registry().parse().expect("an address"));
    let key = ClusterKey::read(&cluster.key()).expect("it has one");
    let deadline = Instant::now() + PATIENCE;
    loop {
        // A registry that came back hears of them again a little later.
        match Client::connect(&Environment::real(), registry.clone()).await {
            Ok(client) => return client.with_cluster_key(key),
            Err(error) if Instant::now() > deadline => panic!("{error}"),
            Err(_) => {}
        }
    }
}

/// `BACKFENCE_SEED`, or another one each time.
pub(crate) fn seed() -> u64 {
    match env::var("BACKFENCE_SEED") {
        Ok(seed) => seed.parse().expect("BACKFENCE_SEED is a number"),
        Err(_) => Environment::real().now().0 % 1_000_000,
    }
}

/// `BACKFENCE_CYCLES`: how often to crash something.
pub(crate) fn cycles(unless_said: usize) -> usize {
    match env::var("BACKFENCE_CYCLES") {
        Ok(cycles) => cycles.parse().expect("BACKFENCE_CYCLES is a number"),
        Err(_) => unless_said,
    }
}

/// The next number of a sequence that looks random (splitmix64).
pub(crate) fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One session that writes, and now and then reads what it wrote.
struct Writer {
    session: Session,
    own: UserId,
    random: u64,
    ledger: Ledger,
}

impl Writer {
    async fn run(
        mut self,
        end: watch::Receiver<bool>,
        acknowledged: Arc<watch::Sender<u64>>,
    ) -> Self {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*end.borrow() {
            let Some(update) = self.prepare().await else {
                pace.tick().await;
                continue;
            };
            self.ledger.sent(update);
            // The same update, over and over, until somebody says that it was taken.
            while !*end.borrow() {
                pace.tick().await;
                if self.send(&update).await {
                    acknowledged.send_modify(|count| *count += 1);
                    break;
                }
            }
            if draw(&mut self.random).is_multiple_of(4) {
                self.look((update.user, update.movie)).await;
            }
        }
        self
    }

    async fn prepare(&mut self) -> Option<Prepared> {
        let mut draw = |below| draw(&mut self.random) % below;
        let user = if draw(4) == 0 { SHARED } else { self.own };
        let movie = MovieId(1 + draw(MOVIES) as u32);
        let rating = format!("{}.{}", draw(5), 5 * draw(2));
        let rating = (draw(8) > 0).then(|| stars(&rating));
        self.session.prepare(user, movie, rating).await.ok()
    }

    async fn send(&mut self, update: &Prepared) -> bool {
        let before = self.session.seen();
        match self.session.send(update).await {
            Ok(_) => {
                let after = self.session.seen();
                let new = after
                    .iter()
                    .filter(|&(id, number)| number > before.count(id));
                self.ledger.acknowledged(update, new);
                true
            }
            Err(
                Error::AllBusy
                | Error::OutcomeUnknown { .. }
                | Error::Unreachable { .. }
                | Error::OutOfTime { .. },
            ) => false,
            Err(error) => panic!("an update failed: {error}"),
        }
    }

    /// What it has written itself it reads, or something later; or nothing at all.
    async fn look(&mut self, cell: Cell) {
        if let Ok(seen) = self.session.view(cell.0, cell.1).await
            && cell.0 != SHARED
        {
            self.ledger.check_cell(cell, seen);
        }
    }
}

/// What was sent, and what of it was acknowledged.
#[derive(Default)]
pub(crate) struct Ledger {
    sent: BTreeMap<Cell, Vec<Prepared>>,
    acknowledged: BTreeSet<UpdateId>,
    /// Which update was told which number.
    numbers: BTreeMap<(ReplicaId, u64), UpdateId>,
}

impl Ledger {
    fn sent(&mut self, update: Prepared) {
        let cell = (update.user, update.movie);
        self.sent.entry(cell).or_default().push(update);
    }

    fn acknowledged(&mut self, update: &Prepared, numbers: impl Iterator<Item = (ReplicaId, u64)>) {
        self.acknowledged.insert(update.id);
        for number in numbers {
            self.number(number, update.id);
        }
    }

    fn number(&mut self, number: (ReplicaId, u64), id: UpdateId) {
        let other = self.numbers.insert(number, id);
        let (replica, number) = number;
        assert!(
            other.is_none_or(|other| other == id),
            "number {number} of {replica} was given to {other:?} and to {id}"
        );
    }

    /// Takes over what another has noted of the same cluster.
    pub(crate) fn join(&mut self, other: Self) {
        for (cell, updates) in other.sent {
            self.sent.entry(cell).or_default().extend(updates);
        }
        self.acknowledged.extend(other.acknowledged);
        for (number, id) in other.numbers {
            self.number(number, id);
        }
    }

    /// How many updates were acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.acknowledged.len()
    }

    /// The session can go on, is told of no loss, and reads what it has written.
    async fn check_session(&self, session: &mut Session) {
        for &cell in self.sent.keys() {
            let seen = look(session, cell).await;
            if cell.0 != SHARED {
                self.check_cell(cell, seen);
            }
        }
        let lost = session.take_losses();
        assert!(lost.is_empty(), "a past was lost with servers {lost:?}");
    }

    /// At every replica there is what was acknowledged, or what superseded it, and the
    /// replicas are equal.
    pub(crate) async fn check(&self, cluster: &Cluster, replicas: u32) {
        let mut session = registered(cluster).await.session();
        drained(&mut session, replicas as usize).await;
        let mut first: Option<BTreeMap<Cell, Seen>> = None;
        for replica in 1..=replicas {
            let others: Vec<_> = (1..=replicas).filter(|&other| other != replica).collect();
            change(&mut session, &others).await;
            let mut all = BTreeMap::new();
            for &cell in self.sent.keys() {
                let seen = look(&mut session, cell).await;
                self.check_cell(cell, seen);
                all.insert(cell, seen);
            }
            change(&mut session, &others).await;
            let first = first.get_or_insert_with(|| all.clone());
            assert_eq!(*first, all, "servers 1 and {replica} differ");
        }
    }

    fn check_cell(&self, cell: Cell, seen: Seen) {
        let sent = &self.sent[&cell];
        // Of two with the same time either may win: the ids that decide are told to nobody.
        let order = |update: &Prepared| update.time;
        let is_acknowledged = |update: &&Prepared| self.acknowledged.contains(&update.id);
        let last = sent.iter().filter(is_acknowledged).map(order).max();
        let is_seen = |update: &&Prepared| match seen {
            Some(seen) => seen.update == Some(update.id) && update.rating == Some(seen.rating),
            None => update.rating.is_none(),
        };
        let shown: Option<Time> = sent.iter().filter(is_seen).map(order).max();
        assert!(
            shown >= last && (shown.is_some() || seen.is_none()),
            "{cell:?} shows {seen:?} of {shown:?}, and {last:?} was acknowledged"
        );
    }
}

/// Views until there is an answer.
async fn look(session: &mut Session, (user, movie): Cell) -> Seen {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match session.view(user, movie).await {
            Ok(seen) => return seen,
            Err(error) if Instant::now() > deadline => panic!("{user}, {movie}: {error}"),
            Err(_) => {}
        }
    }
}
