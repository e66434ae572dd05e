//! What a run is to be.

use std::time::Duration;

/// Sessions at a time. More make a history more telling and slower to check.
pub(crate) const SESSIONS: u32 = 32;

/// What a run is to be. The seed decides what is asked for and what goes wrong, not when
/// programs and threads get to run, so no two runs are the same.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Plan {
    /// How long faults are injected.
    pub length: Duration,
    /// From 2: what one alone has is lost with its disk.
    pub replicas: u32,
    /// From 1.
    pub front_ends: u32,
    /// Requests a second, on average; what was missed in an outage is made up for.
    pub rate: u32,
    /// How long after it was made an update is taken, in seconds. Where that is shorter than
    /// the run, much of what is executed and deleted is settled on the way, and forgotten.
    pub late: u32,
    /// Of all that is drawn.
    pub seed: u64,
    /// Whether replicas have data directories. Without, a kill of all loses everything:
    /// so it can be seen that a run notices that.
    pub disks: bool,
    /// Whether each replica speaks the oldest version of the wire or the newest, drawn anew
    /// whenever it starts after a fault.
    pub mixed: bool,
}

impl Plan {
    /// How often a replica calls itself over-loaded, so that requests spread: all at
    /// once, for 3 requests in 100.
    pub(crate) fn overload(&self) -> f64 {
        0.03_f64.powf(1.0 / f64::from(self.replicas))
    }
}
