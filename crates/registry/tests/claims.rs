//! Who may take a name, and what a registry does for strangers.

use std::{sync::Arc, time::Duration};

use backfence_process::{
    Address, CancellationToken, ClusterKey, Discovery, DiscoveryError, Environment, Health, Name,
    Registration, Wanted, bind, serve,
};
use backfence_registry::Config;
use backfence_wire::v1::{
    self, register_request::Wanted as WireWanted, registry_client::RegistryClient,
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tonic::{Code, Status, Streaming, service::Routes, transport::Channel};

/// Long enough for a busy machine; a test that waits so long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

fn free() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

fn key(byte: u8) -> ClusterKey {
    ClusterKey::new(&[byte; 32]).unwrap()
}

/// A registry, and where it is.
async fn registry(config: Config) -> Address {
    let listener = bind(&free()).await.unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    let (environment, never) = (Environment::real(), CancellationToken::new());
    tokio::spawn(backfence_registry::run(
        listener,
        config,
        environment,
        never,
    ));
    address
}

async fn keyed_registry(byte: u8, accept_keyless: bool) -> Address {
    let cluster_key = Some(key(byte));
    registry(Config {
        cluster_key,
        accept_keyless,
    })
    .await
}

/// A program that serves and can register.
struct Program {
    discovery: Discovery,
    address: Address,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Program {
    async fn new(registry: &Address, key: Option<ClusterKey>) -> Self {
        Self::at(&free(), registry, key).await
    }

    async fn at(address: &Address, registry: &Address, key: Option<ClusterKey>) -> Self {
        let discovery = Discovery::new(&Environment::real(), registry.clone());
        let discovery = discovery.with_key(key.as_ref());
        let listener = bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().into();
        let (stop, health) = (CancellationToken::new(), Health::new(&[]).await);
        let routes = Routes::new(discovery.presence());
        let serving = serve(listener, routes, health, stop.clone());
        Self {
            discovery,
            address,
            stop,
            serving: tokio::spawn(async { serving.await.unwrap() }),
        }
    }

    async fn register(&self) -> Result<Registration, DiscoveryError> {
        let wanted = Wanted::Exact(Name::new("SERVER1").unwrap());
        self.discovery.register(wanted, self.address.clone()).await
    }

    /// Without a farewell.
    async fn die(self) -> Address {
        self.stop.cancel();
        self.serving.await.unwrap();
        self.address
    }
}

fn client(registry: &Address) -> RegistryClient<Channel> {
    RegistryClient::new(Environment::real().connect(registry))
}

fn request(address: &Address, instance: u64, secret: &[u8]) -> v1::RegisterRequest {
    v1::RegisterRequest {
        wanted: Some(WireWanted::Name("SERVER1".into())),
        address: address.to_string(),
        instance,
        secret: secret.to_vec(),
        ..v1::RegisterRequest::default()
    }
}

async fn held(registry: &Address) -> v1::Entry {
    let name = "SERVER1".into();
    let found = client(registry).look_up(v1::LookUpRequest { name }).await;
    found.unwrap().into_inner().entry.unwrap()
}

/// The holder's instance and address are listed. Whoever claims them, or the address alone, is
/// found out by asking there, also who leaves out the secret, as programs before 0.2 do.
#[tokio::test]
async fn nobody_takes_a_name_over_by_naming_its_holders_address() {
    let registry = registry(Config::default()).await;
    let program = Program::new(&registry, None).await;
    let _registration = program.register().await.unwrap();
    let entry = held(&registry).await;
    for instance in [entry.instance, 7] {
        for secret in [&[][..], &[7; 16]] {
            let asked = request(&program.address, instance, secret);
            let refused = client(&registry).register(asked).await.unwrap_err();
            assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
            assert_eq!(held(&registry).await, entry);
        }
    }
}

#[tokio::test]
async fn who_comes_back_at_its_address_has_its_name_at_once() {
    let registry = registry(Config::default()).await;
    let program = Program::new(&registry, None).await;
    let first = program.register().await.unwrap();
    let before = held(&registry).await;
    let address = program.die().await;
    let again = Program::at(&address, &registry, None).await;
    let _second = again.register().await.unwrap();
    let after = held(&registry).await;
    assert_eq!(after.address, before.address);
    assert_ne!(after.instance, before.instance);
    drop(first);
}

/// Nothing is listed where nobody answers, or who answers is no program of ours: it would be
/// dialled by all. The registry itself dials once for each time that it is asked.
#[tokio::test]
async fn an_address_that_does_not_answer_is_not_listed() {
    let registry = registry(Config::default()).await;
    let victim = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::from(victim.local_addr().unwrap());
    let (dialled, mut dials) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((connection, _)) = victim.accept().await {
            drop(connection);
            let _ = dialled.send(());
        }
    });
    for _ in 0..3 {
        let asked = request(&address, 1, &[1; 16]);
        let refused = client(&registry).register(asked).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        let sentence = format!("nobody answers at {address}");
        assert!(refused.message().contains(&sentence), "{refused}");
    }
    let list = v1::ListRequest::default();
    let listed = client(&registry).list(list).await.unwrap().into_inner();
    assert_eq!(listed.entries, []);
    let mut count = 0;
    while dials.try_recv().is_ok() {
        count += 1;
    }
    assert!(count <= 3, "dialled {count} times");
}

#[tokio::test]
async fn with_a_key_names_are_for_who_has_it() {
    let registry = keyed_registry(1, false).await;
    let member = Program::new(&registry, Some(key(1))).await;
    let _registration = member.register().await.unwrap();
    let entry = held(&registry).await;
    for other in [None, Some(key(2))] {
        let stranger = Program::new(&registry, other).await;
        let refused = stranger.register().await.unwrap_err().to_string();
        assert!(refused.contains("--cluster-key FILE"), "{refused}");
        assert_eq!(held(&registry).await, entry);
    }
    let mut client = client(&registry);
    let (name, instance) = ("SERVER1".to_owned(), entry.instance);
    let renewal = v1::RenewRequest {
        name: name.clone(),
        instance,
        ..v1::RenewRequest::default()
    };
    let refused = client.renew(renewal).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let farewell = v1::UnregisterRequest {
        name,
        instance,
        ..v1::UnregisterRequest::default()
    };
    let refused = client.unregister(farewell).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(held(&registry).await, entry);
}

#[tokio::test]
async fn while_a_cluster_is_given_a_key_both_kinds_are_served() {
    let accepting = keyed_registry(1, true).await;
    let without = registry(Config::default()).await;
    for (registry, own) in [
        (&accepting, None),
        (&accepting, Some(key(1))),
        (&without, Some(key(1))),
    ] {
        let program = Program::new(registry, own).await;
        program.register().await.unwrap().leave().await;
    }
    let stranger = Program::new(&accepting, Some(key(2))).await;
    stranger.register().await.unwrap_err();
}

async fn watch(
    client: &mut RegistryClient<Channel>,
) -> Result<Streaming<v1::ListResponse>, Status> {
    let request = v1::WatchRequest::default();
    Ok(client.watch(request).await?.into_inner())
}

/// Silent watchers: from one connection, then from as many as it takes to fill all places. Each
/// time a program registers and is told what is listed.
#[tokio::test]
async fn silent_watchers_are_in_nobodys_way() {
    let registry = Arc::new(registry(Config::default()).await);
    let mut greedy = client(&registry);
    let mut silent = Vec::new();
    let mut refused = 0;
    for _ in 0..1024 {
        match watch(&mut greedy).await {
            Ok(stream) => silent.push(stream),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                refused += 1;
            }
        }
    }
    assert_eq!((silent.len(), refused), (8, 1016));
    let mut crowd = JoinSet::new();
    for _ in 0..127 {
        let registry = Arc::clone(&registry);
        crowd.spawn(async move {
            let mut client = client(&registry);
            let mut streams = Vec::new();
            for _ in 0..8 {
                streams.push(watch(&mut client).await.unwrap());
            }
            streams
        });
    }
    let _crowd = crowd.join_all().await;
    for _ in 0..3 {
        let program = Program::new(&registry, None).await;
        let mut followed = program.discovery.watch("");
        let registration = program.register().await.unwrap();
        let is_listed = followed.wait_for(|listed| listed.contains_key(registration.name()));
        tokio::time::timeout(DEADLINE, is_listed)
            .await
            .expect("it is told in time")
            .unwrap();
        registration.leave().await;
    }
}
