//! What happened while a configuration was checked: the proof that it bites.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::setup::{Disk, Request, Setup};

/// How many of the steps taken were of a kind that the protocol has a rule for.
///
/// Counted beside the states, not in them: a state that remembered what happened
/// would be a different state for each way to it.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// A query met a replica that lacked what its session had seen.
    pub(crate) waited: AtomicU64,
    /// Records came that were there already, or after a hole.
    pub(crate) ignored: AtomicU64,
    /// An update became a second record.
    pub(crate) copied: AtomicU64,
    /// A whole state was joined.
    pub(crate) joined: AtomicU64,
    /// A crash lost something that was not on the disk.
    pub(crate) forgot: AtomicU64,
}

impl Events {
    /// What should have happened under `setup` and did not: then the check says
    /// nothing.
    pub(crate) fn missing(&self, setup: &Setup) -> Option<&'static str> {
        let reads = setup.sessions.iter().flatten().any(|r| *r == Request::Read);
        let lags = setup.disk == Disk::Lagging && setup.crashes > 0;
        let small = setup.log_bytes < Setup::ROOM;
        [
            (reads, &self.waited, "no query had to wait"),
            (true, &self.ignored, "no record came twice"),
            (
                setup.copies > 0,
                &self.copied,
                "no update became two records",
            ),
            (small, &self.joined, "no state was transferred"),
            (lags, &self.forgot, "no crash lost anything"),
        ]
        .into_iter()
        .find(|(expected, count, _)| *expected && count.load(Relaxed) == 0)
        .map(|(_, _, missing)| missing)
    }
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [waited, ignored, copied, joined, forgot] = [
            &self.waited,
            &self.ignored,
            &self.copied,
            &self.joined,
            &self.forgot,
        ]
        .map(|count| count.load(Relaxed));
        write!(
            f,
            "{waited} queries had to wait, {ignored} messages held known records, \
             {copied} updates became a second record, {joined} states were joined, \
             {forgot} crashes lost something"
        )
    }
}
