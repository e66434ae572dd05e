//! What a client cannot do to the others, in HTTP/2 frames, in a network made of pipes.

use std::{collections::BTreeSet, io, net::SocketAddr, time::Duration};

use backfence_process::{
    Address, CancellationToken, Connecting, Connector, Environment, Health, Io, Listener, serve,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
    time::Instant,
};
use tonic::service::Routes;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

struct Accepting(mpsc::Receiver<DuplexStream>);

impl Listener for Accepting {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<DuplexStream> {
        match self.0.recv().await {
            Some(io) => Ok(io),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], 1).into())
    }
}

/// A server that only answers whether it is well.
#[derive(Clone)]
struct Server(mpsc::Sender<DuplexStream>);

impl Server {
    async fn new() -> Self {
        let (sender, receiver) = mpsc::channel(8);
        let health = Health::new(&[]).await;
        let stop = CancellationToken::new();
        tokio::spawn(serve(Accepting(receiver), Routes::default(), health, stop));
        Self(sender)
    }

    async fn connect(&self) -> DuplexStream {
        let (here, there) = tokio::io::duplex(1 << 20);
        self.0.send(there).await.unwrap();
        here
    }

    /// A client that does as it should is answered.
    async fn serves(&self) {
        let environment = Environment::seeded(1).with_connector(self.clone());
        let channel = environment.connect(&"server:1".parse().unwrap());
        let asked = HealthCheckRequest::default();
        HealthClient::new(channel).check(asked).await.unwrap();
    }
}

impl Connector for Server {
    fn connect(&self, _: Address) -> Connecting {
        let server = self.clone();
        Box::pin(async move { Ok(Box::new(server.connect().await) as Box<dyn Io>) })
    }
}

/// A client that speaks in frames.
struct Raw {
    io: DuplexStream,
    ended: BTreeSet<u32>,
}

impl Raw {
    /// Lets the server send so many bytes on each stream.
    async fn new(server: &Server, window: u32) -> Self {
        let mut io = server.connect().await;
        io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut raw = Self {
            io,
            ended: BTreeSet::new(),
        };
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        raw.send(SETTINGS, 0, 0, &settings).await;
        raw
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        let frame = [&head, payload].concat();
        self.io.write_all(&frame).await.unwrap();
    }

    /// Begins a call, of which nothing but the headers comes.
    async fn begin(&mut self, stream: u32) {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", "x"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal without indexing (RFC 7541, section 6.2.2).
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend(text.as_bytes());
            }
        }
        self.send(HEADERS, END_HEADERS, stream, &block).await;
    }

    /// Makes a call that asks whether all is well.
    async fn call(&mut self, stream: u32) {
        self.begin(stream).await;
        self.send(DATA, END_STREAM, stream, &[0; 5]).await;
    }

    /// Reads until so many calls have ended. False where the connection ends before.
    async fn until(&mut self, calls: usize) -> bool {
        while self.ended.len() < calls {
            let mut head = [0; 9];
            if self.io.read_exact(&mut head).await.is_err() {
                return false;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.io.read_exact(&mut payload).await.unwrap();
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match (head[3], head[4]) {
                (PING, 0) => {
                    let answer = [&[0, 0, 8, PING, ACK, 0, 0, 0, 0], &payload[..]].concat();
                    if self.io.write_all(&answer).await.is_err() {
                        return false;
                    }
                }
                (RESET, _) => drop(self.ended.insert(stream)),
                (HEADERS | DATA, flags) if flags & END_STREAM != 0 => {
                    self.ended.insert(stream);
                }
                _ => {}
            }
        }
        true
    }
}

fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_half_sent_end() {
    let server = Server::new().await;
    let mut raw = Raw::new(&server, 65_535).await;
    for stream in streams().take(600) {
        raw.begin(stream).await;
    }
    let begun = Instant::now();
    server.serves().await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(raw.until(600).await);
    let took = begun.elapsed();
    let expected = Duration::from_secs(5)..Duration::from_secs(6);
    assert!(expected.contains(&took), "{took:?}");
    // The connection itself goes on.
    raw.call(2001).await;
    assert!(raw.until(601).await);
}

#[tokio::test(start_paused = true)]
async fn one_that_reads_nothing_is_cut() {
    let server = Server::new().await;
    let mut deaf = Raw::new(&server, 0).await;
    let begun = Instant::now();
    for stream in streams().take(1000) {
        deaf.call(stream).await;
    }
    server.serves().await;
    assert!(!deaf.until(1).await);
    let took = begun.elapsed();
    let expected = Duration::from_secs(10)..Duration::from_secs(12);
    assert!(expected.contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_make_room() {
    let server = Server::new().await;
    let mut idle = Vec::new();
    let begun = Instant::now();
    for _ in 0..4096 {
        idle.push(Raw::new(&server, 65_535).await);
    }
    // All but the first have been of use, so it has been idle for longest.
    for raw in &mut idle[1..] {
        raw.call(1).await;
        assert!(raw.until(1).await);
    }
    server.serves().await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it was not waited"
    );
    assert!(!idle[0].until(1).await);
    for raw in &mut idle[1..] {
        raw.call(3).await;
        assert!(raw.until(2).await);
    }
}

#[tokio::test(start_paused = true)]
async fn half_sent_calls_are_few() {
    const MANY: usize = 12 * 1024;
    let server = Server::new().await;
    let mut greedy = Vec::new();
    for _ in 0..12 {
        let mut raw = Raw::new(&server, 65_535).await;
        for stream in streams().take(MANY / 12) {
            raw.begin(stream).await;
        }
        greedy.push(raw);
    }
    let begun = Instant::now();
    server.serves().await;
    let mut held = MANY;
    for raw in &mut greedy {
        let at_once = raw.until(MANY / 12);
        let _ = tokio::time::timeout(Duration::from_millis(100), at_once).await;
        held -= raw.ended.len();
    }
    assert!(held <= 2048, "{held} are held");
    assert!(begun.elapsed() < Duration::from_secs(5));
    for raw in &mut greedy {
        assert!(raw.until(MANY / 12).await);
    }
}
