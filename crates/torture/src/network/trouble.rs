//! What goes wrong in a simulated network.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use backfence_client::Client;
use backfence_process::{Discovery, Name};
use rand::{
    RngExt as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use tokio::time::{Instant, sleep};

use super::{
    hosts::{REGISTRY, front_end, server},
    line::Resets,
};
use crate::{probe, shared::Shared};

/// How long servers may take to have what one of them is about to lose.
const HANDED_OVER: Duration = Duration::from_secs(8);
/// How long servers may take to register again after the registry has come back.
const LISTED: Duration = Duration::from_secs(8);

/// What only the simulation itself can do.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Crash(String),
    Bounce(String),
}

pub(crate) type Orders = Rc<RefCell<VecDeque<Order>>>;

/// Who makes things go wrong, on a host of the simulation.
pub(crate) struct Trouble {
    pub(crate) replicas: u32,
    pub(crate) front_ends: u32,
    pub(crate) sessions: u32,
    pub(crate) seed: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: Client,
    pub(crate) discovery: Discovery,
    pub(crate) resets: Resets,
    pub(crate) orders: Orders,
}

/// How often each kind was done.
pub(crate) type Counted = BTreeMap<&'static str, u64>;

impl Trouble {
    /// Makes so many things go wrong, one or two at a time, and mends each.
    pub(crate) async fn make(&self, faults: u32) -> Counted {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut counted = Counted::new();
        for _ in 0..faults {
            sleep(Duration::from_millis(random.random_range(50..800))).await;
            if self.shared.is_over() {
                break;
            }
            let kind = self.one(&mut random).await;
            *counted.entry(kind).or_default() += 1;
        }
        counted
    }

    async fn one(&self, random: &mut StdRng) -> &'static str {
        let kind = random.random_range(0..8);
        let hold = Duration::from_millis(random.random_range(100..6000));
        let (one, other) = self.pair(random);
        match kind {
            0 => {
                turmoil::partition(one.as_str(), other.as_str());
                sleep(hold).await;
                turmoil::repair(one.as_str(), other.as_str());
                "link cut"
            }
            1 => {
                turmoil::partition_oneway(one.as_str(), other.as_str());
                sleep(hold).await;
                turmoil::repair_oneway(one.as_str(), other.as_str());
                "link cut one way"
            }
            2 => {
                turmoil::hold(one.as_str(), other.as_str());
                sleep(hold).await;
                turmoil::release(one.as_str(), other.as_str());
                "link held"
            }
            3 => {
                let all = self.all();
                let cut_off = || all.iter().filter(|host| **host != one);
                cut_off().for_each(|host| turmoil::partition(one.as_str(), host.as_str()));
                sleep(hold).await;
                cut_off().for_each(|host| turmoil::repair(one.as_str(), host.as_str()));
                "host cut off"
            }
            4 => {
                self.resets.reset(&one);
                self.resets.reset(&other);
                "connections reset"
            }
            5 => {
                self.bounce(REGISTRY.to_owned(), hold).await;
                "registry crashed"
            }
            6 => {
                let number = random.random_range(1..=self.front_ends);
                self.bounce(front_end(number), hold).await;
                "front end crashed"
            }
            _ => {
                self.crash_replica(random.random_range(1..=self.replicas), hold)
                    .await
            }
        }
    }

    /// Crashes a replica, if all others have all that any session has seen: it keeps
    /// nothing on disk.
    async fn crash_replica(&self, number: u32, hold: Duration) -> &'static str {
        let others: Vec<_> = (1..=self.replicas)
            .filter(|&other| other != number)
            .collect();
        // Until it is gone it may give out what it alone has, so nobody asks meanwhile.
        let nobody = self.shared.at_work.write().await;
        let seen = self.shared.seen();
        if !probe::have(&self.client, &others, &seen, HANDED_OVER).await {
            return "replica spared";
        }
        self.orders
            .borrow_mut()
            .push_back(Order::Crash(server(number)));
        while !self.orders.borrow().is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
        drop(nobody);
        sleep(hold).await;
        self.listed(&others).await;
        self.orders
            .borrow_mut()
            .push_back(Order::Bounce(server(number)));
        "replica crashed"
    }

    /// Waits until the registry lists these servers. It may just have come back itself; who
    /// starts with nothing and finds nobody goes on as a cluster of its own, as it may.
    async fn listed(&self, servers: &[u32]) {
        let deadline = Instant::now() + LISTED;
        while Instant::now() < deadline {
            let listed = self.discovery.list("SERVER").await.unwrap_or_default();
            let numbers: BTreeSet<_> = listed.keys().filter_map(Name::number).collect();
            if servers.iter().all(|server| numbers.contains(server)) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn bounce(&self, host: String, hold: Duration) {
        self.orders
            .borrow_mut()
            .push_back(Order::Crash(host.clone()));
        sleep(hold).await;
        self.orders.borrow_mut().push_back(Order::Bounce(host));
    }

    fn all(&self) -> Vec<String> {
        let servers = (1..=self.replicas).map(server);
        let front_ends = (1..=self.front_ends).map(front_end);
        let sessions = (0..self.sessions).map(session);
        let registry = std::iter::once(REGISTRY.to_owned());
        servers
            .chain(front_ends)
            .chain(registry)
            .chain(sessions)
            .collect()
    }

    /// Two hosts, of which at least one is a server or a front end.
    fn pair(&self, random: &mut StdRng) -> (String, String) {
        let mut all = self.all();
        let weighty = (self.replicas + self.front_ends) as usize;
        let one = all[..weighty].choose(random).cloned();
        let one = one.expect("there is a server");
        all.retain(|host| *host != one);
        all.shuffle(random);
        (one, all.swap_remove(0))
    }
}

/// The host of a session.
pub(crate) fn session(number: u32) -> String {
    format!("session{number}")
}
