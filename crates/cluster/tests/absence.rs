//! A replica is away while much is updated.

// The harness reads /proc.
#![cfg(target_os = "linux")]

mod support;

use std::{
    env, fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use backfence_client::{Client, MovieId, UserId};
use backfence_cluster::{Cluster, Role};
use support::{client, drained, session, stars, taken, until};
use tokio::task::JoinSet;

const SESSIONS: u32 = 32;
/// Users of each session; with nine movies, how many cells there are.
const USERS: u64 = 64;
/// What a replica keeps for those who are away, in this test.
const BUDGET: u64 = 1 << 20;
/// What a replica may take besides its log, in memory and on disk: the value, the
/// executed table and the store's pages, twice since a checkpoint is made beside them.
const REST: u64 = 48 << 20;

/// `BACKFENCE_UPDATES`: how many happen meanwhile.
fn updates() -> u64 {
    match env::var("BACKFENCE_UPDATES") {
        Ok(updates) => updates
            .parse()
            .expect("BACKFENCE_UPDATES is a number of updates"),
        Err(_) => 8_000,
    }
}

/// Sessions that write, as fast as they are answered.
struct Writers {
    done: Arc<AtomicU64>,
    wanted: Arc<AtomicU64>,
    sessions: JoinSet<()>,
}

impl Writers {
    fn start(client: &Client, wanted: u64) -> Self {
        let mut writers = Self {
            done: Arc::default(),
            wanted: Arc::new(wanted.into()),
            sessions: JoinSet::new(),
        };
        for number in 0..SESSIONS {
            let mut session = client.session();
            let (done, wanted) = (writers.done.clone(), writers.wanted.clone());
            writers.sessions.spawn(async move {
                let mut turn = u64::from(number);
                while done.load(Ordering::Relaxed) < wanted.load(Ordering::Relaxed) {
                    let user = UserId(1000 + number * 64 + (turn % USERS) as u32);
                    let movie = MovieId(1 + (turn % 9) as u32);
                    let rating = stars(if turn.is_multiple_of(2) { "3.5" } else { "4.0" });
                    let taken = taken(&mut session, user, movie, Some(rating));
                    taken.await.expect("it is taken");
                    done.fetch_add(1, Ordering::Relaxed);
                    turn += 1;
                }
            });
        }
        writers
    }

    async fn end(mut self) -> u64 {
        while let Some(ended) = self.sessions.join_next().await {
            ended.expect("every update is taken");
        }
        self.done.load(Ordering::Relaxed)
    }
}

/// The most memory that a process ever had, and the bytes that it has on disk.
fn room(cluster: &Cluster, server: u32) -> (u64, u64) {
    let status = format!("/proc/{}/status", cluster.process_id(Role::Replica(server)));
    let status = fs::read_to_string(status).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let folder = cluster.data_dir(server).expect("it keeps what it has");
    (kib.expect("Linux tells it") << 10, size(&folder))
}

fn size(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).expect("it is there");
    let size = |file: std::io::Result<fs::DirEntry>| file.ok()?.metadata().ok();
    files.filter_map(size).map(|metadata| metadata.len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_for_long_costs_the_others_little_and_comes_back_under_load() {
    let builder = Cluster::builder().data_dirs(true);
    let mut cluster = builder.log_budget(BUDGET).start().expect("a cluster");
    let mut watcher = session(&cluster, 3).await;
    let before = [1, 2].map(|server| room(&cluster, server));
    cluster.kill(Role::Replica(3)).expect("it is killed");

    let began = Instant::now();
    let client = client(&cluster, &[1]).await;
    let count = Writers::start(&client, updates()).end().await;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("{count} updates while server 3 was away, {rate:.0} a second");
    for (server, before) in [1, 2].into_iter().zip(before) {
        let (memory, disk) = room(&cluster, server);
        let grown = (memory - before.0, disk - before.1);
        println!("server {server}: {grown:?} bytes more in memory and on disk, at most");
        assert!(grown.0 <= BUDGET + REST, "of memory, {} before", before.0);
        assert!(grown.1 <= BUDGET + REST, "on disk, {} before", before.1);
    }

    let holder = until("server 1 answers", &mut watcher, async |watcher| {
        let servers = watcher.status().await.ok()?;
        servers[0].state.clone()
    })
    .await;
    println!("server 1 still has {} of them in its log", holder.log_len);
    assert!(holder.log_len < count, "no state would be needed");
    let target = holder.value_ts;
    // They go on until it is back.
    let writers = Writers::start(&client, u64::MAX);
    let began = Instant::now();
    cluster.restart(Role::Replica(3)).expect("it comes back");
    until("server 3 has caught up", &mut watcher, async |watcher| {
        let servers = watcher.status().await.ok()?;
        let has = &servers.get(2)?.state.as_ref()?.value_ts;
        (target <= *has).then_some(())
    })
    .await;
    println!("server 3 was back after {:?}, under load", began.elapsed());
    writers.wanted.store(0, Ordering::Relaxed);
    writers.end().await;
    drained(&mut watcher, 3).await;
}
