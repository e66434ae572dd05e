//! Servers and discovery in a network made of pipes, where time jumps.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use backfence_process::{
    Address, CancellationToken, Connecting, Connector, DRAIN, Discovery, DiscoveryError,
    Environment, Health, Io, Listener, Name, Wanted, serve, within,
};
use backfence_wire::v1::{
    self,
    registry_server::{Registry, RegistryServer},
};
use tokio::{io::DuplexStream, sync::mpsc, time::Instant};
use tonic::{Code, Request, Response, Status, service::Routes};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const SECOND: Duration = Duration::from_secs(1);

/// One server at most, whatever the address.
#[derive(Clone, Default)]
struct Network {
    server: Arc<Mutex<Option<mpsc::Sender<DuplexStream>>>>,
}

struct Accepting(mpsc::Receiver<DuplexStream>);

impl Network {
    fn listen(&self) -> Accepting {
        let (sender, receiver) = mpsc::channel(8);
        *self.server.lock().unwrap() = Some(sender);
        Accepting(receiver)
    }

    fn environment(&self) -> Environment {
        Environment::seeded(1).with_connector(self.clone())
    }
}

impl Connector for Network {
    fn connect(&self, _: Address) -> Connecting {
        let server = self.server.lock().unwrap().clone();
        Box::pin(async move {
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let (here, there) = tokio::io::duplex(64 * 1024);
            let server = server.ok_or_else(refused)?;
            server.send(there).await.map_err(|_| refused())?;
            Ok(Box::new(here) as Box<dyn Io>)
        })
    }
}

impl Listener for Accepting {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<DuplexStream> {
        match self.0.recv().await {
            Some(io) => Ok(io),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 1).into())
    }
}

fn anywhere() -> Address {
    "server:1".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_server_is_ready_when_it_says_so_and_cuts_what_does_not_end() {
    let network = Network::default();
    let (health, shutdown) = (Health::new(&["a.B"]).await, CancellationToken::new());
    let serving = tokio::spawn(serve(
        network.listen(),
        Routes::default(),
        health.clone(),
        shutdown.clone(),
    ));
    let channel = network.environment().connect(&anywhere());
    let mut client = HealthClient::new(channel);
    let service = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    for name in ["", "a.B"] {
        let answer = client.check(service(name)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing);
    }
    health.ready().await;
    // A call that never ends by itself.
    let mut watch = client.watch(service("a.B")).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    let start = Instant::now();
    shutdown.cancel();
    let last = watch.message().await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    serving.await.unwrap().unwrap();
    assert!(start.elapsed() >= DRAIN);
    assert!(start.elapsed() < DRAIN + SECOND);
    let cut = within(SECOND, watch.message()).await.unwrap_err();
    assert_ne!(cut.code(), Code::DeadlineExceeded, "{cut:?}");
}

#[tokio::test(start_paused = true)]
async fn reflection_lists_what_the_server_offers() {
    let network = Network::default();
    let health = Health::new(&["backfence.v1.Registry"]).await;
    tokio::spawn(serve(
        network.listen(),
        Routes::default(),
        health,
        CancellationToken::new(),
    ));
    let mut client = ServerReflectionClient::new(network.environment().connect(&anywhere()));
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = client.server_reflection_info(tokio_stream::iter([question]));
    let answer = asked.await.unwrap().into_inner().message().await.unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.unwrap().message_response else {
        panic!("a list of services");
    };
    let names: Vec<String> = list.service.into_iter().map(|found| found.name).collect();
    for name in ["backfence.v1.Registry", "grpc.health.v1.Health"] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} in {names:?}"
        );
    }
    assert!(
        !names.iter().any(|found| found.ends_with("FrontEnd")),
        "{names:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_without_calls_stops_at_once() {
    let network = Network::default();
    let shutdown = CancellationToken::new();
    let health = Health::new(&[]).await;
    let serving = serve(
        network.listen(),
        Routes::default(),
        health,
        shutdown.clone(),
    );
    let start = Instant::now();
    shutdown.cancel();
    serving.await.unwrap();
    assert!(start.elapsed() < DRAIN);
}

#[tokio::test(start_paused = true)]
async fn a_missing_registry_is_looked_for_for_ten_seconds() {
    let environment = Network::default().environment();
    let discovery = Discovery::new(&environment, anywhere());
    let name = Name::new("SERVER1").unwrap();
    let check = async |error: DiscoveryError, start: Instant| {
        assert!(
            matches!(error, DiscoveryError::NoRegistry { .. }),
            "{error}"
        );
        let sentence = error.to_string();
        assert!(
            sentence.starts_with("no registry at http://server:1: connection refused"),
            "{sentence}"
        );
        let waited = start.elapsed();
        assert!(waited >= 10 * SECOND && waited < 11 * SECOND, "{waited:?}");
    };
    let start = Instant::now();
    check(discovery.list("").await.unwrap_err(), start).await;
    let start = Instant::now();
    check(discovery.look_up(&name).await.unwrap_err(), start).await;
    let start = Instant::now();
    let wanted = Wanted::Exact(name);
    check(
        discovery.register(wanted, anywhere()).await.unwrap_err(),
        start,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_comes_late_is_found() {
    let network = Network::default();
    let discovery = Discovery::new(&network.environment(), anywhere());
    let late = async {
        tokio::time::sleep(8 * SECOND).await;
        // Any gRPC server answers; this one says that it is no registry.
        let health = Health::new(&[]).await;
        serve(
            network.listen(),
            Routes::default(),
            health,
            CancellationToken::new(),
        )
        .await
    };
    let error = tokio::select! {
        _ = late => unreachable!("nobody stops it"),
        found = discovery.list("") => found.unwrap_err(),
    };
    assert!(
        matches!(error, DiscoveryError::WrongAnswer { .. }),
        "{error}"
    );
}

/// What a registry was sent: the call, the instance and the secret.
type Sent = (&'static str, u64, Vec<u8>);

/// A registry that grants a name, does not know it at the first renewal, and notes what it
/// is sent.
struct Forgetful(mpsc::UnboundedSender<Sent>);

#[tonic::async_trait]
impl Registry for Forgetful {
    type WatchStream = tokio_stream::Empty<Result<v1::ListResponse, Status>>;

    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterResponse>, Status> {
        let v1::RegisterRequest {
            address,
            instance,
            secret,
            ..
        } = request.into_inner();
        self.0.send(("register", instance, secret)).unwrap();
        let entry = v1::Entry {
            name: "SERVER1".into(),
            address,
            instance,
        };
        Ok(Response::new(v1::RegisterResponse {
            entry: Some(entry),
            lease_ms: 3_000,
        }))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        let request = request.into_inner();
        let sent = ("renew", request.instance, request.secret);
        self.0.send(sent).unwrap();
        Err(Status::not_found("never heard of it"))
    }

    async fn unregister(
        &self,
        request: Request<v1::UnregisterRequest>,
    ) -> Result<Response<v1::UnregisterResponse>, Status> {
        let request = request.into_inner();
        let sent = ("unregister", request.instance, request.secret);
        self.0.send(sent).unwrap();
        Ok(Response::new(v1::UnregisterResponse {}))
    }

    async fn look_up(
        &self,
        _: Request<v1::LookUpRequest>,
    ) -> Result<Response<v1::LookUpResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn list(
        &self,
        _: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn watch(
        &self,
        _: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_registration_repeats_its_secret() {
    let network = Network::default();
    let (sender, mut sent) = mpsc::unbounded_channel();
    tokio::spawn(serve(
        network.listen(),
        Routes::new(RegistryServer::new(Forgetful(sender))),
        Health::new(&[]).await,
        CancellationToken::new(),
    ));
    let discovery = Discovery::new(&network.environment(), anywhere());
    let wanted = Wanted::Exact(Name::new("SERVER1").unwrap());
    let registration = discovery.register(wanted, anywhere()).await.unwrap();
    let (first, instance, secret) = sent.recv().await.unwrap();
    assert_eq!((first, secret.len()), ("register", 16));
    assert_eq!(
        sent.recv().await.unwrap(),
        ("renew", instance, secret.clone())
    );
    assert_eq!(
        sent.recv().await.unwrap(),
        ("register", instance, secret.clone())
    );
    registration.leave().await;
    assert_eq!(sent.recv().await.unwrap(), ("unregister", instance, secret));
}
