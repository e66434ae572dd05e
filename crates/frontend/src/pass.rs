//! One request's way over the replicas: who is tried, for how long, and what it
//! means when nobody answers.

use std::{collections::VecDeque, time::Duration};

use backfence_gossip::{ReplicaId, Timestamp};

/// One pass over the replicas, in order. Pure: the caller makes the tries and
/// tells what came of each. Every replica is tried once at most.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Not come to yet.
    ahead: VecDeque<usize>,
    /// Passed over because they failed lately; tried when all others have failed.
    skipped: VecDeque<usize>,
    maybe: bool,
    lacking: Option<Lacking>,
}

/// A replica to try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Try {
    /// Its place in the order.
    pub(crate) at: usize,
    /// How long it may take.
    pub(crate) share: Duration,
}

/// What a try came to when it did not end the pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failed {
    /// The replica will not serve now, or has been asked too much already.
    Declined,
    /// It lacks records; per origin the first one.
    Lacking(Timestamp),
    /// It did not answer. `maybe` where it may act on the request all the same.
    Unanswered { maybe: bool },
}

/// Why nobody served the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unserved {
    /// An update may have been taken by a replica that did not answer.
    OutcomeUnknown,
    /// Replicas answered, but lack what the session has seen, such as this record.
    Behind { origin: ReplicaId, number: u64 },
    /// None is there and will serve.
    AllBusy,
}

/// The best report of a replica that lacks records.
#[derive(Debug)]
struct Lacking {
    records: u128,
    origin: ReplicaId,
    number: u64,
}

impl Pass {
    /// A pass over `replicas` replicas.
    pub(crate) fn new(replicas: usize) -> Self {
        Self {
            ahead: (0..replicas).collect(),
            skipped: VecDeque::new(),
            maybe: false,
            lacking: None,
        }
    }

    /// The next replica to try, with an equal share of the `remaining` time.
    /// `admits` tells whether one is worth a try of that length now. `None` when
    /// all were tried, or no time is left.
    pub(crate) fn next(
        &mut self,
        remaining: Duration,
        mut admits: impl FnMut(usize, Duration) -> bool,
    ) -> Option<Try> {
        if remaining.is_zero() {
            return None;
        }
        while let Some(at) = self.ahead.pop_front() {
            let tries = 1 + self.ahead.len() + self.skipped.len();
            let share = divided(remaining, tries);
            if admits(at, share) {
                return Some(Try { at, share });
            }
            self.skipped.push_back(at);
        }
        let at = self.skipped.pop_front()?;
        let share = divided(remaining, 1 + self.skipped.len());
        Some(Try { at, share })
    }

    /// Takes in what a try came to. `prev` is what the session has seen.
    pub(crate) fn heard(&mut self, failed: Failed, prev: &Timestamp) {
        match failed {
            Failed::Declined => {}
            Failed::Unanswered { maybe } => self.maybe |= maybe,
            Failed::Lacking(first_missing) => {
                let Some(report) = Lacking::read(&first_missing, prev) else {
                    return;
                };
                if self
                    .lacking
                    .as_ref()
                    .is_none_or(|best| report.records < best.records)
                {
                    self.lacking = Some(report);
                }
            }
        }
    }

    /// Whether a replica that did not answer may have taken the update.
    pub(crate) fn maybe(&self) -> bool {
        self.maybe
    }

    /// What it means that the pass is over and nobody answered.
    pub(crate) fn unserved(&self) -> Unserved {
        match &self.lacking {
            _ if self.maybe => Unserved::OutcomeUnknown,
            Some(lacking) => Unserved::Behind {
                origin: lacking.origin,
                number: lacking.number,
            },
            None => Unserved::AllBusy,
        }
    }
}

impl Lacking {
    /// `None` for a report that names nothing, as only a faulty replica's does.
    fn read(first_missing: &Timestamp, prev: &Timestamp) -> Option<Self> {
        let (origin, number) = first_missing.iter().next()?;
        let missing = |(origin, first)| {
            u128::from(prev.count(origin).saturating_sub(first).saturating_add(1))
        };
        Some(Self {
            records: first_missing.iter().map(missing).sum(),
            origin,
            number,
        })
    }
}

fn divided(remaining: Duration, tries: usize) -> Duration {
    remaining / u32::try_from(tries).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts<const N: usize>(counts: [(u32, u64); N]) -> Timestamp {
        counts
            .into_iter()
            .map(|(server, count)| (ReplicaId::new(server, 1), count))
            .collect()
    }

    fn lacking<const N: usize>(first_missing: [(u32, u64); N]) -> Failed {
        Failed::Lacking(ts(first_missing))
    }

    fn behind(server: u32, number: u64) -> Unserved {
        Unserved::Behind {
            origin: ReplicaId::new(server, 1),
            number,
        }
    }

    /// The places that a pass tries, with their shares in milliseconds, when each
    /// try takes `takes` of 600 ms and the breakers of `open` are open.
    fn tried(
        replicas: usize,
        open: &[usize],
        takes: impl Fn(usize, u64) -> u64,
    ) -> Vec<(usize, u64)> {
        let mut pass = Pass::new(replicas);
        let mut remaining: u64 = 600;
        let mut tries = Vec::new();
        while let Some(made) = pass.next(Duration::from_millis(remaining), |at, _| {
            !open.contains(&at)
        }) {
            let share = u64::try_from(made.share.as_millis()).unwrap();
            tries.push((made.at, share));
            pass.heard(Failed::Declined, &Timestamp::new());
            remaining -= takes(made.at, share);
        }
        tries
    }

    #[test]
    fn each_replica_is_tried_once_with_an_equal_share() {
        let at_once = |_, _| 0;
        let hanging = |_, share| share;
        assert_eq!(tried(0, &[], at_once), []);
        assert_eq!(tried(3, &[], at_once), [(0, 200), (1, 300), (2, 600)]);
        assert_eq!(tried(3, &[], hanging), [(0, 200), (1, 200), (2, 200)]);
        let first_hangs = |at, share| if at == 0 { share } else { 0 };
        assert_eq!(tried(3, &[], first_hangs), [(0, 200), (1, 200), (2, 400)]);
        assert_eq!(tried(3, &[], |_, _| 600), [(0, 200)]);
    }

    #[test]
    fn skipped_replicas_come_last() {
        let at_once = |_, _| 0;
        assert_eq!(tried(3, &[0], at_once), [(1, 200), (2, 300), (0, 600)]);
        assert_eq!(tried(3, &[0, 1], at_once), [(2, 200), (0, 300), (1, 600)]);
        assert_eq!(tried(2, &[0, 1], at_once), [(0, 300), (1, 600)]);
    }

    #[test]
    fn what_it_means_that_nobody_answered() {
        let check = |heard: &[Failed], expected: Unserved| {
            let mut pass = Pass::new(heard.len());
            for failed in heard {
                pass.heard(failed.clone(), &ts([(1, 9), (2, 9)]));
            }
            assert_eq!(pass.unserved(), expected, "{heard:?}");
        };
        let gone = Failed::Unanswered { maybe: false };
        let maybe = Failed::Unanswered { maybe: true };
        check(&[], Unserved::AllBusy);
        check(&[Failed::Declined, gone.clone()], Unserved::AllBusy);
        check(&[gone.clone(), lacking([(2, 7)])], behind(2, 7));
        check(&[lacking([(2, 7)]), Failed::Declined], behind(2, 7));
        // The fewest missing records decide, then the order of the replicas.
        check(&[lacking([(1, 5)]), lacking([(2, 7)])], behind(2, 7));
        check(&[lacking([(1, 7)]), lacking([(2, 7)])], behind(1, 7));
        check(
            &[lacking([(1, 9), (2, 9)]), lacking([(2, 9)])],
            behind(2, 9),
        );
        check(&[lacking([])], Unserved::AllBusy);
        check(&[maybe.clone(), Failed::Declined], Unserved::OutcomeUnknown);
        check(&[lacking([(2, 7)]), maybe, gone], Unserved::OutcomeUnknown);
    }
}
