//! A panic in the core.

use std::{panic::AssertUnwindSafe, panic::catch_unwind, sync::Arc, thread, time::Duration};

use backfence_gossip::{Limits, ReplicaId, SessionId, Time, Timestamp, Update, UpdateId};
use backfence_process::Environment;
use backfence_ratings::{Base, MovieId, Operation, UserId};

use super::{Copy, Told};
use crate::{
    Config,
    cluster::{Cluster, Disk as OfDisk},
    disk::{Disk, Place},
    failure,
    incarnation::Start,
};

/// A bound for waits that end sooner unless something is broken.
const LONG: Duration = Duration::from_secs(20);

fn place(directory: &std::path::Path) -> Place {
    let movies = b"movieId,title,genres\n1,Toy Story (1995),Comedy\n";
    let ratings = b"userId,movieId,rating,timestamp\n";
    let base = Base::read(movies.as_slice(), ratings.as_slice(), false);
    Place {
        directory: directory.to_owned(),
        server: 1,
        base: Arc::new(base.expect("it is well-formed").base),
    }
}

fn config() -> Config {
    Config {
        server: Some(1),
        registry: "127.0.0.1:1".parse().expect("an address"),
        advertise: None,
        overload_probability: 0.0,
        gossip_interval: LONG,
        limits: Limits::default(),
        data_dir: None,
        cluster_key: None,
        accept_keyless: false,
    }
}

fn update() -> Update<Operation> {
    Update {
        id: UpdateId::new(SessionId(7), 1),
        prev: Timestamp::new(),
        time: Time(1),
        operation: Operation::Delete {
            user: UserId(9),
            movie: MovieId(1),
        },
    }
}

#[tokio::test]
async fn the_process_ends_and_what_was_taken_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(folder.path());
    let (mut store, recovered) = place.open().expect("nothing is there");
    store.begin(10).expect("it can be written");
    let environment = Environment::seeded(1);
    let (disk, writer) = Disk::new(store, place.clone());
    let start = Start {
        id: ReplicaId::new(1, 10),
        members: Vec::new(),
        first: true,
        differs: false,
        cluster: Cluster::new(OfDisk::Empty, None, &place.base.fingerprint(), &environment),
        disk: Some((disk, recovered)),
    };
    let address = "127.0.0.1:1".parse().expect("an address");
    let copy = Copy::new(start, place.base.clone(), address, &config(), environment);
    let copy = Arc::new(copy.expect("nothing was stored"));
    let failed = writer.run(&copy);
    let Told { after, .. } = copy
        .enter(|core| core.update(update(), Time(0)))
        .expect("it is taken");
    copy.reach(after).await;
    assert!(!copy.is_broken());

    let entered = Arc::clone(&copy);
    let panicked = thread::spawn(move || entered.enter(|_| panic!("in the core")));
    assert!(panicked.join().is_err());
    let ended = tokio::time::timeout(LONG, failure(&copy, Some(failed))).await;
    let sentence = ended.expect("it ends").to_string();
    assert!(sentence.contains("half-changed"), "{sentence}");
    for _ in 0..2 {
        let look = AssertUnwindSafe(|| copy.enter(|core| core.id));
        assert!(catch_unwind(look).is_err(), "nothing is read from it");
    }
    drop(copy);
    let (_, recovered) = place.open().expect("the thread has let go of it");
    assert_eq!(recovered.records.len(), 1);
}
