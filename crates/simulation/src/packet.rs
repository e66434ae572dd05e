//! What travels.

use backfence_gossip::{Message, ReplicaId, Time, Timestamp, View};
use fixedbitset::FixedBitSet;

use crate::{hello::Hello, ledger::Ledger, node::Held, session::Request};

#[derive(Clone)]
pub(crate) enum Packet {
    Request {
        client: usize,
        /// Which front end passes it on, and in which of its lives.
        front_end: (usize, u32),
        to: usize,
        /// What the front end hopes to see.
        hoped: Timestamp,
        request: Request,
    },
    Reply {
        from: usize,
        client: usize,
        front_end: (usize, u32),
        number: u32,
        reply: Reply,
    },
    Hello {
        from: usize,
        to: usize,
        hello: Hello,
        /// The life whose call it answers; `None` for a call.
        answers: Option<ReplicaId>,
    },
    Gossip {
        from: usize,
        to: usize,
        /// The life to which it is sent.
        peer: ReplicaId,
        message: Message<Ledger>,
        /// What the sender's clock showed.
        now: Time,
        pull: bool,
    },
}

#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) ts: Timestamp,
    pub(crate) clock: Time,
    /// What the replica's clock showed.
    pub(crate) now: Time,
    /// What the session has seen and is lost for good.
    pub(crate) lost: Vec<ReplicaId>,
    pub(crate) kind: Kind,
}

impl Reply {
    pub(crate) const fn refused() -> Self {
        Self {
            ts: Timestamp::new(),
            clock: Time(0),
            now: Time(0),
            lost: Vec::new(),
            kind: Kind::Refused,
        }
    }

    pub(crate) fn declined() -> Self {
        Self {
            kind: Kind::Declined,
            ..Self::refused()
        }
    }

    pub(crate) fn final_refusal() -> Self {
        Self {
            kind: Kind::RefusedForGood,
            ..Self::refused()
        }
    }

    pub(crate) fn answer(view: View<'_, Ledger>, held: &Held, now: Time) -> Self {
        Self {
            ts: view.ts.clone(),
            clock: view.clock,
            now,
            lost: view.lost,
            kind: Kind::Answer {
                hoped: held.hoped.clone().unwrap_or_default(),
                applied: view.value.applied().clone(),
                read: view.value.read(held.cell),
            },
        }
    }
}

#[derive(Clone)]
pub(crate) enum Kind {
    Answer {
        hoped: Timestamp,
        applied: FixedBitSet,
        read: Option<usize>,
    },
    Accepted {
        index: usize,
    },
    /// No room, the clock is behind, or the replica is retired: the session tries on
    /// or gives up.
    Refused,
    /// The replica's clock is suspect: the session tries on.
    Declined,
    /// Some who remain do not understand the update, or another has its id: the session gives
    /// up.
    RefusedForGood,
}
