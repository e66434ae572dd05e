//! A query, and how it waits for what its session has seen.

use std::time::Duration;

use backfence_gossip::{Timestamp, View};
use backfence_ratings::Ratings;
use backfence_wire::{
    Malformed, timestamp,
    v1::{
        self, ServeReply,
        serve_reply::{Lacking, Outcome},
    },
};
use tokio::time::{Instant, timeout_at};

use super::reply::{at_once, refuse, refused, reply, wire_ids};
use crate::{
    answer,
    copy::{Copy, Told},
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
    question: v1::query::Kind,
}

impl Query {
    pub(super) fn new(query: v1::Query) -> Result<Self, Malformed> {
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
    pub(super) fn answer(&self, copy: &Copy, strictness: Strictness) -> Option<Told<ServeReply>> {
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
    pub(super) async fn wait(&self, copy: &Copy, deadline: Instant) -> Told<ServeReply> {
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
