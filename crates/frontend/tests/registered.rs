//! A front end among its registry and replicas, all real and over sockets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use backfence_frontend::Config;
use backfence_gossip::Limits;
use backfence_process::{
    Address, CancellationToken, ClusterKey, Discovery, Environment, Name, authorization, bind,
};
use backfence_ratings::Base;
use backfence_wire::{
    MAX_REQUEST,
    v1::{self, ServerStatus, front_end_client::FrontEndClient},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Code, Request, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

/// A bound for waits that end sooner unless something is broken.
const LONG: Duration = Duration::from_secs(20);

type Running = JoinHandle<anyhow::Result<()>>;

/// A registry, and what joins it.
struct Town {
    environment: Environment,
    registry: Address,
    shutdown: CancellationToken,
}

impl Town {
    async fn new() -> Self {
        let listener = listen().await;
        let town = Self {
            environment: Environment::real(),
            registry: address(&listener).into(),
            shutdown: CancellationToken::new(),
        };
        let (environment, shutdown) = (town.environment.clone(), town.shutdown.clone());
        tokio::spawn(backfence_registry::run(
            listener,
            backfence_registry::Config::default(),
            environment,
            shutdown,
        ));
        town
    }

    async fn replica(&self, server: u32) -> (CancellationToken, Running) {
        let movies = "movieId,title,genres\n1,Toy Story (1995),Animation\n";
        let ratings = "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n";
        let loaded = Base::read(movies.as_bytes(), ratings.as_bytes(), true).unwrap();
        let config = backfence_replica::Config {
            server: Some(server),
            registry: self.registry.clone(),
            advertise: None,
            overload_probability: 0.0,
            gossip_interval: Duration::from_millis(100),
            limits: Limits {
                version: backfence_wire::Versions::OWN.newest,
                ..Limits::default()
            },
            data_dir: None,
            cluster_key: Some(key()),
            // A test asks it too.
            accept_keyless: true,
        };
        let shutdown = self.shutdown.child_token();
        let running = backfence_replica::run(
            listen().await,
            Arc::new(loaded.base),
            config,
            self.environment.clone(),
            shutdown.clone(),
        );
        (shutdown, tokio::spawn(running))
    }

    async fn front_end(&self) -> (SocketAddr, CancellationToken, Running) {
        let listener = listen().await;
        let address = address(&listener);
        let config = Config {
            registry: self.registry.clone(),
            name: Some(Name::new("FRONTEND").unwrap()),
            advertise: None,
            cluster_key: Some(key()),
            accept_keyless: false,
        };
        let shutdown = self.shutdown.child_token();
        let environment = self.environment.clone();
        let running = backfence_frontend::run(listener, config, environment, shutdown.clone());
        (address, shutdown, tokio::spawn(running))
    }

    fn client(&self, address: SocketAddr) -> FrontEndClient<Channel> {
        FrontEndClient::new(self.environment.connect(&address.into()))
    }
}

async fn listen() -> TcpListener {
    bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap()
}

/// Waits until so many servers are online.
async fn online(client: &mut FrontEndClient<Channel>, wanted: usize) {
    let waiting = async {
        loop {
            let status = client.status(v1::StatusRequest {}).await.unwrap();
            let servers = status.into_inner().servers;
            if servers
                .iter()
                .filter(|s| s.status() == ServerStatus::Online)
                .count()
                == wanted
            {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, waiting)
        .await
        .expect("they never were");
}

fn key() -> ClusterKey {
    ClusterKey::new(&[7; 32]).expect("it is long enough")
}

fn by_operator<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = authorization(&key(), Environment::real().now());
    request.metadata_mut().insert("authorization", token);
    request
}

async fn change(client: &mut FrontEndClient<Channel>, server: u32) {
    let changed = client.change_status(by_operator(v1::ChangeStatusRequest { server, wanted: 0 }));
    changed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_through() {
    let town = Town::new().await;
    let (address, ..) = town.front_end().await;
    let _first = town.replica(1).await;
    let _second = town.replica(2).await;
    let mut client = town.client(address);
    online(&mut client, 2).await;

    let mut session = Vec::new();
    let mut view = async |client: &mut FrontEndClient<Channel>| {
        let mut request = Request::new(v1::ViewRequest {
            session: session.clone(),
            user_id: 1,
            movie_id: 1,
            fingerprint: String::new(),
        });
        request.set_timeout(LONG);
        let viewed = client.view(request).await?.into_inner();
        session = viewed.session.unwrap().token;
        Ok::<_, tonic::Status>((viewed.rating.unwrap().rating, session.clone()))
    };
    let (rating, token) = view(&mut client).await.unwrap();
    assert_eq!(rating, 4.0);
    let mut rate = Request::new(v1::RateRequest {
        session: token,
        user_id: 1,
        movie_id: 1,
        rating: 2.5,
        update_id: None,
        time_us: 0,
        copies: 0,
        fingerprint: String::new(),
    });
    rate.set_timeout(LONG);
    let rated = client.rate(rate).await.unwrap().into_inner();
    // The first unless it was slow.
    let (taker, other) = (rated.server, 3 - rated.server);

    change(&mut client, taker).await;
    // The session's token goes with the request, so the other must have caught up.
    let mut after = Request::new(v1::ViewRequest {
        session: rated.session.unwrap().token,
        user_id: 1,
        movie_id: 1,
        fingerprint: String::new(),
    });
    after.set_timeout(LONG);
    let seen = client
        .view(after)
        .await
        .unwrap()
        .into_inner()
        .rating
        .unwrap();
    assert_eq!((seen.rating, seen.update_id), (2.5, rated.update_id));

    change(&mut client, other).await;
    let busy = view(&mut client).await.unwrap_err();
    assert_eq!(busy.code(), Code::Unavailable);
    assert_eq!(
        busy.message(),
        "All servers are currently busy, please try again later"
    );
    change(&mut client, taker).await;
    assert_eq!(view(&mut client).await.unwrap().0, 2.5);
    town.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_set_once_however_often_and_turned_round_each_time() {
    use ServerStatus::{Offline, Online, Unspecified};
    let town = Town::new().await;
    let (address, ..) = town.front_end().await;
    let _replica = town.replica(1).await;
    let mut client = town.client(address);
    online(&mut client, 1).await;
    for (wanted, from, to) in [
        (Online, Online, Online),
        (Offline, Online, Offline),
        (Offline, Offline, Offline),
        (Unspecified, Offline, Online),
        (Unspecified, Online, Offline),
        (Online, Offline, Online),
        (Online, Online, Online),
    ] {
        let changed = client.change_status(by_operator(v1::ChangeStatusRequest {
            server: 1,
            wanted: wanted.into(),
        }));
        let changed = changed.await.unwrap().into_inner();
        assert_eq!((changed.from(), changed.to()), (from, to), "{wanted:?}");
        let status = client.status(v1::StatusRequest {}).await.unwrap();
        assert_eq!(status.into_inner().servers[0].status(), to, "{wanted:?}");
    }
    town.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_come_and_go() {
    let town = Town::new().await;
    let (address, ..) = town.front_end().await;
    let (first, running) = town.replica(1).await;
    let mut client = town.client(address);
    online(&mut client, 1).await;
    let _second = town.replica(2).await;
    online(&mut client, 2).await;

    first.cancel();
    running.await.unwrap().unwrap();
    let opened = client.open_session(v1::OpenSessionRequest::default());
    opened.await.unwrap();
    let _first_again = town.replica(1).await;
    online(&mut client, 2).await;
    town.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_disturb_nobody() {
    let town = Town::new().await;
    let (address, ..) = town.front_end().await;
    let _replica = town.replica(1).await;
    let mut client = town.client(address);
    online(&mut client, 1).await;
    let find = |session: Vec<u8>, title: String| v1::FindRequest { session, title };
    for (request, code, reason) in [
        (
            find(Vec::new(), "x".repeat(MAX_REQUEST)),
            Code::OutOfRange,
            None,
        ),
        (
            find(Vec::new(), "x".repeat(600)),
            Code::InvalidArgument,
            Some("INVALID"),
        ),
        (
            find(vec![1; 40], "x".to_owned()),
            Code::InvalidArgument,
            Some("BAD_TOKEN"),
        ),
    ] {
        let status = client.find(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        let info = status.get_details_error_info();
        assert_eq!(info.map(|info| info.reason).as_deref(), reason);
    }
    let average = |movie_id| v1::AverageRequest {
        session: Vec::new(),
        movie_id,
        fingerprint: String::new(),
    };
    let unknown = client.average(average(2)).await.unwrap_err();
    assert_eq!(
        unknown.get_details_error_info().unwrap().reason,
        "UNKNOWN_MOVIE"
    );
    let known = client.average(average(1)).await.unwrap().into_inner();
    assert_eq!((known.average, known.ratings), (Some(4.0), 1));
    town.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stops_gives_its_name_up() {
    let town = Town::new().await;
    let discovery = Discovery::new(&town.environment, town.registry.clone());
    let name = Name::new("FRONTEND").unwrap();
    let mut entries = discovery.watch("FRONTEND");
    let (address, shutdown, running) = town.front_end().await;
    let registered = entries.wait_for(|entries| entries.contains_key(&name));
    let found = tokio::time::timeout(LONG, registered)
        .await
        .unwrap()
        .unwrap()[&name]
        .clone();
    assert_eq!(found.address, address.into());

    let (_, _, second) = town.front_end().await;
    let refused = tokio::time::timeout(LONG, second)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert!(refused.to_string().contains("FRONTEND"), "{refused}");

    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!(discovery.look_up(&name).await.is_err());
    town.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_server_it_says_that_it_does_not_serve() {
    let town = Town::new().await;
    let (address, ..) = town.front_end().await;
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    let request = HealthCheckRequest {
        service: "backfence.v1.FrontEnd".to_owned(),
    };
    let mut watched = health.watch(request).await.unwrap().into_inner();
    let mut says = async |status: ServingStatus| {
        let said = tokio::time::timeout(LONG, watched.message()).await;
        assert_eq!(said.unwrap().unwrap().unwrap().status(), status);
    };
    says(ServingStatus::NotServing).await;
    for _ in 0..2 {
        let (stop, running) = town.replica(1).await;
        says(ServingStatus::Serving).await;
        stop.cancel();
        running.await.unwrap().unwrap();
        says(ServingStatus::NotServing).await;
    }
    town.shutdown.cancel();
}

/// An answer that tells ids tells of which data they are; who repeats that is refused by a
/// server with other data.
#[tokio::test(flavor = "multi_thread")]
async fn ids_belong_to_the_data_in_which_they_were_found() {
    let town = Town::new().await;
    let (address, ..) = town.front_end().await;
    let _replica = town.replica(1).await;
    let mut client = town.client(address);
    online(&mut client, 1).await;
    let found = client.find(v1::FindRequest {
        session: Vec::new(),
        title: "toy story".to_owned(),
    });
    let found = found.await.unwrap().into_inner().fingerprint;
    assert_eq!(found.len(), 32);
    let mut view = async |fingerprint: &str| {
        let asked = client.view(v1::ViewRequest {
            session: Vec::new(),
            user_id: 1,
            movie_id: 1,
            fingerprint: fingerprint.to_owned(),
        });
        asked.await.map(|viewed| viewed.into_inner().rating)
    };
    for same in [&found, ""] {
        assert_eq!(view(same).await.unwrap().unwrap().rating, 4.0);
    }
    let refused = view("f".repeat(32).as_str()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.reason, "OTHER_DATA");
    assert_eq!(info.metadata["server"], "1");
    town.shutdown.cancel();
}

/// A front end of before 0.2 says no Hello, and is served all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_says_who_it_is_to_whoever_asks() {
    let town = Town::new().await;
    let (address, ..) = town.front_end().await;
    let _replica = town.replica(1).await;
    let mut client = town.client(address);
    online(&mut client, 1).await;
    let listed = client.status(v1::StatusRequest {}).await.unwrap();
    let listed = listed.into_inner().servers.remove(0);

    let replica = town.environment.connect(&listed.address.parse().unwrap());
    let (requests, receiver) = tokio::sync::mpsc::channel(2);
    let requested = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut client = v1::replica_client::ReplicaClient::new(replica);
    let mut replies = client.serve(requested).await.unwrap().into_inner();
    let mut ask = async |number, body| {
        let request = v1::ServeRequest {
            number,
            body: Some(body),
            ..v1::ServeRequest::default()
        };
        requests.send(request).await.unwrap();
        replies.message().await.unwrap().unwrap()
    };
    let open = v1::query::Kind::Open(v1::query::Open {});
    let query = v1::Query {
        kind: Some(open),
        ..v1::Query::default()
    };
    let answered = ask(7, v1::serve_request::Body::Query(query)).await;
    assert_eq!(answered.number, 7);
    assert!(answered.now_us > 0);
    let greeted = ask(0, v1::serve_request::Body::Hello(v1::Hello::default())).await;
    let Some(v1::serve_reply::Outcome::Hello(hello)) = greeted.outcome else {
        panic!("no Hello: {greeted:?}");
    };
    assert_eq!(hello.cluster, listed.cluster);
    assert_eq!(hello.standing(), v1::ClusterStanding::Founded);
    assert_eq!((hello.wire, hello.build), (listed.wire, listed.build));
    assert_eq!(listed.speaks, backfence_wire::Versions::OWN.newest);
    town.shutdown.cancel();
}
