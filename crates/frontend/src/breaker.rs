//! Skipping a replica that has failed.

use std::time::Duration;

use tokio::time::Instant;

/// Whether a replica is worth a try. Pure: it gets the time.
///
/// After a failure the replica is skipped for a while, which doubles with every
/// failure that follows. Then one request at a time may try it. A success lets
/// all in again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Breaker {
    #[default]
    Closed,
    Open {
        /// When it failed last.
        since: Instant,
        /// Nobody tries it before.
        until: Instant,
        /// How long it is skipped after the next failure, before jitter.
        next: Duration,
    },
}

impl Breaker {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);

    /// Whether a try that takes at most `share` may be made. A probe keeps others
    /// off for that long, so one that is dropped midway blocks nobody for longer.
    pub(crate) fn admits(&mut self, now: Instant, share: Duration) -> bool {
        match self {
            Self::Closed => true,
            Self::Open { until, .. } if now < *until => false,
            Self::Open { until, .. } => {
                *until = now + share;
                true
            }
        }
    }

    /// A try has been answered. True when the replica was skipped before.
    pub(crate) fn succeeded(&mut self) -> bool {
        std::mem::take(self) != Self::Closed
    }

    /// A try that began at `tried` has failed; `jitter` shortens a wait at random.
    /// True when the replica was not skipped before.
    ///
    /// Requests that were under way together fail together: that counts once.
    pub(crate) fn failed(
        &mut self,
        tried: Instant,
        now: Instant,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> bool {
        let (wait, was_closed) = match *self {
            Self::Closed => (Self::FIRST, true),
            Self::Open { since, .. } if tried <= since => return false,
            Self::Open { next, .. } => (next, false),
        };
        *self = Self::Open {
            since: now,
            until: now + jitter(wait),
            next: (wait * 2).min(Self::LONGEST),
        };
        was_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: Duration = Duration::from_millis(500);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Probes as soon as it may, `times` times, and returns how long it was skipped.
    fn skipped(breaker: &mut Breaker, mut now: Instant, times: usize) -> Vec<Duration> {
        let mut waits = Vec::new();
        for _ in 0..times {
            let Breaker::Open { since, until, .. } = *breaker else {
                panic!("the breaker is closed");
            };
            waits.push(until - since);
            now = now.max(until);
            assert!(breaker.admits(now, SHARE));
            breaker.failed(now, now + SHARE, |wait| wait);
            now += SHARE;
        }
        waits
    }

    #[test]
    fn waits_double_to_two_seconds() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        assert!(breaker.failed(start, start + SHARE, |wait| wait));
        let waits = skipped(&mut breaker, start + SHARE, 7);
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000].map(ms));
    }

    #[test]
    fn one_probe_at_a_time() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        assert!(breaker.admits(start, SHARE) && breaker.admits(start, SHARE));
        breaker.failed(start, start, |wait| wait);
        assert!(!breaker.admits(start + ms(99), SHARE));
        let probe = start + ms(100);
        assert!(breaker.admits(probe, SHARE));
        assert!(!breaker.admits(probe + SHARE - ms(1), SHARE));
        assert!(breaker.admits(probe + SHARE, SHARE));
    }

    #[test]
    fn failures_of_one_moment_count_once() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        assert!(breaker.failed(start, start + SHARE, |wait| wait));
        let once = breaker;
        assert!(!breaker.failed(start + ms(1), start + SHARE + ms(1), |wait| wait));
        assert_eq!(breaker, once);
    }

    #[test]
    fn a_success_lets_all_in_again() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        assert!(!breaker.succeeded());
        breaker.failed(start, start, |wait| wait);
        assert!(breaker.succeeded());
        assert!(breaker.admits(start, SHARE));
    }
}
