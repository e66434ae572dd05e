//! A front end's stream: requests in, replies out, matched by number.

mod query;
mod reply;

use std::{collections::HashMap, sync::Arc, time::Duration};

use backfence_gossip::Update;
use backfence_process::CancellationToken;
use backfence_wire::{
    Malformed,
    v1::{
        self, Declined, ServeReply,
        serve_reply::{Accepted, Gossiping, Outcome, Retired, StatusChanged, UnknownServer},
        serve_request::Body,
    },
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tonic::{Status, Streaming};

use self::{
    query::{Query, Strictness},
    reply::{at_once, invalid, overloaded, refuse, refused, reply, shown, wire_ids},
};
use crate::{
    copies::{self, Placed},
    copy::{Copy, Told, UpdateError},
    inspect,
    members::NotRetired,
};

/// Queries of one stream that wait, and updates that wait for copies; beyond, they are
/// declined as over-loaded.
const WAITING: usize = 1024;
/// Replies of one stream that wait for the disk; beyond, no more is read from it.
const UNWRITTEN: usize = 1024;
/// The longest that a query waits, whatever the front end's patience.
const LONGEST: Duration = Duration::from_secs(60);

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
