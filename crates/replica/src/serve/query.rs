//! A query, and how it waits for what its session has seen.

use std::{mem, sync::Arc, time::Duration};

use backfence_gossip::{Timestamp, View};
use backfence_ratings::{Base, Ratings, UnknownMovie};
use backfence_wire::{
    Malformed, Reason, timestamp,
    v1::{
        self, ServeReply,
        query::Kind as Question,
        serve_reply::{Lacking, Outcome},
    },
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    leave_it,
    reply::{at_once, invalid, overloaded, refuse, refused, reply, wire_ids},
};
use crate::{
    answer,
    copy::{Copy, Core, Told},
};

/// How long a query waits for what the front end merely hopes to see.
const HOPE: Duration = Duration::from_millis(100);
/// A query that still waits asks the peers again after this, then after twice it,
/// and so on: the one that has what is missing may only just have come back.
const PULL_AGAIN: Duration = Duration::from_millis(50);

/// How much a query insists on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// What its session has seen, and what the front end hopes to see.
    Hoped,
    /// What its session has seen.
    Needed,
}

pub(super) struct Query {
    prev: Timestamp,
    /// `prev`, and what the front end hopes to see.
    hoped: Timestamp,
    question: Question,
    /// The answer, where the base alone gives it.
    from_base: Option<v1::Answer>,
    /// The answer takes milliseconds, and is not looked for yet.
    pub(super) is_long: bool,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswerable {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    UnknownMovie(#[from] UnknownMovie),
}

impl Unanswerable {
    pub(super) fn reply(&self) -> ServeReply {
        match self {
            Self::Malformed(malformed) => invalid(malformed),
            Self::UnknownMovie(unknown) => refused(Reason::UnknownMovie, unknown),
        }
    }
}

impl Query {
    /// Reads a query, and asks the base, unless that takes long.
    pub(super) fn read(base: &Base, query: v1::Query) -> Result<Self, Unanswerable> {
        let query = Self::parse(query)?;
        if answer::takes_long(base, &query.question) {
            let is_long = true;
            return Ok(Self { is_long, ..query });
        }
        let from_base = answer::from_base(base, &query.question)?;
        Ok(Self { from_base, ..query })
    }

    fn parse(query: v1::Query) -> Result<Self, Malformed> {
        let prev = timestamp(query.prev)?;
        let mut hoped = timestamp(query.hoped)?;
        hoped.merge(&prev);
        Ok(Self {
            prev,
            hoped,
            question: query.kind.ok_or(Malformed("a query without a kind"))?,
            from_base: None,
            is_long: false,
        })
    }

    /// The reply, if it can be given now. It is given once.
    pub(super) fn answer(
        &mut self,
        core: &Core<'_>,
        strictness: Strictness,
    ) -> Option<Told<ServeReply>> {
        let Self {
            prev,
            hoped,
            question,
            from_base,
            ..
        } = self;
        let asked = core.query(prev, |view| {
            let enough = strictness == Strictness::Needed || *hoped <= *view.ts;
            enough.then(|| {
                let from_ratings = || answer::from_ratings(view.value, question);
                reply_of(&view, from_base.take().or_else(from_ratings))
            })
        });
        match asked {
            Ok(told) => told,
            Err(refusal) => Some(at_once(refuse(&refusal))),
        }
    }

    /// The reply once the value covers what its session has seen and what it tells is written,
    /// or that something is missing at the deadline.
    pub(super) async fn covered(mut self, copy: Arc<Copy>, deadline: Instant) -> ServeReply {
        let Told { what, after } = self.wait(&copy, deadline).await;
        copy.reach(after).await;
        what
    }

    /// The same, where the answer takes long: it is looked for in its turn, once the value
    /// covers what its session has seen.
    pub(super) async fn looked_for(mut self, copy: Arc<Copy>, deadline: Instant) -> ServeReply {
        let open = Question::Open(v1::query::Open {});
        let question = mem::replace(&mut self.question, open);
        self.from_base = Some(v1::Answer::default());
        let Told { what, after } = self.wait(&copy, deadline).await;
        if !matches!(what.outcome, Some(Outcome::Answer(_))) {
            copy.reach(after).await;
            return what;
        }
        // All others are answered from what never changes.
        let holds = matches!(question, Question::ListRatings(_) | Question::Top(_));
        self.question = question;
        let asked = Arc::clone(&copy);
        let look = move || {
            // Only questions about one movie are refused, and they do not take long.
            self.from_base = answer::from_base(&asked.base, &self.question).ok()?;
            asked.enter(|core| self.answer(core, Strictness::Needed))
        };
        let Some(Some(Told { what, after })) = copy.long.run(holds, look).await else {
            return overloaded();
        };
        copy.reach(after).await;
        what
    }

    /// Pulls what is missing and asks again whenever the value has grown, until
    /// the deadline. It is never answered from less than its session has seen.
    async fn wait(&mut self, copy: &Copy, deadline: Instant) -> Told<ServeReply> {
        let mut grown = copy.grown();
        let begun = Instant::now();
        let hope = deadline.min(begun + HOPE);
        let waits = [(Strictness::Hoped, hope), (Strictness::Needed, deadline)];
        for (strictness, until) in waits {
            let mut pause = PULL_AGAIN;
            let mut next_pull = Instant::now();
            loop {
                grown.mark_unchanged();
                if let Some(reply) = copy.enter(|core| self.answer(core, strictness)) {
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
                let next = until.min(next_pull);
                let _ = timeout_at(next, grown.changed()).await;
                let pause = leave_it(begun.elapsed());
                sleep(pause.min(next.saturating_duration_since(Instant::now()))).await;
            }
        }
        at_once(reply(Outcome::Lacking(Lacking {
            first_missing: Some((&copy.missing(&self.prev)).into()),
        })))
    }
}

fn reply_of(view: &View<'_, Ratings>, answer: Option<v1::Answer>) -> ServeReply {
    ServeReply {
        ts: Some(view.ts.into()),
        clock_us: view.clock.0,
        lost: wire_ids(&view.lost),
        outcome: answer.map(Outcome::Answer),
        ..ServeReply::default()
    }
}
