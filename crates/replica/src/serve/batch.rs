//! A batch of requests: the core is entered once for all of them.
//!
//! They are read first and answered then, so that what one asks of the core is all that
//! the others wait for.

use std::{sync::Arc, time::Duration};

use backfence_gossip::{Time, Update};
use backfence_ratings::Operation;
use backfence_wire::{
    Malformed, Reason, read_update,
    v1::{
        self, ServeReply,
        serve_reply::{Accepted, Outcome},
        serve_request::{Body, CopiedUpdate},
    },
};
use tokio::time::Instant;

use super::{
    operator::{self, Look},
    query::{Query, Strictness},
    reply::{at_once, invalid, overloaded, refuse, refused, reply, wire_ids},
    waiting::Waiting,
};
use crate::{
    copies::{self, Placed},
    copy::{Copy, Core, Told, UpdateError},
};

/// The longest that a query waits, whatever the front end's patience.
const LONGEST: Duration = Duration::from_secs(60);

/// Answers the requests of a batch, in their order. Those that have to wait are added to
/// the ones that do.
pub(super) fn answer(
    copy: &Arc<Copy>,
    batch: Vec<v1::ServeRequest>,
    waiting: &mut Waiting,
    mut tell: impl FnMut(Told<ServeReply>),
) {
    let mut asked: Vec<Asked> = Vec::with_capacity(batch.len());
    for request in batch {
        let number = request.number;
        if let Some(Body::Cancel(_)) = request.body {
            asked.retain(|asked| asked.number != number);
            waiting.cancel(number);
            continue;
        }
        if !request.traceparent.is_empty() {
            let traceparent = request.traceparent;
            tracing::debug!(number, ?traceparent, "a request that its client traces");
        }
        if !request.fingerprint.is_empty() && request.fingerprint != copy.fingerprint {
            tell(numbered(number, at_once(other_data(copy))));
            continue;
        }
        let patience = Duration::from_millis(request.patience_ms.into()).min(LONGEST);
        if let Some(Body::Retire(asked)) = &request.body {
            let deadline = Instant::now() + patience;
            match operator::retire(copy, asked) {
                Ok(retiring) => waiting.add(number, retiring.noted(Arc::clone(copy), deadline)),
                Err(reply) => tell(numbered(number, at_once(*reply))),
            }
            continue;
        }
        let seen = Seen {
            latest: Time(request.seen_us),
            known_only: request.known_only,
        };
        match Call::read(copy, request.body, seen) {
            Ok(call) => asked.push(Asked {
                number,
                patience,
                call,
            }),
            Err(reply) => tell(numbered(number, *reply)),
        }
    }
    if asked.is_empty() {
        return;
    }
    let mut room = waiting.room();
    let answered: Vec<_> = copy.enter(|core| {
        let answer = |asked: Asked| {
            let answered = asked.call.answer(core, room > 0);
            room -= usize::from(!matches!(answered, Answered::Now(_)));
            (asked.number, asked.patience, answered)
        };
        asked.into_iter().map(answer).collect()
    });
    for (number, patience, answered) in answered {
        let (copy, deadline) = (Arc::clone(copy), Instant::now() + patience);
        match answered {
            Answered::Now(reply) => tell(numbered(number, reply)),
            Answered::InItsTurn(query) => waiting.add(number, query.looked_for(copy, deadline)),
            Answered::Looked(look) => waiting.add(number, look.shown(copy)),
            Answered::OnceCovered(query) => waiting.add(number, query.covered(copy, deadline)),
            Answered::OnceCopied(taken) => waiting.add(number, taken.copied(copy, deadline)),
        }
    }
}

/// The ids of the request are of movies that are not loaded here.
fn other_data(copy: &Copy) -> ServeReply {
    let server = copy.id.server;
    reply(Outcome::Refused(v1::Refused {
        reason: Reason::OtherData.to_string(),
        message: format!(
            "server {server} has loaded other movies than those that were found; find the movie \
             again, and start all servers with the same files"
        ),
        servers: vec![server],
        ..v1::Refused::default()
    }))
}

fn numbered(number: u64, mut reply: Told<ServeReply>) -> Told<ServeReply> {
    reply.what.number = number;
    reply
}

/// A request to the core.
struct Asked {
    number: u64,
    /// How long it may wait.
    patience: Duration,
    call: Call,
}

/// How an update is dated to what its session has seen.
#[derive(Clone, Copy)]
struct Seen {
    /// Nothing of that is dated later.
    latest: Time,
    /// The update is not dated later: it is answered if it is known, and not taken if not.
    known_only: bool,
}

/// What a session asks of the core.
enum Call {
    Update {
        update: Update<Operation>,
        seen: Seen,
        /// How many servers are to have it before the reply; 1 is this one alone.
        copies: u32,
    },
    Query(Query),
    /// What an operator asks that takes a look at all there is.
    Look(Look),
}

/// What came of it.
enum Answered {
    Now(Told<ServeReply>),
    /// The answer takes long.
    InItsTurn(Query),
    Looked(Look),
    /// The query is answered once the value covers it.
    OnceCovered(Query),
    /// The update is taken; the reply comes once others have it too.
    OnceCopied(Taken),
}

/// An update that has been taken.
struct Taken {
    reply: Told<ServeReply>,
    placed: Placed,
    copies: u32,
}

impl Call {
    /// Reads a request; `Err` is the reply to one that asks nothing of the core, or is not
    /// to be served.
    fn read(copy: &Copy, body: Option<Body>, seen: Seen) -> Result<Self, Box<Told<ServeReply>>> {
        let now = |reply| Box::new(at_once(reply));
        let nothing = || now(invalid(&Malformed("a request without a body")));
        let body = body.ok_or_else(nothing)?;
        if let Some(look) = Look::read(&body) {
            return Ok(Self::Look(look));
        }
        if let Some(reply) = operator::answer(copy, &body) {
            return Err(Box::new(reply));
        }
        if let Some(declined) = copy.declines(!matches!(body, Body::Query(_))) {
            return Err(now(reply(Outcome::Declined(declined.into()))));
        }
        let (update, copies) = match body {
            Body::Query(query) => {
                let query = Query::read(&copy.base, query);
                return query.map(Self::Query).map_err(|why| now(why.reply()));
            }
            Body::Update(update) => (update, 1),
            Body::CopiedUpdate(CopiedUpdate { update, copies }) => (update, copies),
            _ => return Err(nothing()),
        };
        match read_update(&update) {
            Ok(update) => Ok(Self::Update {
                update,
                seen,
                copies,
            }),
            Err(malformed) => Err(now(invalid(&malformed))),
        }
    }

    const fn is_long(&self) -> bool {
        match self {
            Self::Look(_) => true,
            Self::Query(query) => query.is_long,
            Self::Update { .. } => false,
        }
    }

    /// Asks the core. Where there is no `room` for one more to wait, what would have to is
    /// declined, an update before it is taken: afterwards it is too late.
    fn answer(self, core: &mut Core<'_>, room: bool) -> Answered {
        match self {
            Self::Query(_) | Self::Look(_) if self.is_long() && !room => {
                Answered::Now(at_once(overloaded()))
            }
            Self::Look(look) => Answered::Looked(look),
            Self::Query(query) if query.is_long => Answered::InItsTurn(query),
            Self::Query(mut query) => match query.answer(core, Strictness::Hoped) {
                Some(reply) => Answered::Now(reply),
                None if room => Answered::OnceCovered(query),
                None => Answered::Now(at_once(overloaded())),
            },
            Self::Update {
                update,
                seen,
                copies,
            } => take(core, (update, seen), copies, room),
        }
    }
}

fn take(
    core: &mut Core<'_>,
    (update, seen): (Update<Operation>, Seen),
    copies: u32,
    room: bool,
) -> Answered {
    if copies > 1 {
        if let Err(error) = copies::refuse_too_many(core.replica(), copies) {
            return Answered::Now(at_once(refused(Reason::Invalid, &error)));
        }
        if !room {
            return Answered::Now(at_once(overloaded()));
        }
    }
    // Only who waits for copies needs to know the place.
    let prev = (copies > 1).then(|| update.prev.clone());
    let taken = match seen.known_only {
        true => core.retry(&update),
        false => core.update(update, seen.latest),
    };
    let Told { what, after } = match taken {
        Ok(told) => told,
        Err(UpdateError::UnknownMovie(error)) => {
            return Answered::Now(at_once(refused(Reason::UnknownMovie, &error)));
        }
        Err(UpdateError::Refused(refusal)) => return Answered::Now(at_once(refuse(&refusal))),
        Err(error @ UpdateError::NotAbove { .. }) => {
            return Answered::Now(at_once(refused(Reason::Invalid, &error)));
        }
    };
    let reply = ServeReply {
        ts: Some((&what.ts).into()),
        clock_us: what.clock.0,
        lost: wire_ids(&what.lost),
        ..reply(accepted([core.id.server]))
    };
    let reply = Told { what: reply, after };
    match prev {
        None => Answered::Now(reply),
        Some(prev) => Answered::OnceCopied(Taken {
            reply,
            placed: Placed::new(&prev, &what.ts),
            copies,
        }),
    }
}

impl Taken {
    /// The reply once so many servers have the update, or at the deadline.
    async fn copied(self, copy: Arc<Copy>, deadline: Instant) -> ServeReply {
        copy.reach(self.reply.after).await;
        let copies = usize::try_from(self.copies).unwrap_or(usize::MAX);
        let servers = self.placed.copied(&copy, copies, deadline).await;
        ServeReply {
            outcome: Some(accepted(servers)),
            ..self.reply.what
        }
    }
}

fn accepted(servers: impl IntoIterator<Item = u32>) -> Outcome {
    let servers = servers.into_iter().collect();
    Outcome::Accepted(Accepted { servers })
}
