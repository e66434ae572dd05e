//! The stream to one replica: requests and replies, matched by number.

use std::{
    collections::BTreeMap,
    error::Error as _,
    future::Future as _,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use backfence_process::{Address, Caller, Environment, NodeKey, Rpc};
use backfence_wire::v1::{
    self, Proof, ServeReply, ServeRequest,
    replica_client::ReplicaClient,
    serve_reply,
    serve_request::{Body, Cancel},
};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::Instant,
};
use tonic::transport::Channel;

use crate::{
    fresh::{Asker, Fresh},
    lock,
    said::Said,
};

/// The number of the Hello that begins a stream, and of its answers.
const HELLO: u64 = 0;
/// Fresh requests on one stream, shared among those who ask. Beyond them the replica
/// counts as over-loaded.
const MAX_FRESH: usize = 1536;
/// Those of them that take a replica milliseconds.
const MAX_LONG: usize = 256;
/// Messages that wait to be sent: every fresh request and its cancellation, ...
const MAX_OUTGOING: usize = 2 * MAX_FRESH + RESERVED;
/// ... and those that only ask how a server is, which need no place.
const RESERVED: usize = 256;
/// Most bytes of a reply. The longest are choices of titles; a replica that sends
/// more loses the stream.
const MAX_REPLY: usize = 1 << 20;
/// How much sooner the replica is to give a request up than the link does, so
/// that its word arrives in time; at most a quarter of the limit.
const GRACE: Duration = Duration::from_millis(25);

/// A replica's stream, opened at the first request and again after it has broken.
///
/// A request that is dropped takes its place back: it is not sent any more, or
/// else the replica is told.
#[derive(Debug)]
pub(crate) struct Link {
    client: ReplicaClient<Channel>,
    calls: Calls,
    said: Arc<Said>,
    current: Mutex<Option<Current>>,
}

/// How a replica is called.
#[derive(Debug)]
pub(crate) struct Calls {
    /// What it has to prove that it has.
    pub(crate) key: NodeKey,
    /// Where it is.
    pub(crate) address: Address,
    pub(crate) environment: Environment,
}

/// Why there is no reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum Unanswered {
    /// This request was not sent.
    #[error("too many requests are in work")]
    Full,
    /// The stream could not be opened, or broke.
    #[error("there is no connection")]
    Broken {
        /// Whether the replica may have the request.
        sent: bool,
    },
    /// There was no reply within the limit.
    #[error("no reply in time")]
    TimedOut {
        /// Whether the replica may have the request.
        sent: bool,
    },
}

impl Link {
    /// A link to the server that is called so, and says this of itself.
    pub(crate) fn new(calls: Calls, said: Arc<Said>) -> Self {
        Self {
            client: ReplicaClient::new(calls.environment.connect(&calls.address))
                .max_decoding_message_size(MAX_REPLY)
                .max_encoding_message_size(MAX_REPLY),
            calls,
            said,
            current: Mutex::new(None),
        }
    }

    /// Sends a request and waits for its reply, for at most `limit`. Its number and its
    /// patience are set here.
    ///
    /// # Errors
    ///
    /// [`Unanswered`].
    pub(crate) async fn ask(
        &self,
        asker: Asker,
        request: ServeRequest,
        limit: Duration,
    ) -> Result<ServeReply, Unanswered> {
        let deadline = Instant::now() + limit;
        let patience = limit - GRACE.min(limit / 4);
        let (ticket, reply) = self.stream().enter(asker, request, patience)?;
        match tokio::time::timeout_at(deadline, reply).await {
            Ok(Ok(outcome)) => outcome,
            // Only a runtime that stops drops the sender.
            Ok(Err(_)) => Err(Unanswered::Broken { sent: true }),
            Err(_) => Err(Unanswered::TimedOut {
                sent: ticket.withdraw(),
            }),
        }
    }

    fn stream(&self) -> Arc<Stream> {
        let mut current = lock(&self.current);
        match &*current {
            Some(open) if !open.stream.is_broken() => Arc::clone(&open.stream),
            _ => Arc::clone(&current.insert(self.open()).stream),
        }
    }

    /// The stream's reader is a task of its own: it serves all requests on it.
    fn open(&self) -> Current {
        let (sender, receiver) = mpsc::channel(MAX_OUTGOING);
        let stream = Arc::new(Stream::new(sender));
        let (greeted, greeting) = oneshot::channel();
        let (key, nonce) = (&self.calls.key, self.calls.environment.nonce());
        let caller = key.call(Rpc::Serve, None, &self.calls.address, nonce);
        let outgoing = Outgoing {
            hello: Some(hello(caller.nonce())),
            greeting: Some(greeting),
            receiver,
            stream: Arc::clone(&stream),
        };
        let incoming = Incoming {
            caller,
            said: Arc::clone(&self.said),
            greeted: Some(greeted),
            stream: Arc::clone(&stream),
        };
        let reader = tokio::spawn(incoming.read(self.client.clone(), outgoing));
        Current {
            stream,
            reader: reader.abort_handle(),
        }
    }
}

/// Dropped with the link, or when the next stream takes its place.
#[derive(Debug)]
struct Current {
    stream: Arc<Stream>,
    reader: AbortHandle,
}

impl Drop for Current {
    fn drop(&mut self) {
        self.stream.break_off(false);
        self.reader.abort();
    }
}

/// What comes back on a stream.
struct Incoming {
    caller: Caller,
    said: Arc<Said>,
    /// Told what to prove when the replica has said Hello; `None` then.
    greeted: Option<oneshot::Sender<Option<Proof>>>,
    stream: Arc<Stream>,
}

impl Incoming {
    async fn read(mut self, mut client: ReplicaClient<Channel>, outgoing: Outgoing) {
        let mut replies = match client.serve(outgoing).await {
            Ok(response) => response.into_inner(),
            Err(status) => {
                tracing::debug!(%status, "cannot open a replica's stream");
                self.said.refuses(&status);
                // What the replica says itself has no source. It has read nothing then.
                let refused = status.source().is_none();
                return self.stream.break_off(refused);
            }
        };
        loop {
            match replies.message().await {
                Ok(Some(reply)) if reply.number == HELLO => {
                    if !self.hear(reply) {
                        return self.stream.break_off(self.greeted.is_some());
                    }
                }
                Ok(Some(reply)) => self.stream.answer(reply),
                ended => {
                    tracing::debug!(?ended, "a replica's stream has broken");
                    if let Err(status) = &ended {
                        self.said.refuses(status);
                    }
                    return self.stream.break_off(false);
                }
            }
        }
    }

    /// Whether the replica may be asked. One of before 0.2 answers something else than a
    /// Hello: it does not know the request.
    fn hear(&mut self, reply: ServeReply) -> bool {
        let hello = match reply.outcome {
            Some(serve_reply::Outcome::Hello(hello)) => hello,
            _ => v1::Hello::default(),
        };
        // What it says again bears no proof.
        let proof = match self.greeted.as_ref().map(|_| self.caller.hear(&hello)) {
            Some(Err(why)) => {
                self.said.unproved(why);
                return false;
            }
            Some(Ok(proof)) => proof,
            None => None,
        };
        let is_ours = self.said.hear(hello);
        if is_ours && let Some(greeted) = self.greeted.take() {
            // The requests may all be gone.
            let _ = greeted.send(proof);
        }
        is_ours
    }
}

fn hello(nonce: Vec<u8>) -> ServeRequest {
    let hello = v1::Hello {
        nonce,
        ..Said::hello()
    };
    greeting(Body::Hello(hello))
}

fn greeting(body: Body) -> ServeRequest {
    ServeRequest {
        number: HELLO,
        body: Some(body),
        ..ServeRequest::default()
    }
}

type Outcome = Result<ServeReply, Unanswered>;

/// One life of the stream.
#[derive(Debug)]
struct Stream {
    /// Held for one change, never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` once the stream has broken.
    outgoing: Option<mpsc::Sender<ServeRequest>>,
    /// In order of numbers, so that a simulation can be repeated.
    waiting: BTreeMap<u64, Waiting>,
    fresh: Fresh,
    long: Fresh,
    last_number: u64,
}

impl State {
    /// Whether there is a place for this request.
    fn has_place(&mut self, number: u64, asker: Asker, body: Option<&Body>) -> bool {
        let Some(outgoing) = &self.outgoing else {
            return true;
        };
        if matches!(body, Some(Body::Describe(_))) {
            return true;
        }
        let now = Instant::now();
        if outgoing.capacity() <= RESERVED || !self.fresh.enter(number, asker, now) {
            return false;
        }
        if takes_long(body) && !self.long.enter(number, asker, now) {
            self.fresh.leave(number);
            return false;
        }
        true
    }

    /// Gives up the places of a request that does not wait any more.
    fn leave(&mut self, number: u64) -> Option<Waiting> {
        self.fresh.leave(number);
        self.long.leave(number);
        self.waiting.remove(&number)
    }
}

/// Whether a replica needs milliseconds for it.
const fn takes_long(body: Option<&Body>) -> bool {
    use v1::query::Kind;
    match body {
        Some(Body::Query(v1::Query { kind, .. })) => matches!(
            kind,
            Some(Kind::Search(_) | Kind::ListTitles(_) | Kind::ListRatings(_) | Kind::Top(_))
        ),
        Some(Body::Digest(_) | Body::AtRisk(_)) => true,
        _ => false,
    }
}

#[derive(Debug)]
struct Waiting {
    outcome: oneshot::Sender<Outcome>,
    sent: bool,
}

impl Stream {
    fn new(outgoing: mpsc::Sender<ServeRequest>) -> Self {
        Self {
            state: Mutex::new(State {
                outgoing: Some(outgoing),
                waiting: BTreeMap::new(),
                fresh: Fresh::new(MAX_FRESH),
                long: Fresh::new(MAX_LONG),
                last_number: 0,
            }),
        }
    }

    fn is_broken(&self) -> bool {
        lock(&self.state).outgoing.is_none()
    }

    fn enter(
        self: Arc<Self>,
        asker: Asker,
        request: ServeRequest,
        patience: Duration,
    ) -> Result<(Ticket, oneshot::Receiver<Outcome>), Unanswered> {
        let (sender, receiver) = oneshot::channel();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let number = state.last_number + 1;
        if !state.has_place(number, asker, request.body.as_ref()) {
            return Err(Unanswered::Full);
        }
        state.last_number = number;
        let request = ServeRequest {
            number,
            patience_ms: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
            ..request
        };
        let unsent = match &state.outgoing {
            Some(outgoing) => match outgoing.try_send(request) {
                Ok(()) => None,
                Err(mpsc::error::TrySendError::Full(_)) => Some(Unanswered::Full),
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    Some(Unanswered::Broken { sent: false })
                }
            },
            None => Some(Unanswered::Broken { sent: false }),
        };
        if let Some(unsent) = unsent {
            state.leave(number);
            return Err(unsent);
        }
        let waiting = Waiting {
            outcome: sender,
            sent: false,
        };
        state.waiting.insert(number, waiting);
        drop(guard);
        let ticket = Ticket {
            stream: self,
            number,
        };
        Ok((ticket, receiver))
    }

    /// Whether a message may go out; from then on the replica may have it.
    fn takes(&self, request: &ServeRequest) -> bool {
        if matches!(request.body, Some(Body::Cancel(_))) {
            return true;
        }
        let mut state = lock(&self.state);
        match state.waiting.get_mut(&request.number) {
            Some(waiting) => {
                waiting.sent = true;
                true
            }
            None => false,
        }
    }

    /// Hands a reply over; one that nobody waits for any more is dropped.
    fn answer(&self, reply: ServeReply) {
        let waiting = lock(&self.state).leave(reply.number);
        if let Some(waiting) = waiting {
            // The asker may be dropped at this moment.
            let _ = waiting.outcome.send(Ok(reply));
        }
    }

    /// Fails every request at once. What has not gone out never will; and
    /// what has was not read, where the replica `refused` the stream.
    fn break_off(&self, refused: bool) {
        let waiting = {
            let mut state = lock(&self.state);
            state.outgoing = None;
            std::mem::take(&mut state.waiting)
        };
        for Waiting { outcome, sent } in waiting.into_values() {
            let sent = sent && !refused;
            let _ = outcome.send(Err(Unanswered::Broken { sent }));
        }
    }
}

/// A request's place on the stream, given back when it is dropped.
struct Ticket {
    stream: Arc<Stream>,
    number: u64,
}

impl Ticket {
    /// Gives the request up. False when the replica cannot have it.
    fn withdraw(&self) -> bool {
        let mut state = lock(&self.stream.state);
        let Some(Waiting { sent, .. }) = state.leave(self.number) else {
            return true;
        };
        if let (true, Some(outgoing)) = (sent, &state.outgoing) {
            // If there is no room, the request's patience ends it at the replica.
            let _ = outgoing.try_send(ServeRequest {
                number: self.number,
                patience_ms: 0,
                body: Some(Body::Cancel(Cancel {})),
                ..ServeRequest::default()
            });
        }
        sent
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// The messages of a stream, as they go out: Hello, and once it has been answered the proof,
/// if one is wanted, and all others.
struct Outgoing {
    hello: Option<ServeRequest>,
    /// `None` once the replica has answered.
    greeting: Option<oneshot::Receiver<Option<Proof>>>,
    receiver: mpsc::Receiver<ServeRequest>,
    stream: Arc<Stream>,
}

impl tokio_stream::Stream for Outgoing {
    type Item = ServeRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServeRequest>> {
        if let Some(hello) = self.hello.take() {
            return Poll::Ready(Some(hello));
        }
        if let Some(greeting) = &mut self.greeting {
            let greeted = ready!(Pin::new(greeting).poll(cx));
            self.greeting = None;
            match greeted {
                Ok(None) => {}
                Ok(Some(proof)) => return Poll::Ready(Some(self::greeting(Body::Proof(proof)))),
                Err(_) => return Poll::Ready(None),
            }
        }
        while let Some(request) = ready!(self.receiver.poll_recv(cx)) {
            if self.stream.takes(&request) {
                return Poll::Ready(Some(request));
            }
        }
        Poll::Ready(None)
    }
}
