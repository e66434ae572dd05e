//! A session against front ends that fail in every way that the contract knows.

#[allow(dead_code)]
mod fake;

use std::time::Duration;

use backfence_client::{
    Client, ConnectError, Error, Membership, MovieId, Rated, Rating, Resolution, SavedSession,
    Search, ServerStatus, Session, Source, Time, Title, UpdateId, UserId, Waiting, WantedStatus,
};
use backfence_process::{Address, Environment};
use fake::{Fake, Fault, Shared, all_met, fail, said, world};
use tokio::net::TcpListener;
use tonic::Code;

const TOY_STORY: MovieId = MovieId(1);
const USER: UserId = UserId(1);
/// Long enough for all that is to succeed on a busy machine.
const LONG: Duration = Duration::from_secs(20);

async fn client(front_ends: &[&Address]) -> Client {
    let addresses = front_ends.iter().map(|&address| address.clone()).collect();
    let environment = Environment::real().with_seed(1);
    let client = Client::connect(&environment, Source::FrontEnds(addresses)).await;
    client.unwrap().with_limit(LONG)
}

async fn alone() -> (Shared, Fake, Session) {
    let world = world();
    let fake = Fake::start(&world).await;
    let session = client(&[&fake.address]).await.session();
    (world, fake, session)
}

fn rating(text: &str) -> Rating {
    text.parse().unwrap()
}

/// An address where nobody listens.
async fn nobody() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().into()
}

#[tokio::test]
async fn every_request_is_answered() {
    let (_world, _fake, mut session) = alone().await;
    let Ok(Resolution::Found(movie)) = session.find("toy story").await else {
        panic!("not found");
    };
    assert_eq!((movie.id, movie.year), (TOY_STORY, Some(1995)));
    let Ok(Resolution::Ambiguous(choices)) = session.find("hamlet").await else {
        panic!("not ambiguous");
    };
    assert_eq!(choices.len(), 2);
    let Ok(Resolution::Unknown { near }) = session.find("toi story").await else {
        panic!("found");
    };
    assert_eq!(near[0].id, TOY_STORY);

    let loaded = session.view(USER, TOY_STORY).await.unwrap().unwrap();
    assert_eq!((loaded.rating, loaded.update), (rating("4"), None));
    let updated = session.rate(USER, TOY_STORY, rating("2.5")).await.unwrap();
    assert_eq!(updated.id, UpdateId::new(session.id().unwrap(), 1));
    let seen = session.view(USER, TOY_STORY).await.unwrap().unwrap();
    assert_eq!(
        (seen.rating, seen.update),
        (rating("2.5"), Some(updated.id))
    );
    let average = session.average(TOY_STORY).await.unwrap().unwrap();
    assert_eq!((average.average, average.ratings), (3.0, 2));
    let deleted = session.delete(USER, TOY_STORY).await.unwrap();
    assert_eq!(deleted.id.sequence, 2);
    assert_eq!(session.view(USER, TOY_STORY).await, Ok(None));
    assert_eq!(session.average(MovieId(7)).await, Ok(None));

    let change = session.change_status(2).await.unwrap();
    assert_eq!(
        (change.from, change.to),
        (ServerStatus::Online, ServerStatus::Offline)
    );
    let servers = session.status().await.unwrap();
    assert_eq!(servers.len(), 3);
    assert_eq!(servers[1].status, ServerStatus::Offline);
    assert_eq!(servers[1].state.as_ref().unwrap().log_len, 2);

    let digests = session.digest().await.unwrap();
    let digest = |server| {
        digests[&server]
            .as_ref()
            .map(|value| (value.digest, value.writes))
    };
    assert_eq!((digest(1), digest(3)), (Some((0xdead_beef, 2)), None));
    let log = session.log(2, 5).await.unwrap();
    assert_eq!((log.total, log.records[0].waiting), (6, true));
    assert_eq!(log.records[0].origin.server, 2);
    let at_risk = session.at_risk(5).await.unwrap();
    let total = |server| at_risk[&server].as_ref().map(|log| log.total);
    assert_eq!([total(1), total(2), total(3)], [Some(6), Some(0), None]);
    let peers = session.gossip(2).await.unwrap().into_iter();
    assert_eq!(peers.map(|peer| peer.server).collect::<Vec<_>>(), [1, 3]);

    let refused = session.retire(3, false).await.unwrap_err();
    assert!(refused.to_string().starts_with("refused (NEEDS_FORCE): "));
    let servers = vec![1, 2, 3];
    let unknown = Error::UnknownServer { server: 4, servers };
    assert_eq!(session.retire(4, true).await, Err(unknown.clone()));
    assert_eq!(session.log(4, 5).await.unwrap_err(), unknown);
    assert_eq!(session.gossip(4).await.unwrap_err(), unknown);
    assert_eq!(session.retire(3, true).await, Ok(true));
    assert_eq!(session.retire(3, true).await, Ok(false));
    let members = session.members().await.unwrap();
    let standing: Vec<_> = members.iter().map(|member| member.membership).collect();
    let remains = Membership::Remains;
    let (online, offline) = (ServerStatus::Online, ServerStatus::Offline);
    assert_eq!(
        standing,
        [remains(online), remains(offline), Membership::Retired]
    );
    assert_eq!((members[2].id.server, &members[2].reported), (3, &None));
}

#[tokio::test]
async fn what_a_front_end_says_becomes_an_error() {
    let (world, fake, mut session) = alone().await;
    session.average(TOY_STORY).await.unwrap();
    let refused = |reason: &str| Error::Refused {
        reason: reason.into(),
        message: format!("the fake says {reason}"),
    };
    let precondition = Code::FailedPrecondition;
    for (status, expected) in [
        (said(Code::Unavailable, "ALL_BUSY", &[]), Error::AllBusy),
        (
            said(Code::NotFound, "UNKNOWN_MOVIE", &[]),
            Error::UnknownMovie,
        ),
        (
            said(Code::InvalidArgument, "INVALID", &[]),
            Error::Invalid("the fake says INVALID".into()),
        ),
        (
            said(Code::InvalidArgument, "BAD_TOKEN", &[]),
            refused("BAD_TOKEN"),
        ),
        (
            said(precondition, "FORGED_TIMESTAMP", &[]),
            refused("FORGED_TIMESTAMP"),
        ),
        (
            said(Code::AlreadyExists, "UPDATE_ID_REUSED", &[]),
            refused("UPDATE_ID_REUSED"),
        ),
        (
            said(Code::ResourceExhausted, "LOG_FULL", &[]),
            refused("LOG_FULL"),
        ),
        (
            said(precondition, "BEHIND", &[]),
            Error::WrongAnswer {
                front_end: fake.address.clone(),
                why: "BEHIND lacks its metadata".into(),
            },
        ),
        (
            tonic::Status::internal("oh"),
            Error::WrongAnswer {
                front_end: fake.address.clone(),
                why: "Internal error: oh".into(),
            },
        ),
    ] {
        fail(&world, [Fault::Say(status)]);
        let found = session.rate(USER, TOY_STORY, rating("1")).await;
        assert_eq!(found, Err(expected));
    }
    let unknown = session.change_status(9).await.unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there is no server 9; there are 1, 2, 3"
    );
    let denied = said(Code::Unauthenticated, "NO_OPERATOR_TOKEN", &[]);
    fail(&world, [Fault::Say(denied)]);
    let found = session.digest().await;
    assert_eq!(found, Err(refused("NO_OPERATOR_TOKEN")));
}

/// An update that was taken, whose reply was lost in each of the ways, is taken
/// once: it comes again with the same id, time and contents.
#[tokio::test]
async fn an_update_whose_reply_is_lost_takes_effect_once() {
    let world = world();
    let fakes = [Fake::start(&world).await, Fake::start(&world).await];
    let unknown = || said(Code::DeadlineExceeded, "OUTCOME_UNKNOWN", &[]);
    let busy = || said(Code::Unavailable, "ALL_BUSY", &[]);
    let losses = [
        vec![Fault::SayAfter(unknown())],
        vec![Fault::SayAfter(tonic::Status::unavailable("gone"))],
        // The front end that is asked next is busy, which settles nothing.
        vec![
            Fault::SayAfter(unknown()),
            Fault::Say(busy()),
            Fault::Say(unknown()),
        ],
        vec![Fault::Say(unknown()), Fault::SayAfter(unknown())],
    ];
    let client = client(&[&fakes[0].address, &fakes[1].address]).await;
    for loss in losses {
        let mut session = client.session();
        session.average(TOY_STORY).await.unwrap();
        fail(&world, loss);
        let updated = session.rate(USER, TOY_STORY, rating("1")).await.unwrap();
        let seen = session.view(USER, TOY_STORY).await.unwrap().unwrap();
        assert_eq!(seen.update, Some(updated.id));
        assert_eq!(world.lock().unwrap().arrivals[&updated.id], 2);
    }
    assert_eq!(world.lock().unwrap().taken.len(), 4);
}

#[tokio::test]
async fn a_front_end_that_hangs_gets_its_share_of_the_time() {
    let world = world();
    let fakes = [Fake::start(&world).await, Fake::start(&world).await];
    let addresses = [&fakes[0].address, &fakes[1].address];
    let mut session = client(&addresses)
        .await
        .with_limit(Duration::from_secs(4))
        .session();
    session.average(TOY_STORY).await.unwrap();
    fail(&world, [Fault::HangAfter]);
    let first = session.rate(USER, TOY_STORY, rating("1")).await.unwrap();
    fail(&world, [Fault::HangAfter]);
    let second = session.rate(USER, TOY_STORY, rating("2")).await.unwrap();
    assert_eq!((first.id.sequence, second.id.sequence), (1, 2));
    assert_eq!(world.lock().unwrap().taken.len(), 2);
}

#[tokio::test]
async fn a_dead_front_end_is_passed_over() {
    let (_world, fake, _) = alone().await;
    let dead = nobody().await;
    let client = client(&[&dead, &fake.address]).await;
    // Sessions begin anywhere, so some begin with the dead one.
    for _ in 0..16 {
        let mut session = client.session();
        session.rate(USER, TOY_STORY, rating("3")).await.unwrap();
    }
}

#[tokio::test]
async fn what_ends_with_the_time_says_what_is_known() {
    let short = Duration::from_millis(300);
    let (world, fake, _) = alone().await;
    let behind = || {
        let metadata = [("server", "2"), ("incarnation", "77"), ("number", "5")];
        Fault::Say(said(Code::DeadlineExceeded, "BEHIND", &metadata))
    };
    let missing = Error::Behind {
        server: 2,
        incarnation: 77,
        number: 5,
    };
    let mut session = client(&[&fake.address]).await.with_limit(short).session();
    session.average(TOY_STORY).await.unwrap();

    fail(&world, [behind(), Fault::Hang]);
    assert_eq!(session.view(USER, TOY_STORY).await, Err(missing));
    fail(&world, [Fault::Hang]);
    let late = Err(Error::OutOfTime {
        limit: short,
        asked: vec![fake.address.clone()],
    });
    assert_eq!(session.view(USER, TOY_STORY).await, late);
    fail(&world, [Fault::Hang]);
    let update_id = UpdateId::new(session.id().unwrap(), 1);
    let unknown = Err(Error::OutcomeUnknown { update_id });
    assert_eq!(session.rate(USER, TOY_STORY, rating("1")).await, unknown);
    // It has gone on from there.
    let next = session.rate(USER, TOY_STORY, rating("1")).await.unwrap();
    assert_eq!(next.id.sequence, 2);

    let dead = nobody().await;
    let mut session = client(&[&dead]).await.with_limit(short).session();
    let found = session.find("toy story").await.unwrap_err();
    assert!(matches!(&found, Error::Unreachable { tried, .. } if *tried == [dead.clone()]));
    assert!(
        found
            .to_string()
            .contains(&format!("http://{dead}: Connection refused")),
        "{found}"
    );
}

/// A lost reply must not turn the status back.
#[tokio::test]
async fn a_status_is_turned_round_once() {
    use ServerStatus::{Offline, Online};
    let (world, _fake, mut session) = alone().await;
    let lost = Fault::SayAfter(tonic::Status::unavailable("gone"));
    fail(&world, [Fault::None, lost]);
    let changed = session.change_status(1).await.unwrap();
    assert_eq!((changed.from, changed.to), (Online, Offline));
    assert!(all_met(&world));
    let servers = session.status().await.unwrap();
    assert_eq!(servers[0].status, ServerStatus::Offline);
}

/// A lost reply does no harm: the status is what was wanted.
#[tokio::test]
async fn a_wanted_status_is_sent_until_it_is_answered() {
    use ServerStatus::{Offline, Online};
    let gone = || tonic::Status::unavailable("gone");
    let busy = said(Code::Unavailable, "SERVER_AWAY", &[]);
    let (world, fake, mut session) = alone().await;
    for (wanted, faults, from, to) in [
        (WantedStatus::Online, vec![], Online, Online),
        (WantedStatus::Offline, vec![], Online, Offline),
        (WantedStatus::Offline, vec![], Offline, Offline),
        (
            WantedStatus::Online,
            vec![Fault::Say(gone())],
            Offline,
            Online,
        ),
        (
            WantedStatus::Offline,
            vec![Fault::SayAfter(gone())],
            Offline,
            Offline,
        ),
        (
            WantedStatus::Online,
            vec![Fault::SayAfter(gone()), Fault::Say(gone())],
            Online,
            Online,
        ),
    ] {
        fail(&world, faults);
        let changed = session.set_status(1, wanted).await.unwrap();
        assert_eq!((changed.from, changed.to), (from, to), "{wanted:?}");
        let servers = session.status().await.unwrap();
        assert_eq!(servers[0].status, to, "{wanted:?}");
    }
    fail(&world, [Fault::Say(busy)]);
    let away = session.set_status(2, WantedStatus::Online).await;
    assert_eq!(away, Err(Error::ServerAway { server: 2 }));
    let unknown = session.set_status(9, WantedStatus::Online).await;
    assert!(
        matches!(unknown, Err(Error::UnknownServer { server: 9, .. })),
        "{unknown:?}"
    );
    let short = Duration::from_millis(300);
    let mut session = client(&[&fake.address]).await.with_limit(short).session();
    fail(&world, [Fault::Hang]);
    let late = session.set_status(1, WantedStatus::Offline).await;
    assert!(matches!(late, Err(Error::OutOfTime { .. })), "{late:?}");
}

#[tokio::test]
async fn a_server_that_turns_round_what_was_to_be_set_is_named() {
    let (world, fake, mut session) = alone().await;
    world.lock().unwrap().turns_round = true;
    let turned = session.set_status(1, WantedStatus::Online).await;
    let expected = format!(
        "the front end at http://{} gave a wrong answer: the status is not what was asked \
         for: the server turned it round; is it one of Backfence?",
        fake.address
    );
    assert_eq!(turned.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn a_clock_ahead_is_waited_for() {
    let (world, _fake, mut session) = alone().await;
    session.average(TOY_STORY).await.unwrap();
    let ahead = || {
        let metadata = [("retry_after_ms", "5")];
        Fault::Say(said(Code::FailedPrecondition, "CLOCK_AHEAD", &metadata))
    };
    fail(&world, [ahead(), ahead()]);
    let updated = session.rate(USER, TOY_STORY, rating("1")).await.unwrap();
    assert_eq!(updated.id.sequence, 1);
    assert_eq!(world.lock().unwrap().arrivals[&updated.id], 1);
}

/// It was dated by a server whose clock was wrong, and taken by none.
#[tokio::test]
async fn an_update_that_is_too_far_ahead_is_made_anew() {
    let (world, _fake, mut session) = alone().await;
    session.average(TOY_STORY).await.unwrap();
    let far = || {
        let metadata = [("retry_after_ms", "3600000")];
        Fault::Say(said(Code::FailedPrecondition, "CLOCK_AHEAD", &metadata))
    };
    fail(&world, [far()]);
    let updated = session.rate(USER, TOY_STORY, rating("1")).await.unwrap();
    assert_eq!(
        (updated.id.sequence, world.lock().unwrap().taken.len()),
        (2, 1)
    );
    // What the session has seen is as far ahead.
    fail(&world, [far(), far()]);
    let refused = session.rate(USER, TOY_STORY, rating("2")).await;
    let is_ahead =
        |error: &Error| matches!(error, Error::Refused { reason, .. } if reason == "CLOCK_AHEAD");
    assert!(refused.as_ref().is_err_and(is_ahead), "{refused:?}");
}

fn late() -> Fault {
    Fault::Say(said(Code::FailedPrecondition, "TOO_LATE", &[]))
}

/// As where the machine has slept, and the stopwatch with it.
#[tokio::test]
async fn an_update_of_a_clock_that_stood_still_is_made_anew() {
    let (world, _fake, mut session) = alone().await;
    session.rate(USER, TOY_STORY, rating("1")).await.unwrap();
    let slept = Time(50_000_000_000);
    world.lock().unwrap().clock = slept;
    fail(&world, [late()]);
    let updated = session.rate(USER, TOY_STORY, rating("2")).await.unwrap();
    assert_eq!(updated.id.sequence, 3);
    let (dated, _) = world.lock().unwrap().taken[&updated.id];
    assert!(dated > slept);
    assert_eq!(world.lock().unwrap().taken.len(), 2);

    // One that the caller holds is the caller's to make anew.
    let prepare = async |session: &mut Session| {
        let stars = Some(rating("3"));
        session.prepare(USER, TOY_STORY, stars).await.unwrap()
    };
    let prepared = prepare(&mut session).await;
    fail(
        &world,
        [Fault::Say(said(Code::Unavailable, "ALL_BUSY", &[])), late()],
    );
    assert_eq!(session.send(&prepared).await, Err(Error::AllBusy));
    world.lock().unwrap().clock = Time(90_000_000_000);
    assert_eq!(session.send(&prepared).await, Err(Error::NotTaken));
    let anew = prepare(&mut session).await;
    assert!(anew.time > Time(90_000_000_000));
    session.send(&anew).await.unwrap();
}

#[tokio::test]
async fn what_may_have_been_taken_before_is_never_made_anew() {
    let short = Duration::from_millis(300);
    let (world, fake, _) = alone().await;
    let client = client(&[&fake.address]).await.with_limit(short);
    let mut session = client.session();
    session.average(TOY_STORY).await.unwrap();
    let count = || world.lock().unwrap().taken.len();

    // Its reply is lost within the request; to send it once more tells for good.
    let prepared = session.prepare(USER, TOY_STORY, Some(rating("1"))).await;
    let prepared = prepared.unwrap();
    let update_id = prepared.id;
    let lost = Fault::SayAfter(tonic::Status::unavailable("gone"));
    fail(&world, std::iter::once(lost).chain((0..99).map(|_| late())));
    let sent = session.send(&prepared).await;
    assert_eq!(
        (sent, count()),
        (Err(Error::OutcomeUnknown { update_id }), 1)
    );
    world.lock().unwrap().forget_faults();
    fail(&world, [Fault::None, late()]);
    session.average(TOY_STORY).await.unwrap();
    let sent = session.send(&prepared).await;
    assert_eq!((sent, count()), (Err(Error::TooLate { update_id }), 1));

    // So also without the caller's help.
    session.average(TOY_STORY).await.unwrap();
    let lost = Fault::SayAfter(tonic::Status::unavailable("gone"));
    fail(&world, std::iter::once(lost).chain((0..99).map(|_| late())));
    let rated = session.rate(USER, TOY_STORY, rating("2")).await;
    let update_id = UpdateId::new(session.id().unwrap(), 2);
    assert_eq!(
        (rated, count()),
        (Err(Error::OutcomeUnknown { update_id }), 2)
    );
    world.lock().unwrap().forget_faults();

    // Nor one of a life before: it may have been sent then.
    session.average(TOY_STORY).await.unwrap();
    let prepared = session.prepare(USER, TOY_STORY, Some(rating("3"))).await;
    let (prepared, saved) = (prepared.unwrap(), session.save());
    let mut session = client.resume(saved);
    let update_id = prepared.id;
    fail(&world, [Fault::None, late()]);
    let sent = session.send(&prepared).await;
    assert_eq!((sent, count()), (Err(Error::TooLate { update_id }), 2));
    // The next one is dated right.
    session.rate(USER, TOY_STORY, rating("4")).await.unwrap();
}

/// The wall clock of this machine plays no part: the front ends' does.
#[tokio::test]
async fn updates_are_dated_by_the_front_ends_clock() {
    let (world, fake, _) = alone().await;
    let wrong = Environment::real().with_clock(|| Time(u64::MAX));
    let source = Source::FrontEnds(vec![fake.address.clone()]);
    let mut session = Client::connect(&wrong, source).await.unwrap().session();
    world.lock().unwrap().clock = Time(7_000_000_000);
    let updated = session.rate(USER, TOY_STORY, rating("1")).await.unwrap();
    let (time, _) = world.lock().unwrap().taken[&updated.id];
    let dated = time.since(Time(7_000_000_000));
    assert!(dated > Duration::ZERO && dated < LONG, "{dated:?}");
}

/// Another client, another front end: the session has seen what it saw, its ids
/// go on, and its next update is dated now and not when it was saved.
#[tokio::test]
async fn a_session_goes_on_elsewhere() {
    let (world, _fake, mut session) = alone().await;
    session.rate(USER, TOY_STORY, rating("1")).await.unwrap();
    let saved = session.save();
    assert_eq!((saved.digest, saved.next), (session.id(), 2));
    assert_ne!(session.id(), Some(saved.id), "it is a secret");
    drop(session);

    let other = Fake::start(&world).await;
    world.lock().unwrap().clock = Time(9_000_000_000);
    let mut session = client(&[&other.address]).await.resume(saved);
    let seen = session.view(USER, TOY_STORY).await.unwrap().unwrap();
    assert_eq!(seen.rating, rating("1"));
    let updated = session.rate(USER, TOY_STORY, rating("2")).await.unwrap();
    assert_eq!(updated.id.sequence, 2);
    let (time, _) = world.lock().unwrap().taken[&updated.id];
    assert!(time > Time(9_000_000_000));
}

#[tokio::test]
async fn without_front_ends_there_is_no_client() {
    let none = Client::connect(&Environment::real(), Source::FrontEnds(Vec::new())).await;
    assert!(matches!(none, Err(ConnectError::NoneGiven)));
}

#[tokio::test]
async fn lists_come_page_by_page() {
    let (_world, _fake, mut session) = alone().await;
    let search = Search {
        text: "hamlet".to_owned(),
        year: Some(1996),
        ..Search::default()
    };
    let found = session.search(&search, 10).await.unwrap();
    assert_eq!(
        (found.movies[0].id, found.total, found.near),
        (MovieId(4), 1, false)
    );

    let mut ratings = Vec::new();
    loop {
        let after = ratings.last().map(|last: &Rated| (last.user, last.movie));
        let page = session.ratings(None, after).await.unwrap();
        ratings.extend(page.items);
        if !page.more {
            break;
        }
    }
    let keys: Vec<_> = ratings.iter().map(|r| (r.user.0, r.movie.0)).collect();
    assert_eq!(keys, [(1, 1), (2, 1), (3, 2)]);
    assert_eq!(ratings[0].title, None);
    let mine = session.ratings(Some(USER), None).await.unwrap();
    let title = mine.items[0].title.as_ref().map(ToString::to_string);
    assert_eq!(
        (title.as_deref(), mine.more),
        (Some("Toy Story (1995)"), false)
    );

    let top = session.top("action", 1, 5).await.unwrap();
    assert_eq!((top[0].movie.id, top[0].average.ratings), (MovieId(2), 1));
    let tags = session.tags(TOY_STORY).await.unwrap();
    assert_eq!((tags[0].tag.as_str(), tags[0].users), ("pixar", 2));
    assert_eq!(session.tags(MovieId(99)).await, Err(Error::UnknownMovie));
}

#[tokio::test]
async fn titles_take_no_session() {
    let world = world();
    let fake = Fake::start(&world).await;
    let client = client(&[&fake.address]).await;
    let (mut titles, mut pages) = (Vec::new(), 0);
    loop {
        let after = titles.last().map(|last: &Title| last.movie);
        let page = client.titles(after).await.unwrap();
        titles.extend(page.items);
        pages += 1;
        if !page.more {
            break;
        }
    }
    assert_eq!((titles.len(), pages), (14, 4));
    assert_eq!(titles[1].to_string(), "Matrix, The (1999)");
    assert_eq!(titles[4].to_string(), "Babylon 5");
}

/// What is prepared, written down, and sent again by a successor, is done once.
#[tokio::test]
async fn a_prepared_update_survives_its_session() {
    let (world, _fake, mut session) = alone().await;
    let prepared = session
        .prepare(USER, TOY_STORY, Some(rating("1")))
        .await
        .unwrap();
    let saved = session.save();
    fail(&world, [Fault::HangAfter]);
    // Its program ends before there is an answer.
    tokio::select! {
        sent = session.send(&prepared) => panic!("{sent:?}"),
        () = async { while world.lock().unwrap().taken.is_empty() { tokio::task::yield_now().await } } => {}
    }
    drop(session);

    let fake = Fake::start(&world).await;
    let client = client(&[&fake.address]).await;
    let mut session = client.resume(saved.clone());
    let updated = session.send(&prepared).await.unwrap();
    assert_eq!(updated.id, prepared.id);
    assert_eq!(world.lock().unwrap().taken.len(), 1);
    let next = session.prepare(USER, TOY_STORY, None).await.unwrap();
    assert!(next.id.sequence == 2 && next.time > prepared.time);

    // Whoever has no token of it is another session.
    let without = SavedSession {
        token: Vec::new(),
        ..saved
    };
    for mut stranger in [client.session(), client.resume(without)] {
        let refused = stranger.send(&prepared).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
}

/// Somebody who watches is told what is missing long before the time is over.
#[tokio::test]
async fn who_watches_learns_what_is_waited_for() {
    let (world, _fake, mut session) = alone().await;
    session.average(TOY_STORY).await.unwrap();
    let metadata = [("server", "2"), ("incarnation", "77"), ("number", "5")];
    fail(
        &world,
        [
            Fault::Hang,
            Fault::Say(said(Code::DeadlineExceeded, "BEHIND", &metadata)),
            Fault::Hang,
        ],
    );
    let mut waiting = session.watch();
    assert_eq!(waiting.borrow_and_update().to_string(), "an answer");
    let (seen, told) = tokio::join!(session.average(TOY_STORY), async {
        let told = waiting.wait_for(|waiting| matches!(waiting, Waiting::ForUpdate { .. }));
        told.await.unwrap().to_string()
    });
    assert_eq!(told, "update 5 of server 2");
    assert!(seen.is_ok());
}

#[tokio::test]
async fn an_older_front_end_is_told_as_such() {
    let (world, fake, mut session) = alone().await;
    session.average(TOY_STORY).await.unwrap();
    fail(&world, [Fault::Say(tonic::Status::unimplemented("what?"))]);
    let front_end = fake.address.clone();
    let refused = session.top("", 1, 5).await;
    assert_eq!(refused, Err(Error::Unsupported { front_end }));
}

/// What was found in some data is asked for, and rated, in no others.
#[tokio::test]
async fn requests_repeat_the_data_that_their_ids_are_of() {
    let (world, fake, mut session) = alone().await;
    let client = client(&[&fake.address]).await;
    assert_eq!(session.fingerprint(), "");
    session.find("toy story").await.expect("an answer");
    assert_eq!(session.fingerprint(), "d1");
    let resumed = client.resume(session.save());
    assert_eq!(resumed.fingerprint(), "d1");
    session
        .rate(USER, TOY_STORY, rating("1"))
        .await
        .expect("it is taken");
    world.lock().unwrap().data = "d2".to_owned();
    let outcomes = [
        session.view(USER, TOY_STORY).await.map(drop),
        session.average(TOY_STORY).await.map(drop),
        session.tags(TOY_STORY).await.map(drop),
        session.delete(USER, TOY_STORY).await.map(drop),
        session.rate(USER, TOY_STORY, rating("2")).await.map(drop),
    ];
    for outcome in outcomes {
        let Err(Error::Refused { reason, .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(reason, "OTHER_DATA");
    }
    assert_eq!(client.fingerprint().await.as_deref(), Ok("d2"));
    session.find("toy story").await.expect("an answer");
    session
        .rate(USER, TOY_STORY, rating("2"))
        .await
        .expect("it is taken");
}
