//! A replica is cut off from the others: both ways, and one way.

// The harness makes network namespaces.
#![cfg(target_os = "linux")]

mod support;

use std::io::Write as _;
use std::time::{Duration, Instant};

use backfence_client::{ReplicaState, Server, Session};
use backfence_cluster::{Cluster, Cut, Network};
use support::{
    client, drained,
    ledger::{Load, cycles},
    rate, view,
};
use tokio::sync::watch;

/// Longer than every deadline: a request has 2 s, a peer 5 s for a message.
const CUT: Duration = Duration::from_secs(7);

/// Views until told to end. No view fails, nor shows less than was there before.
async fn keep_viewing(mut session: Session, user: u32, end: watch::Receiver<bool>) -> Duration {
    let mut slowest = Duration::ZERO;
    while !*end.borrow() {
        let began = Instant::now();
        assert_eq!(view(&mut session, user).await.as_deref(), Ok("2.5"));
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

/// What server 1 says of itself, if it can be asked and is known at all.
fn state_of_1(servers: &[Server]) -> Option<&ReplicaState> {
    let first = servers.iter().find(|server| server.server == 1)?;
    first.state.as_ref()
}

/// Cuts off server 1, which every front end asks first.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_cut_off_is_missed_by_nobody_and_catches_up() {
    let test = "who_is_cut_off_is_missed_by_nobody_and_catches_up";
    let network = match Network::new(3) {
        Ok(network) => network,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why:#}");
            return;
        }
    };
    let builder = network.hold(Cluster::builder().data_dirs(true));
    let cluster = builder.start().expect("a cluster");
    let load = Load::start(&cluster, 4).await;
    load.acknowledged(20).await;
    let cuts = [Cut::Both, Cut::Out, Cut::In];
    for cut in cuts.into_iter().cycle().take(cycles(cuts.len())) {
        let mut watcher = client(&cluster, &[1]).await.session();
        rate(&mut watcher, 7, "2.5").await.expect("it is taken");
        // Whoever had it from server 1 alone would miss it.
        let has_it = async |server: &mut Session| {
            let states = server.status().await.ok()?;
            let mut states = states.iter().filter_map(|server| server.state.as_ref());
            states
                .all(|state| watcher.seen() <= state.value_ts)
                .then_some(())
        };
        let mut asker = client(&cluster, &[1]).await.session();
        support::until("all have it", &mut asker, has_it).await;
        let (end, ended) = watch::channel(false);
        network.cut(1, cut).expect("it is cut");
        // Only now: what server 1 alone has must not be in its past.
        let viewing = tokio::spawn(keep_viewing(watcher, 7, ended));
        let healing = Instant::now() + CUT;
        while Instant::now() < healing {
            load.acknowledged(20).await;
        }
        end.send_replace(true);
        let slowest = viewing.await.expect("no view failed");
        let missed = asker.status().await.expect("the front end answers");
        assert!(state_of_1(&missed).is_none(), "the cut does not cut");
        network.heal(1, cut).expect("it was cut");
        let healed = Instant::now();
        let caught_up = async |asker: &mut Session| {
            let servers = asker.status().await.ok()?;
            let has = &state_of_1(&servers)?.value_ts;
            let mut missed = missed.iter().filter_map(|server| server.state.as_ref());
            missed.all(|state| state.value_ts <= *has).then_some(())
        };
        support::until("server 1 has caught up", &mut asker, caught_up).await;
        println!(
            "{cut:?}: the slowest view took {slowest:?}; server 1 caught up {:?} after healing",
            healed.elapsed()
        );
        load.acknowledged(20).await;
    }
    let began = Instant::now();
    let ledger = load.end(&cluster, 3).await;
    let mut session = client(&cluster, &[1]).await.session();
    drained(&mut session, 3).await;
    println!("{} updates, checked in {:?}", ledger.len(), began.elapsed());
}
