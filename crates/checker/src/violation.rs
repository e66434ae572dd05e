//! Why a history is not consistent: the counterexample, for people.

use std::collections::BTreeSet;
use std::fmt;

use crate::history::History;
use crate::operation::{Key, Operation};

/// Why no order of the writes explains a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What went wrong.
    pub anomaly: Anomaly,
    /// Session guarantees of which at least one was broken; empty if each session's own
    /// view can be explained, or what it should have known came a longer way than a
    /// session guarantee covers.
    pub broken: Vec<Guarantee>,
    /// Each step says that one operation comes before another; the last leads to where
    /// the first began. Empty for [`Anomaly::ThinAirRead`], which needs no other
    /// operation to be wrong.
    pub cycle: Vec<Step>,
}

/// The kinds of violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// A value was read that nobody wrote.
    ThinAirRead {
        /// The read.
        read: Event,
    },
    /// Session order and reads-from form a cycle: something was read before it was written.
    CausalCycle,
    /// A read returned a value although a newer one was in its causal past.
    StaleRead {
        /// The read.
        read: Event,
    },
    /// Each read can be explained, but not all by one order of the writes.
    DivergentOrder {
        /// The keys whose writes would have to be in two orders.
        keys: Vec<Key>,
    },
}

/// The session guarantees (Terry et al., PDIS 1994).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// A session sees what it wrote itself, or newer.
    ReadYourWrites,
    /// A session sees what it has read before, or newer.
    MonotonicReads,
    /// Who sees a write sees what its session wrote before, or newer.
    MonotonicWrites,
    /// Who sees a write sees what its session had read before, or newer.
    WritesFollowReads,
}

/// An operation, and where it stands in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The line, counted from 1.
    pub line: u64,
    /// What happened.
    pub operation: Operation,
}

/// One end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The initial write of a key, which no line shows.
    Initial(Key),
    /// An operation of the history.
    Event(Event),
}

/// That one operation comes before another, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The earlier one.
    pub from: Point,
    /// The later one.
    pub to: Point,
    /// Why.
    pub reason: Reason,
}

/// Why one operation comes before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Initial values precede everything.
    InitialFirst,
    /// Both are of one session, in this order.
    SessionOrder,
    /// The later one read what the earlier one wrote.
    ReadsFrom,
    /// Both write one key, and a reader returned what the later one wrote though it had
    /// the earlier one in its causal past.
    Overwritten {
        /// The reader.
        reader: Event,
        /// How the earlier write came into the reader's causal past.
        seen: Vec<Step>,
    },
}

impl Event {
    pub(crate) fn at(history: &History, place: usize) -> Self {
        Self {
            line: history.line(place),
            operation: history.operation(place),
        }
    }
}

impl Guarantee {
    /// Its usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadYourWrites => "read your writes",
            Self::MonotonicReads => "monotonic reads",
            Self::MonotonicWrites => "monotonic writes",
            Self::WritesFollowReads => "writes follow reads",
        }
    }

    fn what_the_session_had(self) -> &'static str {
        match self {
            Self::ReadYourWrites => "its session had itself written a newer one",
            Self::MonotonicReads => "its session had already read a newer one",
            Self::MonotonicWrites => {
                "its session had already read a later write of the session that wrote a newer one"
            }
            Self::WritesFollowReads => {
                "its session had already read a write of a session that had read a newer one before"
            }
        }
    }
}

impl Violation {
    /// What went wrong, in one line: the first of the text form.
    pub fn headline(&self) -> String {
        match &self.anomaly {
            Anomaly::ThinAirRead { read } => {
                let key = read.operation.key;
                format!("thin-air read: {read} returned a value that nobody wrote to key {key}")
            }
            Anomaly::CausalCycle => {
                "causal cycle: an operation depends on itself, so something was read before it was written"
                    .to_owned()
            }
            Anomaly::StaleRead { read } => match self.broken.first() {
                Some(guarantee) => format!(
                    "{} broken: {read} returned a value although {}",
                    guarantee.name(),
                    guarantee.what_the_session_had()
                ),
                None => format!(
                    "causal violation: {read} returned a value although a newer one was in its \
                     causal past, by way of several sessions"
                ),
            },
            Anomaly::DivergentOrder { keys } => self.divergence(keys),
        }
    }

    fn divergence(&self, keys: &[Key]) -> String {
        let readers = self.cycle.iter().filter_map(|step| match &step.reason {
            Reason::Overwritten { reader, .. } => Some(reader.line),
            _ => None,
        });
        let readers: BTreeSet<u64> = readers.collect();
        let readers = listed(readers.iter().map(u64::to_string), "and");
        let plural = if keys.len() == 1 { "" } else { "s" };
        let keys = listed(keys.iter().map(Key::to_string), "and");
        let explained = format!(
            "no single order of the writes of key{plural} {keys} explains what was read at lines {readers}"
        );
        if self.broken.is_empty() {
            return format!("divergent order: {explained}");
        }
        let names = self
            .broken
            .iter()
            .map(|guarantee| guarantee.name().to_owned());
        format!("{} broken: {explained}", listed(names, "or"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.headline())?;
        if !self.cycle.is_empty() {
            write!(f, "\nEach of these must come before the next, in a circle:")?;
        }
        for step in &self.cycle {
            write!(f, "\n  {step}")?;
            if let Reason::Overwritten { seen, .. } = &step.reason {
                for step in seen {
                    write!(f, "\n      seen by: {step}")?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  --{}-->  {}", self.from, self.reason, self.to)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InitialFirst => write!(f, "initial values precede everything"),
            Self::SessionOrder => write!(f, "session order"),
            Self::ReadsFrom => write!(f, "reads-from"),
            Self::Overwritten { reader, .. } => write!(
                f,
                "overwritten before read: the reader, {reader}, had already seen it"
            ),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initial(key) => write!(f, "initial value of key {key}"),
            Self::Event(event) => event.fmt(f),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation {
            kind,
            key,
            value,
            session,
            ..
        } = self.operation;
        let line = self.line;
        write!(f, "session {session} line {line} {kind}({key},{value})")
    }
}

/// `1, 2 and 3`.
fn listed(items: impl Iterator<Item = String>, last: &str) -> String {
    let mut items: Vec<String> = items.collect();
    let end = items.pop().unwrap_or_default();
    if items.is_empty() {
        return end;
    }
    format!("{} {last} {end}", items.join(", "))
}
