//! Who has how many of the requests that a stream has just been given.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use backfence_gossip::SessionId;
use backfence_process::Places;
use tokio::time::Instant;

/// A request that has been in work for so long waits: for copies, or for what a query lacks.
/// It is bounded as a call of its client, and takes no place here.
const FRESH: Duration = Duration::from_secs(1);

/// Who asks: by which connection, and in which session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Asker {
    /// 0 where it is not known.
    pub(crate) connection: u64,
    pub(crate) session: SessionId,
}

/// The fresh requests of one stream: what its replica is busy with.
///
/// Their places are shared among connections, and what a connection may have among its
/// sessions.
#[derive(Debug)]
pub(crate) struct Fresh {
    connections: Places<u64>,
    sessions: HashMap<Asker, usize>,
    /// By number, and so by time.
    entered: BTreeMap<u64, (Instant, Asker)>,
}

impl Fresh {
    /// So many places.
    pub(crate) fn new(all: usize) -> Self {
        Self {
            connections: Places::new(all),
            sessions: HashMap::new(),
            entered: BTreeMap::new(),
        }
    }

    /// Gives the request with this number, greater than all before, a place. False where the
    /// asker has its share.
    pub(crate) fn enter(&mut self, number: u64, asker: Asker, now: Instant) -> bool {
        while let Some((&oldest, &(entered, _))) = self.entered.first_key_value()
            && now.duration_since(entered) >= FRESH
        {
            self.leave(oldest);
        }
        let of_session = self.sessions.get(&asker).copied().unwrap_or(0);
        if of_session >= self.connections.left(&asker.connection)
            || !self.connections.take(asker.connection)
        {
            return false;
        }
        *self.sessions.entry(asker).or_default() += 1;
        self.entered.insert(number, (now, asker));
        true
    }

    /// The request has ended, or waits.
    pub(crate) fn leave(&mut self, number: u64) {
        let Some((_, asker)) = self.entered.remove(&number) else {
            return;
        };
        self.connections.give_back(&asker.connection);
        if let Some(of_session) = self.sessions.get_mut(&asker) {
            *of_session -= 1;
            if *of_session == 0 {
                self.sessions.remove(&asker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn asker(connection: u64, session: u128) -> Asker {
        Asker {
            connection,
            session: SessionId(session),
        }
    }

    /// How many of these it takes, from one asker.
    fn taken(
        fresh: &mut Fresh,
        numbers: std::ops::Range<u64>,
        asker: Asker,
        now: Instant,
    ) -> usize {
        numbers
            .filter(|&number| fresh.enter(number, asker, now))
            .count()
    }

    #[test]
    fn places_are_shared_among_connections_and_sessions() {
        let (mut fresh, now) = (Fresh::new(1024), Instant::now());
        assert_eq!(taken(&mut fresh, 0..1000, asker(1, 1), now), 342);
        // Another session on that connection, and one on another.
        assert_eq!(taken(&mut fresh, 1000..2000, asker(1, 2), now), 114);
        assert!(fresh.enter(2000, asker(1, 3), now));
        assert!(taken(&mut fresh, 2001..3000, asker(2, 1), now) > 150);
        for connection in 3..40 {
            assert!(fresh.enter(3000 + connection, asker(connection, 1), now));
        }
    }

    #[test]
    fn what_waits_takes_no_place() {
        let (mut fresh, now) = (Fresh::new(16), Instant::now());
        let first = taken(&mut fresh, 0..100, asker(1, 1), now);
        assert!(!fresh.enter(100, asker(1, 1), now + FRESH / 2));
        assert_eq!(taken(&mut fresh, 101..200, asker(1, 1), now + FRESH), first);
        // What has aged, and what has ended, is gone once.
        (0..200).for_each(|number| fresh.leave(number));
        assert_eq!(fresh.connections.left(&1), 16);
        assert!(fresh.sessions.is_empty() && fresh.entered.is_empty());
    }
}
