//! What is checked: how many replicas, what the sessions do, which faults there are.

use std::fmt;

use backfence_gossip::Limits;

use crate::tally::UPDATES;

/// A request of a session's script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// An update.
    Write,
    /// A query.
    Read,
}

/// When a replica's disk has what the replica knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// At once, with each step.
    Synced,
    /// After a step of its own. Until then, what counts it does not leave, and a
    /// crash loses it.
    Lagging,
}

/// A configuration of the model. Messages are lost and duplicated without limit;
/// everything else is bounded here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setup {
    /// What to call it.
    pub name: &'static str,
    /// How many replicas.
    pub replicas: u8,
    /// What each session does, in order, each request at any replica.
    pub sessions: Vec<Vec<Request>>,
    /// Most messages on their way at once.
    pub in_flight: usize,
    /// Crashes, each with a restart.
    pub crashes: u8,
    /// Whether a replica comes back under its old id. That is safe only if nothing
    /// left it that its disk did not have, where a new incarnation forgives it.
    pub same_id: bool,
    /// How often an update may become a second record: by a retry at another
    /// replica, or by a late copy of an acknowledged request.
    pub copies: u8,
    /// When the disks are written.
    pub disk: Disk,
    /// Besides what a peer is known to lack: reports alone, and the sender's own
    /// records alone.
    pub pulls_and_pushes: bool,
    /// Leave out messages that would change nothing where they are going, on the
    /// assumption that they would not later either. Smaller configurations do
    /// without it.
    pub forget_idle: bool,
    /// Whether all replicas have heard of each other at the start.
    pub met: bool,
    /// How many of them, the last ones, are new: nobody has heard of them, nor they of
    /// anybody, and they have yet to join.
    pub newcomers: u8,
    /// Most bytes of records in a log; a record takes about 100.
    pub log_bytes: usize,
    /// Steps from the start beyond which nothing is looked at.
    pub depth: Option<usize>,
}

impl Setup {
    /// Log bytes that no run fills.
    pub(crate) const ROOM: usize = 4096;

    /// A configuration without crashes or copies and with room in the logs.
    ///
    /// Each session is a word of `w`, an update, and `r`, a query.
    ///
    /// # Panics
    ///
    /// At another letter, and where there are more updates than the model can tell
    /// apart.
    pub fn new(name: &'static str, replicas: u8, sessions: &[&str]) -> Self {
        let request = |letter| match letter {
            'w' => Request::Write,
            'r' => Request::Read,
            other => panic!("a session is a word of w and r, not {other}"),
        };
        let sessions: Vec<Vec<_>> = sessions
            .iter()
            .map(|word| word.chars().map(request).collect())
            .collect();
        let updates = sessions.iter().flatten().filter(|r| **r == Request::Write);
        assert!(updates.count() <= UPDATES, "at most {UPDATES} updates");
        Self {
            name,
            replicas,
            sessions,
            in_flight: 2,
            crashes: 0,
            same_id: false,
            copies: 0,
            disk: Disk::Synced,
            pulls_and_pushes: false,
            forget_idle: false,
            met: true,
            newcomers: 0,
            log_bytes: Self::ROOM,
            depth: None,
        }
    }

    /// Whether every record can stay in the logs until all replicas have it: then no
    /// state need ever be transferred.
    pub(crate) const fn never_transfers(&self) -> bool {
        self.log_bytes >= Self::ROOM && self.met && self.newcomers == 0 && self.crashes == 0
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            log_bytes: self.log_bytes,
            ..Limits::default()
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} replicas", self.name, self.replicas)?;
        for session in &self.sessions {
            f.write_str(", session ")?;
            for request in session {
                f.write_str(match request {
                    Request::Write => "w",
                    Request::Read => "r",
                })?;
            }
        }
        write!(f, ", {} in flight", self.in_flight)?;
        if self.forget_idle {
            f.write_str(" but for idle ones")?;
        }
        if self.pulls_and_pushes {
            f.write_str(", pulls and pushes")?;
        }
        write!(f, ", {} crashes, {} copies", self.crashes, self.copies)?;
        if self.same_id {
            f.write_str(", same id after a crash")?;
        }
        f.write_str(match self.disk {
            Disk::Synced => ", disks synced at once",
            Disk::Lagging => ", disks lag",
        })?;
        f.write_str(if self.met { "" } else { ", strangers" })?;
        if self.newcomers > 0 {
            write!(f, ", {} of them new", self.newcomers)?;
        }
        if self.log_bytes < Self::ROOM {
            write!(f, ", logs of {} bytes", self.log_bytes)?;
        }
        match self.depth {
            Some(depth) => write!(f, ", to depth {depth}"),
            None => f.write_str(", exhaustive"),
        }
    }
}
