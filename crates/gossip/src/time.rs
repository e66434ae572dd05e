//! Hybrid logical time.

use core::time::Duration;

/// A reading of a physical or a hybrid logical clock, in microseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// The time `duration` later; at the end of time, the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// The time `duration` earlier; at the beginning of time, that.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// How much later this is than `earlier`; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// The clock by which a session dates its updates.
///
/// It goes by what the clocks of replicas showed, the last that answered, plus what has elapsed
/// since on a local stopwatch. So a wrong wall clock at the client does no harm, nor for long
/// one at a replica. And every time that it gives is greater than every time that the session
/// has seen or given: the order of `(time, update id)` extends causality. Where that is ahead
/// of the clocks, it is greater by as little as can be.
///
/// `elapsed` is, throughout, the reading of one stopwatch that the caller keeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct HybridClock {
    read: Time,
    at: Duration,
    last: Time,
}

impl HybridClock {
    /// Learns from a reply: what its replica's clock shows, 0 where it does not say; and the
    /// reply's clock, than which nothing that the session has seen is dated later.
    pub fn observe(&mut self, reply: Time, now: Time, elapsed: Duration) {
        if now != Time(0) {
            self.read = now;
            self.at = elapsed;
        }
        self.last = self.last.max(reply);
    }

    /// The time of a new update: greater than all observed and all given before.
    pub fn tick(&mut self, elapsed: Duration) -> Time {
        self.last = self.now(elapsed).max(Time(self.last.0.saturating_add(1)));
        self.last
    }

    /// What the clocks of the replicas show, as far as it can tell.
    pub fn now(&self, elapsed: Duration) -> Time {
        self.read.after(elapsed.saturating_sub(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn ticks_exceed_everything_seen_and_given() {
        let mut clock = HybridClock::default();
        clock.observe(Time(1), Time(5_000_000), ms(10));
        assert_eq!(clock.tick(ms(12)), Time(5_002_000));
        assert_eq!(clock.tick(ms(12)), Time(5_002_001));
        clock.observe(Time(9_000_000), Time(5_002_000), ms(12));
        assert_eq!(clock.tick(ms(12)), Time(9_000_001));
        // It has seen what is ahead of all clocks, and stays as near to that as can be.
        assert_eq!(clock.tick(ms(15)), Time(9_000_002));
        assert_eq!(clock.now(ms(15)), Time(5_005_000));
    }

    #[test]
    fn the_last_reply_tells_the_time_and_none_sets_it_back() {
        let mut clock = HybridClock::default();
        clock.observe(Time(0), Time(9_000_000), ms(0));
        // That one's clock was ahead, and nothing was dated by it.
        clock.observe(Time(0), Time(1_000_000), ms(100));
        assert_eq!(clock.tick(ms(100)), Time(1_000_000));
        clock.observe(Time(0), Time(900_000), ms(100));
        assert_eq!(clock.tick(ms(100)), Time(1_000_001));
    }

    #[test]
    fn a_stopwatch_that_jumps_back_does_no_harm() {
        let mut clock = HybridClock::default();
        clock.observe(Time(0), Time(5_000_000), ms(100));
        assert_eq!(clock.tick(ms(50)), Time(5_000_000));
        assert_eq!(clock.tick(ms(50)), Time(5_000_001));
    }

    #[test]
    fn a_reply_without_a_clock_does_not_set_it() {
        let mut clock = HybridClock::default();
        clock.observe(Time(0), Time(5_000_000), ms(100));
        clock.observe(Time(4), Time(0), ms(150));
        assert_eq!(clock.tick(ms(150)), Time(5_050_000));
    }

    #[test]
    fn time_is_counted_in_microseconds_and_ends() {
        assert_eq!(Time(5).after(ms(1)), Time(1_005));
        assert_eq!(Time(5).after(Duration::MAX), Time(u64::MAX));
        assert_eq!(Time(1_005).before(ms(1)), Time(5));
        assert_eq!(Time(5).before(Duration::MAX), Time(0));
        assert_eq!(Time(1_005).since(Time(5)), ms(1));
        assert_eq!(Time(5).since(Time(1_005)), ms(0));
    }
}
