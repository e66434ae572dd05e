//! What comes of time alone: the past is settled, and what nobody can ask for any more is
//! let go of.

use std::{sync::Arc, time::Duration};

use backfence_gossip::UpdateId;
use backfence_process::CancellationToken;
use backfence_ratings::Ratings;
use tokio::time::{MissedTickBehavior, interval};

use super::{Copy, Held};

/// How often the core is told the time.
const TICK: Duration = Duration::from_secs(1);
/// Most updates that a line of the log names.
const NAMED: usize = 8;

impl Copy {
    /// Tells the core the time, at once and every second, until `shutdown`.
    pub(crate) async fn age(self: Arc<Self>, shutdown: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => self.advance(),
            }
        }
    }

    /// What this replica is to refuse from now on, and what it has settled, are on its disk
    /// before it reports them. Nothing is settled while the disk is full: reports would
    /// wait for it.
    fn advance(&self) {
        self.grow_older();
        if self.is_full() {
            return;
        }
        let now = self.environment.now();
        let mut held = self.held();
        let Held {
            replica, unwritten, ..
        } = &mut *held;
        let horizon = replica.horizon();
        let advanced = replica.advance(now);
        let released = replica.release(Ratings::release);
        let is_past = advanced.settled || replica.horizon() > horizon;
        if let Some(unwritten) = unwritten {
            unwritten.aged(is_past, advanced, released);
        }
        drop(held);
        if is_past {
            self.wake_disk();
        }
    }
}

/// Says which updates were given up.
pub(super) fn warn_of_late(late: &[UpdateId]) {
    if !late.is_empty() {
        let named: Vec<_> = late.iter().take(NAMED).map(UpdateId::to_string).collect();
        let named = named.join(", ");
        let updates = late.len();
        tracing::warn!(
            updates,
            "gave up what came too late from a disk that was long away: {named}{}",
            if updates > NAMED { ", ..." } else { "" }
        );
    }
}
