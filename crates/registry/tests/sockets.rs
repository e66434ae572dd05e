//! The registry over real sockets.

use std::{collections::BTreeMap, future::Future, net::SocketAddr, time::Duration};

use backfence_process::{
    Address, CancellationToken, Discovery, DiscoveryError, Entry, Environment, Health, Name,
    Wanted, bind, serve,
};
use backfence_registry::Config;
use backfence_wire::v1::{
    self, register_request::Wanted as WireWanted, registry_client::RegistryClient,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tonic::{Code, Status, service::Routes, transport::Channel};

/// Long enough for a busy machine; a test that waits so long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// A server that is stopped, and waited for, on demand.
struct Server {
    address: Address,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Server {
    async fn registry() -> Self {
        Self::registry_on(&free(), Config::default()).await
    }

    async fn registry_on(address: &Address, config: Config) -> Self {
        let listener = bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let run = backfence_registry::run(listener, config, Environment::real(), stop.clone());
        Self::start(address, stop, async { run.await.unwrap() })
    }

    /// Any program that can be registered, as one before 0.3: it does not show who it is.
    async fn program() -> Self {
        Self::program_on(&free()).await
    }

    async fn program_on(address: &Address) -> Self {
        let listener = bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let health = Health::new(&[]).await;
        let run = serve(listener, Routes::default(), health, stop.clone());
        Self::start(address, stop, async { run.await.unwrap() })
    }

    fn start(
        address: SocketAddr,
        stop: CancellationToken,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            address: address.into(),
            stop,
            running: tokio::spawn(run),
        }
    }

    fn client(&self) -> RegistryClient<Channel> {
        RegistryClient::new(Environment::real().connect(&self.address))
    }

    fn discovery(&self) -> Discovery {
        Discovery::new(&Environment::real(), self.address.clone())
    }

    async fn stop(self) -> Address {
        self.stop.cancel();
        self.running.await.unwrap();
        self.address
    }
}

fn free() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

/// An address where nobody listens.
async fn vacant() -> Address {
    Server::program().await.stop().await
}

/// Registers a program that is gone then. Where it was.
async fn register_dead(registry: &Server, name: &str, instance: u64) -> Address {
    let program = Server::program().await;
    register(registry, exact(name), &program.address, instance)
        .await
        .unwrap();
    program.stop().await
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn request(wanted: WireWanted, address: &Address, instance: u64) -> v1::RegisterRequest {
    v1::RegisterRequest {
        wanted: Some(wanted),
        address: address.to_string(),
        instance,
        lease_ms: 60_000,
        secret: Vec::new(),
        code: Vec::new(),
    }
}

fn exact(name: &str) -> WireWanted {
    WireWanted::Name(name.to_owned())
}

fn numbered() -> WireWanted {
    WireWanted::Numbered("SERVER".to_owned())
}

async fn register(
    registry: &Server,
    wanted: WireWanted,
    address: &Address,
    instance: u64,
) -> Result<String, Status> {
    let request = request(wanted, address, instance);
    let response = registry.client().register(request).await?.into_inner();
    Ok(response.entry.unwrap().name)
}

fn renewal(instance: u64, secret: &[u8]) -> v1::RenewRequest {
    v1::RenewRequest {
        name: "SERVER1".into(),
        instance,
        secret: secret.to_vec(),
        code: Vec::new(),
    }
}

fn farewell(instance: u64, secret: &[u8]) -> v1::UnregisterRequest {
    v1::UnregisterRequest {
        name: "SERVER1".into(),
        instance,
        secret: secret.to_vec(),
        code: Vec::new(),
    }
}

async fn holder(registry: &Server, name: &str) -> Result<v1::Entry, Code> {
    let request = v1::LookUpRequest { name: name.into() };
    let answer = registry.client().look_up(request).await;
    answer
        .map(|response| response.into_inner().entry.unwrap())
        .map_err(|status| status.code())
}

/// Waits until the followed entries are as wanted.
async fn until(
    followed: &mut watch::Receiver<BTreeMap<Name, Entry>>,
    wanted: impl Fn(&BTreeMap<Name, Entry>) -> bool,
) {
    tokio::time::timeout(DEADLINE, followed.wait_for(wanted))
        .await
        .expect("the entries became as wanted in time")
        .expect("the watch goes on");
}

// Also: what a program before 0.2 asks, which sends no secret.
#[tokio::test]
async fn a_name_is_taken_renewed_and_given_up() {
    let registry = Server::registry().await;
    let program = Server::program().await;
    let mut client = registry.client();
    let asked = v1::RegisterRequest {
        lease_ms: 1,
        ..request(exact("SERVER1"), &program.address, 7)
    };
    let granted = client.register(asked.clone()).await.unwrap().into_inner();
    assert_eq!(granted.lease_ms, 500, "the shortest lease");
    let held = holder(&registry, "SERVER1").await.unwrap();
    assert_eq!((held.address, held.instance), (asked.address, 7));

    client.renew(renewal(7, &[])).await.unwrap();
    let stranger = client.renew(renewal(8, &[])).await.unwrap_err();
    assert_eq!(stranger.code(), Code::NotFound);

    for instance in [8, 7, 7] {
        client.unregister(farewell(instance, &[])).await.unwrap();
    }
    assert_eq!(holder(&registry, "SERVER1").await, Err(Code::NotFound));
}

#[tokio::test]
async fn who_reads_the_list_cannot_act_for_a_holder() {
    let registry = Server::registry().await;
    let (program, stranger) = (Server::program().await, Server::program().await);
    let discovery = registry.discovery();
    let registration = discovery
        .register(Wanted::Exact(name("SERVER1")), program.address.clone())
        .await
        .unwrap();
    let listed = discovery.list("").await.unwrap()[registration.name()].clone();
    let mut client = registry.client();
    for secret in [vec![], vec![7; 16]] {
        let renewed = client.renew(renewal(listed.instance, &secret)).await;
        assert_eq!(renewed.unwrap_err().code(), Code::NotFound);
        let moved = v1::RegisterRequest {
            secret: secret.clone(),
            ..request(exact("SERVER1"), &stranger.address, listed.instance)
        };
        let refused = client.register(moved.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists);
        let numbered = v1::RegisterRequest {
            wanted: Some(numbered()),
            ..moved
        };
        let other = client.register(numbered).await.unwrap().into_inner();
        assert_ne!(other.entry.unwrap().name, "SERVER1");
        let ignored = client.unregister(farewell(listed.instance, &secret));
        ignored.await.unwrap();
        let held = holder(&registry, "SERVER1").await.unwrap();
        assert_eq!(held, listed.clone().into());
    }
    registration.leave().await;
    assert_eq!(holder(&registry, "SERVER1").await, Err(Code::NotFound));
}

#[tokio::test]
async fn a_living_holder_keeps_its_name() {
    let registry = Server::registry().await;
    let (living, newcomer) = (Server::program().await, Server::program().await);
    register(&registry, exact("SERVER1"), &living.address, 1)
        .await
        .unwrap();
    let refused = register(&registry, exact("SERVER1"), &newcomer.address, 2)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let sentence = refused.message();
    assert!(sentence.contains(&living.address.to_string()), "{sentence}");
    assert_eq!(holder(&registry, "SERVER1").await.unwrap().instance, 1);
}

#[tokio::test]
async fn a_dead_holder_loses_its_name_at_once() {
    let registry = Server::registry().await;
    let newcomer = Server::program().await;
    for (wanted, is_silent) in [("SERVER1", false), ("SERVER2", true)] {
        let dead = register_dead(&registry, wanted, 1).await.to_string();
        // It accepts, by way of the system, and never answers: a stopped process.
        let _silent = match is_silent {
            true => Some(TcpListener::bind(dead).await.unwrap()),
            false => None,
        };
        register(&registry, exact(wanted), &newcomer.address, 2)
            .await
            .unwrap();
        assert_eq!(holder(&registry, wanted).await.unwrap().instance, 2);
    }
}

#[tokio::test]
async fn many_at_once_get_a_number_each() {
    const MANY: u64 = 20;
    let registry = Server::registry().await;
    // The first numbers are held by the dead: all ask for these first.
    for number in 1..=3 {
        register_dead(&registry, &format!("SERVER{number}"), 1000 + number).await;
    }
    let mut tasks = JoinSet::new();
    let mut programs = Vec::new();
    for instance in 1..=MANY {
        let program = Server::program().await;
        let asked = request(numbered(), &program.address, instance);
        let mut client = registry.client();
        tasks.spawn(async move { client.register(asked).await.unwrap().into_inner() });
        programs.push(program);
    }
    let granted = tasks.join_all().await;
    let mut names: Vec<Name> = granted
        .into_iter()
        .map(|response| name(&response.entry.unwrap().name))
        .collect();
    names.sort();
    let expected: Vec<Name> = (1..=MANY).map(|n| name(&format!("SERVER{n}"))).collect();
    assert_eq!(names, expected);

    let again = register(&registry, numbered(), &programs[0].address, 1).await;
    let listed = registry.discovery().list("SERVER").await.unwrap();
    assert_eq!(
        listed.len() as u64,
        MANY,
        "{again:?} is a number of its own"
    );
    assert_eq!(listed[&name(&again.unwrap())].instance, 1);
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let registry = Server::registry().await;
    let good = vacant().await;
    let mut client = registry.client();
    let bad = [
        request(exact(""), &good, 1),
        request(exact("a b"), &good, 1),
        request(exact(&"x".repeat(65)), &good, 1),
        request(WireWanted::Numbered("SERVER1".into()), &good, 1),
        request(exact("A"), &free(), 1),
        v1::RegisterRequest {
            address: "nowhere".into(),
            ..request(exact("A"), &good, 1)
        },
        v1::RegisterRequest {
            wanted: None,
            ..request(exact("A"), &good, 1)
        },
        v1::RegisterRequest {
            secret: vec![1; 15],
            ..request(exact("A"), &good, 1)
        },
    ];
    for request in bad {
        let refused = client.register(request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{request:?}");
    }
    let refusals = [
        client.renew(renewal(1, &[1; 17])).await.unwrap_err(),
        client.unregister(farewell(1, &[1])).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("16 bytes"), "{refused}");
    }
    let huge = v1::ListRequest {
        prefix: "x".repeat(70_000),
    };
    let refused = client.list(huge).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    assert!(registry.discovery().list("").await.unwrap().is_empty());
}

#[tokio::test]
async fn watchers_see_each_coming_and_going() {
    let registry = Server::registry().await;
    let program = Server::program().await;
    let discovery = registry.discovery();
    let mut followed = discovery.watch("SERVER");
    let one = discovery
        .register(Wanted::Numbered(name("SERVER")), program.address.clone())
        .await
        .unwrap();
    assert_eq!(one.name(), &name("SERVER1"));
    until(&mut followed, |entries| entries.contains_key(one.name())).await;
    register(&registry, exact("FRONTEND"), &program.address, 5)
        .await
        .unwrap();
    let lapsing = v1::RegisterRequest {
        lease_ms: 500,
        ..request(exact("SERVER2"), &program.address, 6)
    };
    registry.client().register(lapsing).await.unwrap();
    until(&mut followed, |entries| entries.len() == 2).await;
    until(&mut followed, |entries| entries.len() == 1).await;
    one.leave().await;
    until(&mut followed, BTreeMap::is_empty).await;
}

#[tokio::test]
async fn a_registration_outlives_a_restart_of_the_registry() {
    let registry = Server::registry().await;
    let program = Server::program().await;
    let registration = registry
        .discovery()
        .register(Wanted::Exact(name("SERVER1")), program.address.clone())
        .await
        .unwrap();
    let restarted = Server::registry_on(&registry.stop().await, Config::default()).await;
    let back = async {
        while holder(&restarted, "SERVER1").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, back).await.unwrap();
    registration.leave().await;
    assert_eq!(holder(&restarted, "SERVER1").await, Err(Code::NotFound));
}

#[tokio::test]
async fn what_was_known_outlasts_a_restart_of_the_registry() {
    let registry = Server::registry().await;
    let mut followed = registry.discovery().watch("");
    let program = Server::program().await;
    let somewhere = &program.address;
    register(&registry, exact("SERVER1"), somewhere, 1)
        .await
        .unwrap();
    until(&mut followed, |entries| !entries.is_empty()).await;

    let restarted = Server::registry_on(&registry.stop().await, Config::default()).await;
    let first = name("SERVER1");
    for instance in [2, 3] {
        let newcomer = format!("SERVER{instance}");
        register(&restarted, exact(&newcomer), somewhere, instance)
            .await
            .unwrap();
        until(&mut followed, |entries| {
            assert!(entries.contains_key(&first), "{entries:?}");
            entries.contains_key(&name(&newcomer))
        })
        .await;
    }
    until(&mut followed, |entries| !entries.contains_key(&first)).await;
}

#[tokio::test]
async fn a_name_taken_over_meanwhile_is_lost() {
    let registry = Server::registry().await;
    let (program, other) = (Server::program().await, Server::program().await);
    let registration = registry
        .discovery()
        .register(Wanted::Exact(name("SERVER1")), program.address.clone())
        .await
        .unwrap();
    // As if the program had been halted for longer than its lease.
    let address = program.stop().await;
    register(&registry, exact("SERVER1"), &other.address, 2)
        .await
        .unwrap();
    let _program = Server::program_on(&address).await;
    let lost = tokio::time::timeout(DEADLINE, registration.lost())
        .await
        .unwrap();
    assert!(matches!(&lost, DiscoveryError::Taken(_)), "{lost}");
    let sentence = lost.to_string();
    assert!(sentence.contains(&other.address.to_string()), "{sentence}");
}

#[tokio::test]
async fn garbage_disturbs_nobody() {
    let registry = Server::registry().await;
    register_dead(&registry, "SERVER1", 1).await;
    let garbage: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 4096],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand then nonsense, and more of it",
        b"",
    ];
    for bytes in garbage {
        let address = registry.address.to_string();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        // Whether the end is a reset or not is up to the system.
        let _ = tokio::time::timeout(DEADLINE, end).await.unwrap();
        assert_eq!(holder(&registry, "SERVER1").await.unwrap().instance, 1);
    }
}
