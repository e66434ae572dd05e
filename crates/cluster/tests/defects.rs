//! The original's defects that only a whole system can have, replayed. The others
//! are replayed where their cause would be: in the core, the ratings, the client.
//! B4, B16, B18 and B19 are in `faults.rs`.

// The harness sends signals.
#![cfg(unix)]

mod support;

use std::collections::BTreeSet;

use backfence_client::{Error, ServerStatus, UserId};
use backfence_cluster::{Cluster, Role};
use backfence_wire::v1::{self, front_end_client::FrontEndClient};
use support::{
    TOY_STORY, UNRATED, change, client, converged, online, rate, session, stars, until, view,
};

#[tokio::test(flavor = "multi_thread")]
async fn b4_no_answer_is_stale() {
    let cluster = Cluster::builder().replicas(2).start().expect("a cluster");
    let mut session = session(&cluster, 2).await;
    // Each view goes to the server that did not take the update before it.
    change(&mut session, &[2]).await;
    for n in 0..40 {
        let stars = if n % 2 == 0 { "1.5" } else { "2.5" };
        rate(&mut session, 1, stars).await.expect("it is taken");
        change(&mut session, &[1, 2]).await;
        assert_eq!(
            view(&mut session, 1).await.as_deref(),
            Ok(stars),
            "round {n}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b5_reads_never_go_back() {
    let cluster = Cluster::builder().replicas(2).start().expect("a cluster");
    let mut writer = session(&cluster, 2).await;
    let mut reader = client(&cluster, &[1]).await.session();
    change(&mut writer, &[2]).await;
    for n in 1..40 {
        let stars = format!("{}.{}", n / 10, n % 10);
        rate(&mut writer, 1, &stars).await.expect("it is taken");
        assert_eq!(
            view(&mut reader, 1).await.as_ref(),
            Ok(&stars),
            "where it was taken"
        );
        change(&mut writer, &[1, 2]).await;
        assert_eq!(
            view(&mut reader, 1).await.as_ref(),
            Ok(&stars),
            "at the other server"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b6_concurrent_updates_leave_replicas_equal() {
    let cluster = Cluster::builder().front_ends(2).start().expect("a cluster");
    let mut watcher = session(&cluster, 3).await;
    let mut writers = Vec::new();
    for front_end in [1, 2] {
        let mut session = client(&cluster, &[front_end]).await.session();
        writers.push(tokio::spawn(async move {
            for n in 0..50 {
                rate(&mut session, 1, &format!("{front_end}.{n}"))
                    .await
                    .expect("it is taken");
            }
        }));
    }
    // While they write, updates go now to one server and now to another.
    while writers.iter().any(|writer| !writer.is_finished()) {
        change(&mut watcher, &[1]).await;
    }
    for writer in writers {
        writer.await.expect("no writer failed");
    }
    if watcher.status().await.expect("a status")[0].status == ServerStatus::Offline {
        change(&mut watcher, &[1]).await;
    }
    converged(&mut watcher, 3).await;
    let mut seen = BTreeSet::new();
    for others in [[2, 3], [1, 3], [1, 2]] {
        change(&mut watcher, &others).await;
        let mut fresh = client(&cluster, &[1]).await.session();
        seen.insert(view(&mut fresh, 1).await.expect("an answer"));
        change(&mut watcher, &others).await;
    }
    assert_eq!(seen.len(), 1, "replicas differ: {seen:?}");
}

/// An update as a foreign client may send it, again and again.
async fn send(url: &str, session: &v1::Session, rating: f64) -> v1::UpdateResponse {
    let request = v1::RateRequest {
        session: session.token.clone(),
        user_id: 7,
        movie_id: UNRATED.0,
        rating,
        update_id: Some(v1::UpdateId {
            session: session.id.clone(),
            sequence: 1,
        }),
        time_us: session.clock_us + 1,
        copies: 0,
        fingerprint: String::new(),
    };
    let mut front_end = FrontEndClient::connect(url.to_owned())
        .await
        .expect("a connection");
    front_end
        .rate(request)
        .await
        .expect("it is taken")
        .into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn b8_b9_an_update_sent_again_gets_the_first_reply_and_counts_once() {
    let cluster = Cluster::builder().front_ends(2).start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    let mut front_end = FrontEndClient::connect(cluster.front_end(1))
        .await
        .expect("a connection");
    let opened = front_end
        .open_session(v1::OpenSessionRequest::default())
        .await
        .expect("a session")
        .into_inner();
    let opened = opened.session.expect("a session");
    let first = send(&cluster.front_end(1), &opened, 3.5).await;
    for front_end in [1, 2, 1] {
        let again = send(&cluster.front_end(front_end), &opened, 3.5).await;
        let token = |reply: &v1::UpdateResponse| {
            let token = reply.session.clone().expect("a session").token;
            backfence_wire::session(&token).expect("a token").prev
        };
        assert_eq!(
            token(&again),
            token(&first),
            "another number was given to it"
        );
    }
    let count = |states: &[backfence_client::ReplicaState]| -> u64 {
        states[0].value_ts.iter().map(|(_, count)| count).sum()
    };
    assert_eq!(count(&converged(&mut session, 3).await), 1);
    // At another server too, which has it by gossip.
    change(&mut session, &[1]).await;
    send(&cluster.front_end(1), &opened, 3.5).await;
    change(&mut session, &[1]).await;
    assert_eq!(count(&converged(&mut session, 3).await), 1);
    let average = session
        .average(UNRATED)
        .await
        .expect("an answer")
        .expect("one rating");
    assert_eq!((average.average, average.ratings), (3.5, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_b11_no_acknowledged_update_vanishes() {
    let mut cluster = Cluster::builder().front_ends(2).start().expect("a cluster");
    session(&cluster, 3).await;
    let mut writers = Vec::new();
    for writer in 0..4 {
        // Two at each front end.
        let mut session = client(&cluster, &[1 + writer % 2]).await.session();
        writers.push(tokio::spawn(async move {
            for n in 0..50 {
                let user = 1000 * (1 + writer) + n;
                rate(&mut session, user, "2.5").await.expect("it is taken");
            }
        }));
    }
    for writer in writers {
        writer.await.expect("no writer failed");
    }
    // A front end that starts anew gives no id that was used before.
    cluster.kill(Role::FrontEnd(1)).expect("it is killed");
    cluster.restart(Role::FrontEnd(1)).expect("it comes back");
    let mut session = session(&cluster, 3).await;
    for n in 0..50 {
        rate(&mut session, 9000 + n, "2.5")
            .await
            .expect("it is taken");
    }
    converged(&mut session, 3).await;
    for writer in [1000, 2000, 3000, 4000, 9000] {
        for user in writer..writer + 50 {
            assert_eq!(
                view(&mut session, user).await.as_deref(),
                Ok("2.5"),
                "user {user}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_an_update_spreads_before_anybody_asks() {
    let mut cluster = Cluster::builder()
        // The pushes alone must do it.
        .gossip_interval("1h")
        .start()
        .expect("a cluster");
    let mut session = session(&cluster, 3).await;
    assert_eq!(rate(&mut session, 1, "0.5").await, Ok(1));
    converged(&mut session, 3).await;
    cluster.kill(Role::Replica(1)).expect("it is killed");
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("0.5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn b20_b23_a_server_keeps_its_number_and_no_two_share_one() {
    let mut cluster = Cluster::builder().start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    let unnumbered = |args: &mut Vec<String>| {
        let given = args
            .iter()
            .position(|arg| arg == "--server")
            .expect("it is given");
        args.drain(given..given + 2);
    };
    cluster
        .restart_with(Role::Replica(9), unnumbered)
        .expect("it starts");
    cluster
        .wait_for_log(Role::Replica(9), &["registered", "SERVER4"])
        .expect("the next number");
    online(&mut session, 4).await;
    cluster.terminate(Role::Replica(2)).expect("it ends");
    cluster
        .restart_with(Role::Replica(8), unnumbered)
        .expect("it starts");
    cluster
        .wait_for_log(Role::Replica(8), &["registered", "SERVER2"])
        .expect("the free number");
    let servers = online(&mut session, 4).await;
    let numbers: Vec<_> = servers.iter().map(|server| server.server).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn b21_there_may_be_one_server_or_seven() {
    for replicas in [1, 7] {
        let cluster = Cluster::builder()
            .replicas(replicas)
            .start()
            .expect("a cluster");
        let mut session = session(&cluster, replicas as usize).await;
        rate(&mut session, 1, "0.5").await.expect("it is taken");
        converged(&mut session, replicas as usize).await;
        let others: Vec<_> = (1..replicas).collect();
        change(&mut session, &others).await;
        assert_eq!(view(&mut session, 1).await.as_deref(), Ok("0.5"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b22_a_restarted_server_issues_no_timestamp_again() {
    let mut cluster = Cluster::builder().replicas(1).start().expect("a cluster");
    let mut before = session(&cluster, 1).await;
    let first = rate(&mut before, 1, "0.5").await;
    assert_eq!(first, Ok(1));
    cluster.kill(Role::Replica(1)).expect("it is killed");
    cluster.restart(Role::Replica(1)).expect("it comes back");
    let mut after = client(&cluster, &[1]).await.session();
    until(
        "the new server takes an update",
        &mut after,
        async |session| rate(session, 2, "1.5").await.ok(),
    )
    .await;
    // Its update 1 is not the update 1 that the old session has seen: that one is lost
    // with the only server that had it, and the session is told so, once.
    assert_eq!(view(&mut before, 1).await.as_deref(), Ok("4.0"));
    assert_eq!(before.take_losses(), BTreeSet::from([1]));
    assert_eq!(view(&mut before, 2).await.as_deref(), Ok("1.5"));
    assert_eq!(before.take_losses(), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_over_load_does_not_change_the_status() {
    let cluster = Cluster::builder()
        .replicas(1)
        .overload_probability(1.0)
        .start()
        .expect("a cluster");
    let mut session = session(&cluster, 1).await;
    assert_eq!(view(&mut session, 1).await, Err(Error::AllBusy));
    for (from, to) in [
        (ServerStatus::Online, ServerStatus::Offline),
        (ServerStatus::Offline, ServerStatus::Online),
    ] {
        let changed = session
            .change_status(1)
            .await
            .expect("the status is turned round");
        assert_eq!((changed.from, changed.to), (from, to));
        assert_eq!(view(&mut session, 1).await, Err(Error::AllBusy));
        assert_eq!(session.status().await.expect("a status")[0].status, to);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_some_over_load_is_passed_over() {
    let cluster = Cluster::builder()
        .replicas(7)
        .overload_probability(0.2)
        .start()
        .expect("a cluster");
    let mut session = session(&cluster, 7).await;
    let mut servers = BTreeSet::new();
    for n in 0..100 {
        // All seven are over-loaded once in 78,125 requests.
        match rate(&mut session, n, "0.5").await {
            Ok(server) => _ = servers.insert(server),
            Err(error) => assert_eq!(error, Error::AllBusy),
        }
    }
    assert!(servers.len() > 1, "only {servers:?} were used");
}

#[tokio::test(flavor = "multi_thread")]
async fn b25_what_is_ready_serves_at_once() {
    let cluster = Cluster::builder().start().expect("a cluster");
    // No wait, no second try: the front end has said that clients can connect.
    let mut session = client(&cluster, &[1]).await.session();
    let seen = session
        .view(UserId(1), TOY_STORY)
        .await
        .expect("an answer")
        .expect("a rating");
    assert_eq!((seen.rating, seen.update), (stars("4.0"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_offline_is_busy_and_back_again_is_not() {
    let cluster = Cluster::builder().start().expect("a cluster");
    let mut session = session(&cluster, 3).await;
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("4.0"));
    assert_eq!(rate(&mut session, 1, "2.5").await, Ok(1));
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("2.5"));
    change(&mut session, &[1]).await;
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("2.5"));
    change(&mut session, &[2, 3]).await;
    let error = view(&mut session, 1).await.expect_err("nobody serves");
    assert_eq!(
        error.to_string(),
        "All servers are currently busy, please try again later"
    );
    change(&mut session, &[3, 2, 1]).await;
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("2.5"));
    assert_eq!(rate(&mut session, 1, "3.5").await, Ok(1));
}
