//! A simulated client with its front end: a session, its clock, one open request.

use std::{fmt, time::Duration};

use backfence_gossip::{HybridClock, Session, SessionId, Time, Timestamp, Update, UpdateId};
use fixedbitset::FixedBitSet;

use crate::ledger::Write;

/// A session, and what it has truly seen.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) session: Session,
    clock: HybridClock,
    /// The greatest sequence number used.
    sequence: u64,
    /// The updates of the session: sequence number and time.
    made: Vec<(u64, Time)>,
    requests: u32,
    pub(crate) open: Option<Request>,
    /// The update that was given up last: it may be sent again all the same.
    pub(crate) given_up: Option<Request>,
    pub(crate) observed: FixedBitSet,
}

/// A request as it travels; the same at every retry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    /// Counts the requests of a client, over all its sessions.
    pub(crate) number: u32,
    pub(crate) body: Body,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    Query {
        prev: Timestamp,
        cell: u8,
    },
    /// And up to when what its session has seen is dated.
    Update(Update<Write>, Time),
}

/// Which sequence number an update is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Named {
    Next,
    /// So many beyond the greatest: it leaves a gap.
    Ahead(u64),
    /// It fills a gap.
    Between,
    /// That of an update of the session so many before, although this is another one.
    Again {
        back: usize,
        same_time: bool,
    },
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Query { prev, cell } => write!(f, "asks for cell {cell} with {prev}"),
            Body::Update(update, _) => {
                let Write {
                    index,
                    cell,
                    delete,
                    newer,
                } = update.operation;
                let what = if delete { "delete" } else { "update" };
                let newer = if newer { "newer " } else { "" };
                write!(
                    f,
                    "{newer}{what} {index} to cell {cell} with {}",
                    update.prev
                )
            }
        }
    }
}

impl Client {
    /// A client that has learned the time from whom it has met, and nothing else.
    pub(crate) fn new(number: usize, now: Time, elapsed: Duration) -> Self {
        let mut clock = HybridClock::default();
        clock.observe(Time(0), now, elapsed);
        Self {
            session: Session::new(SessionId(number as u128)),
            clock,
            sequence: 0,
            made: Vec::new(),
            requests: 0,
            open: None,
            given_up: None,
            observed: FixedBitSet::new(),
        }
    }

    /// Goes on as another session. Replies to the former one are not for it: requests
    /// are numbered on.
    pub(crate) fn start_anew(&mut self, number: usize, now: Time, elapsed: Duration) {
        *self = Self {
            requests: self.requests,
            ..Self::new(number, now, elapsed)
        };
    }

    /// Opens a query.
    pub(crate) fn ask(&mut self, cell: u8) -> Request {
        let prev = self.session.prev.clone();
        self.begin(Body::Query { prev, cell })
    }

    /// Opens an update: its id and its time are fixed here, once.
    pub(crate) fn write(&mut self, write: Write, named: Named, elapsed: Duration) -> Request {
        let mut time = self.clock.tick(elapsed);
        let sequence = match named {
            Named::Next => self.sequence + 1,
            Named::Ahead(by) => self.sequence.saturating_add(by),
            Named::Between => self.in_a_gap(),
            Named::Again { back, same_time } => {
                let at = self.made.len() - 1 - back % self.made.len();
                let (sequence, made) = self.made[at];
                time = if same_time { made } else { time };
                sequence
            }
        };
        self.sequence = self.sequence.max(sequence);
        self.made.push((sequence, time));
        let update = Update {
            id: UpdateId::new(self.session.id, sequence),
            prev: self.session.prev.clone(),
            time,
            operation: write,
        };
        self.begin(Body::Update(update, self.session.clock))
    }

    /// Whether it has made an update, of which the id can be used again.
    pub(crate) const fn has_written(&self) -> bool {
        !self.made.is_empty()
    }

    /// The greatest sequence number below the last that is not used, or the next.
    fn in_a_gap(&self) -> u64 {
        let is_used = |sequence: u64| self.made.iter().any(|(made, _)| *made == sequence);
        let mut below = (1..self.sequence).rev().take(self.made.len() + 1);
        let free = below.find(|sequence| !is_used(*sequence));
        free.unwrap_or(self.sequence + 1)
    }

    /// Gives the open request up. Says whether there was one.
    pub(crate) fn give_up(&mut self) -> bool {
        let open = self.open.take();
        let was_open = open.is_some();
        if let Some(Request {
            body: Body::Update(..),
            ..
        }) = &open
        {
            self.given_up = open;
        }
        was_open
    }

    /// Takes a reply in, with its clock and what that of its replica showed.
    pub(crate) fn observe(&mut self, ts: &Timestamp, clock: (Time, Time), elapsed: Duration) {
        self.session.observe(ts, clock.0);
        self.clock.observe(clock.0, clock.1, elapsed);
    }

    fn begin(&mut self, body: Body) -> Request {
        self.requests += 1;
        let number = self.requests;
        self.open.insert(Request { number, body }).clone()
    }
}
