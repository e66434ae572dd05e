//! A front end's stream: requests in, replies out, matched by number.

use std::{collections::HashMap, sync::Arc, time::Duration};

use backfence_gossip::{Refusal, ReplicaId, Timestamp, Update, View};
use backfence_process::CancellationToken;
use backfence_ratings::Ratings;
use backfence_wire::{
    Malformed, timestamp,
    v1::{
        self, Declined, ServeReply,
        serve_reply::{
            Accepted, Gossiping, Lacking, Outcome, Retired, StatusChanged, UnknownServer,
        },
        serve_request::Body,
    },
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout_at},
};
use tonic::{Status, Streaming};

use crate::{
    answer,
    copies::{self, Placed},
    copy::{Copy, Told, UpdateError},
    inspect,
    members::NotRetired,
    unwritten::Position,
};

/// Queries of one stream that wait, and updates that wait for copies; beyond, they are
/// declined as over-loaded.
const WAITING: usize = 1024;
/// Replies of one stream that wait for the disk; beyond, no more is read from it.
const UNWRITTEN: usize = 1024;
/// The longest that a query waits, whatever the front end's patience.
const LONGEST: Duration = Duration::from_secs(60);
/// How long a query waits for what the front end merely hopes to see.
const HOPE: Duration = Duration::from_millis(100);
/// A query that still waits asks the peers again after this, then after twice it,
/// and so on: the one that has what is missing may only just have come back.
const PULL_AGAIN: Duration = Duration::from_millis(50);

type Replies = mpsc::Sender<Result<ServeReply, Status>>;

/// Serves one front end until it goes, or this replica does. Whatever waits then
/// is dropped with the stream.
pub(crate) async fn serve(
    copy: Arc<Copy>,
    mut requests: Streaming<v1::ServeRequest>,
    replies: Replies,
    shutdown: CancellationToken,
) {
    let mut waiting = Waiting::default();
    let (later, told) = mpsc::channel(UNWRITTEN);
    tokio::spawn(tell_when_written(copy.clone(), told, replies.clone()));
    loop {
        let request = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            request = requests.message() => request,
        };
        let Ok(Some(request)) = request else {
            break;
        };
        let number = request.number;
        let Some(mut told) = handle(&copy, request, &replies, &mut waiting) else {
            continue;
        };
        told.what.number = number;
        let sent = if copy.has_reached(told.after) {
            replies.send(Ok(told.what)).await.is_ok()
        } else {
            later.send(told).await.is_ok()
        };
        if !sent {
            break;
        }
    }
}

/// Sends replies that have to wait for the disk. They come in the order in which it
/// reaches them.
async fn tell_when_written(
    copy: Arc<Copy>,
    mut told: mpsc::Receiver<Told<ServeReply>>,
    replies: Replies,
) {
    while let Some(Told { what, after }) = told.recv().await {
        copy.reach(after).await;
        if replies.send(Ok(what)).await.is_err() {
            break;
        }
    }
}

/// The queries of one stream that wait, and the updates that wait for copies, so that
/// they can be given up.
#[derive(Default)]
struct Waiting {
    tasks: JoinSet<u64>,
    handles: HashMap<u64, AbortHandle>,
}

impl Waiting {
    /// Whether one more may wait.
    fn has_room(&mut self) -> bool {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Ok(number) = ended {
                self.handles.remove(&number);
            }
        }
        self.handles.len() < WAITING
    }

    /// Lets a request wait for its reply; there is room.
    fn add(
        &mut self,
        number: u64,
        waited: impl Future<Output = ServeReply> + Send + 'static,
        replies: &Replies,
    ) {
        let replies = replies.clone();
        let handle = self.tasks.spawn(async move {
            let what = waited.await;
            // Nobody is there any more to be told.
            let _ = replies.send(Ok(ServeReply { number, ..what })).await;
            number
        });
        self.handles.insert(number, handle);
    }

    fn cancel(&mut self, number: u64) {
        if let Some(handle) = self.handles.remove(&number) {
            handle.abort();
        }
    }
}

/// The reply to a request, unless it comes later or never.
fn handle(
    copy: &Arc<Copy>,
    request: v1::ServeRequest,
    replies: &Replies,
    waiting: &mut Waiting,
) -> Option<Told<ServeReply>> {
    let number = request.number;
    let patience = Duration::from_millis(request.patience_ms.into()).min(LONGEST);
    let body = match request.body {
        Some(Body::Cancel(_)) => {
            waiting.cancel(number);
            return None;
        }
        Some(Body::ChangeStatus(_)) => return Some(at_once(change_status(copy))),
        Some(Body::Retire(asked)) => return Some(retire(copy, asked.server, asked.force)),
        Some(Body::Describe(_)) => {
            return Some(at_once(reply(Outcome::Description(copy.describe()))));
        }
        Some(Body::Digest(_)) => {
            return Some(shown(copy.look(inspect::digest), Outcome::ValueDigest));
        }
        Some(Body::Log(asked)) => {
            let log = |replica: &_| inspect::log(replica, asked.limit);
            return Some(shown(copy.look(log), Outcome::Log));
        }
        Some(Body::AtRisk(asked)) => {
            let at_risk = |replica: &_| copies::at_risk(replica, asked.limit);
            return Some(shown(copy.look(at_risk), Outcome::AtRisk));
        }
        Some(Body::GossipNow(_)) => {
            let peers = wire_ids(&copy.pull_all());
            return Some(at_once(reply(Outcome::Gossiping(Gossiping { peers }))));
        }
        body => body,
    };
    let is_update = matches!(body, Some(Body::Update(_) | Body::CopiedUpdate(_)));
    if let Some(declined) = copy.declines(is_update) {
        return Some(at_once(reply(Outcome::Declined(declined.into()))));
    }
    match body {
        Some(Body::Update(request)) => Some(update(copy, request).0),
        Some(Body::CopiedUpdate(v1::serve_request::CopiedUpdate {
            update: Some(request),
            copies,
        })) => {
            // Once it is taken it is too late to decline it.
            if !waiting.has_room() {
                return Some(at_once(overloaded()));
            }
            let (reply, placed) = update(copy, request);
            let Some(placed) = placed else {
                return Some(reply);
            };
            let deadline = Instant::now() + patience;
            waiting.add(
                number,
                copied(copy.clone(), placed, copies, reply, deadline),
                replies,
            );
            None
        }
        Some(Body::Query(request)) => {
            let query = match Query::new(request) {
                Ok(query) => query,
                Err(malformed) => return Some(at_once(invalid(&malformed))),
            };
            if let Some(reply) = query.answer(copy, Strictness::Hoped) {
                return Some(reply);
            }
            if !waiting.has_room() {
                return Some(at_once(overloaded()));
            }
            let deadline = Instant::now() + patience;
            let copy = copy.clone();
            let waited = async move {
                let Told { what, after } = query.wait(&copy, deadline).await;
                copy.reach(after).await;
                what
            };
            waiting.add(number, waited, replies);
            None
        }
        _ => Some(at_once(invalid(&Malformed("a request without a body")))),
    }
}

fn change_status(copy: &Copy) -> ServeReply {
    let (from, to) = copy.change_status();
    tracing::info!(?from, ?to, "status changed");
    reply(Outcome::StatusChanged(StatusChanged {
        from: from.into(),
        to: to.into(),
    }))
}

/// An operator's decision, so it is not declined for over-load; nor by a replica that
/// may have to retire another before it can go on.
fn retire(copy: &Copy, server: u32, force: bool) -> Told<ServeReply> {
    if copy.is_full() {
        return at_once(reply(Outcome::Declined(Declined::DiskFull.into())));
    }
    match copy.retire(server, force) {
        Ok(Told { what, after }) => {
            tracing::info!(server, already = what, "retired a server for good");
            let what = reply(Outcome::Retired(Retired { already: what }));
            Told { what, after }
        }
        Err(NotRetired::Unknown { known }) => {
            at_once(reply(Outcome::UnknownServer(UnknownServer { known })))
        }
        Err(why) => at_once(refused(why.reason(), &why)),
    }
}

/// The reply that this server has the update, and where that has its place; without one it
/// was not taken, and the reply says why.
fn update(copy: &Copy, request: v1::Update) -> (Told<ServeReply>, Option<Placed>) {
    let update = match Update::try_from(request) {
        Ok(update) => update,
        Err(malformed) => return (at_once(invalid(&malformed)), None),
    };
    let prev = update.prev.clone();
    match copy.update(update) {
        Ok(Told { what, after }) => {
            let placed = Placed::new(&prev, &what.ts);
            let what = ServeReply {
                ts: Some((&what.ts).into()),
                clock_us: what.clock.0,
                lost: wire_ids(&what.lost),
                ..reply(accepted([copy.id.server]))
            };
            (Told { what, after }, Some(placed))
        }
        Err(UpdateError::UnknownMovie(error)) => (at_once(refused("UNKNOWN_MOVIE", &error)), None),
        Err(UpdateError::Refused(refusal)) => (at_once(refuse(&refusal)), None),
    }
}

/// The reply once so many servers have the update, or at the deadline.
async fn copied(
    copy: Arc<Copy>,
    placed: Placed,
    copies: u32,
    taken: Told<ServeReply>,
    deadline: Instant,
) -> ServeReply {
    copy.reach(taken.after).await;
    let copies = usize::try_from(copies).unwrap_or(usize::MAX);
    let servers = placed.copied(&copy, copies, deadline).await;
    ServeReply {
        outcome: Some(accepted(servers)),
        ..taken.what
    }
}

fn accepted(servers: impl IntoIterator<Item = u32>) -> Outcome {
    let servers = servers.into_iter().collect();
    Outcome::Accepted(Accepted { servers })
}

/// How much a query insists on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// What its session has seen, and what the front end hopes to see.
    Hoped,
    /// What its session has seen.
    Needed,
}

struct Query {
    prev: Timestamp,
    /// `prev`, and what the front end hopes to see.
    hoped: Timestamp,
    question: v1::query::Kind,
}

impl Query {
    fn new(query: v1::Query) -> Result<Self, Malformed> {
        let prev = timestamp(query.prev)?;
        let mut hoped = timestamp(query.hoped)?;
        hoped.merge(&prev);
        let question = query.kind.ok_or(Malformed("a query without a kind"))?;
        Ok(Self {
            prev,
            hoped,
            question,
        })
    }

    /// The reply that can be given now.
    fn answer(&self, copy: &Copy, strictness: Strictness) -> Option<Told<ServeReply>> {
        let from_base = match answer::from_base(&copy.base, &self.question) {
            Ok(answer) => answer,
            Err(error) => return Some(at_once(refused("UNKNOWN_MOVIE", &error))),
        };
        let asked = copy.query(&self.prev, |view| {
            let enough = strictness == Strictness::Needed || self.hoped <= *view.ts;
            enough.then(|| self.reply(&view, from_base))
        });
        match asked {
            Ok(told) => told,
            Err(refusal) => Some(at_once(refuse(&refusal))),
        }
    }

    fn reply(&self, view: &View<'_, Ratings>, from_base: Option<v1::Answer>) -> ServeReply {
        let answer = from_base.or_else(|| answer::from_ratings(view.value, &self.question));
        ServeReply {
            ts: Some(view.ts.into()),
            clock_us: view.clock.0,
            lost: wire_ids(&view.lost),
            outcome: answer.map(Outcome::Answer),
            number: 0,
        }
    }

    /// Pulls what is missing and asks again whenever the value has grown, until
    /// the deadline. It is never answered from less than its session has seen.
    async fn wait(&self, copy: &Copy, deadline: Instant) -> Told<ServeReply> {
        let mut grown = copy.grown();
        let hope = deadline.min(Instant::now() + HOPE);
        let waits = [(Strictness::Hoped, hope), (Strictness::Needed, deadline)];
        for (strictness, until) in waits {
            let mut pause = PULL_AGAIN;
            let mut next_pull = Instant::now();
            loop {
                grown.mark_unchanged();
                if let Some(reply) = self.answer(copy, strictness) {
                    return reply;
                }
                let now = Instant::now();
                if now >= until {
                    break;
                }
                // Not at every growth: what a pull brings is a growth itself.
                if now >= next_pull {
                    copy.pull(&self.hoped);
                    next_pull = now + pause;
                    pause *= 2;
                }
                // Either way there is something to ask again.
                let _ = timeout_at(until.min(next_pull), grown.changed()).await;
            }
        }
        at_once(reply(Outcome::Lacking(Lacking {
            first_missing: Some((&copy.missing(&self.prev)).into()),
        })))
    }
}

fn wire_ids(replicas: &[ReplicaId]) -> Vec<v1::ReplicaId> {
    replicas.iter().map(|&replica| replica.into()).collect()
}

fn refuse(refusal: &Refusal) -> ServeReply {
    let (reason, retry_after) = match refusal {
        Refusal::ClockAhead { retry_after } => ("CLOCK_AHEAD", *retry_after),
        Refusal::ForgedTimestamp { .. } => ("FORGED_TIMESTAMP", Duration::ZERO),
        Refusal::UpdateIdReused { .. } => ("UPDATE_ID_REUSED", Duration::ZERO),
        Refusal::LogFull { .. } => ("LOG_FULL", Duration::ZERO),
        Refusal::NotJoined { .. } => return reply(Outcome::Declined(Declined::Starting.into())),
        Refusal::Retired { .. } => return reply(Outcome::Declined(Declined::Leaving.into())),
    };
    reply(Outcome::Refused(v1::Refused {
        reason: reason.to_owned(),
        message: refusal.to_string(),
        retry_after_ms: retry_after.as_micros().div_ceil(1000) as u64,
    }))
}

fn overloaded() -> ServeReply {
    reply(Outcome::Declined(Declined::Overloaded.into()))
}

fn invalid(malformed: &Malformed) -> ServeReply {
    refused("INVALID", malformed)
}

fn refused(reason: &str, error: &dyn std::error::Error) -> ServeReply {
    reply(Outcome::Refused(v1::Refused {
        reason: reason.to_owned(),
        message: error.to_string(),
        retry_after_ms: 0,
    }))
}

/// What an operator is shown, once it is written.
fn shown<T>(told: Told<T>, outcome: impl FnOnce(T) -> Outcome) -> Told<ServeReply> {
    Told {
        what: reply(outcome(told.what)),
        after: told.after,
    }
}

/// What tells nothing that has to be written.
fn at_once(what: ServeReply) -> Told<ServeReply> {
    Told {
        what,
        after: Position::default(),
    }
}

/// A reply that shows nothing of the value.
fn reply(outcome: Outcome) -> ServeReply {
    ServeReply {
        outcome: Some(outcome),
        ..ServeReply::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let (replies, _told) = mpsc::channel(1);
        let mut waiting = Waiting::default();
        for number in 0..WAITING as u64 {
            assert!(waiting.has_room(), "{number}");
            waiting.add(number, std::future::pending(), &replies);
        }
        assert!(!waiting.has_room());
        waiting.cancel(7);
        assert!(waiting.has_room());
    }
}
