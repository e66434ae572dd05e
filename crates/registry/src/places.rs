//! Who may watch: so many in all, and from each connection.

use std::collections::{BTreeMap, VecDeque};

/// The places of watchers. Where they are short, who has the most loses the oldest of its own.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    each: usize,
    taken: BTreeMap<Peer, VecDeque<u64>>,
    last: u64,
}

/// The number of a connection, where it is known.
pub(crate) type Peer = Option<u64>;

/// A place, and the one that was given up for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entered {
    pub(crate) place: u64,
    pub(crate) instead_of: Option<u64>,
}

/// Why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Crowded {
    #[error("this connection has {0} watchers already; end one of them first")]
    Connection(usize),
    #[error("the registry has {0} watchers already; try again later")]
    All(usize),
}

impl Places {
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self {
            all,
            each,
            taken: BTreeMap::new(),
            last: 0,
        }
    }

    /// A place for one more. An unknown peer may have all.
    pub(crate) fn enter(&mut self, peer: Peer) -> Result<Entered, Crowded> {
        let own = self.taken.get(&peer).map_or(0, VecDeque::len);
        if peer.is_some() && own >= self.each {
            return Err(Crowded::Connection(self.each));
        }
        let len: usize = self.taken.values().map(VecDeque::len).sum();
        let instead_of = if len >= self.all {
            let most = self.taken.values_mut().max_by_key(|places| places.len());
            // Else two would go on taking each other's.
            let most = most.filter(|places| places.len() > own + 1);
            Some(
                most.and_then(VecDeque::pop_front)
                    .ok_or(Crowded::All(self.all))?,
            )
        } else {
            None
        };
        self.last += 1;
        self.taken.entry(peer).or_default().push_back(self.last);
        Ok(Entered {
            place: self.last,
            instead_of,
        })
    }

    /// Gives a place back, if it has not been given up.
    pub(crate) fn leave(&mut self, peer: Peer, place: u64) {
        if let Some(places) = self.taken.get_mut(&peer) {
            places.retain(|&taken| taken != place);
            if places.is_empty() {
                self.taken.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_most_makes_room() {
        let peer = Some;
        let mut places = Places::new(4, 3);
        let entered = |place, instead_of| Ok(Entered { place, instead_of });
        for place in 1..=3 {
            assert_eq!(places.enter(peer(1)), entered(place, None));
        }
        assert_eq!(places.enter(peer(1)), Err(Crowded::Connection(3)));
        assert_eq!(places.enter(peer(2)), entered(4, None));
        assert_eq!(places.enter(peer(3)), entered(5, Some(1)));
        assert_eq!(places.enter(peer(4)), entered(6, Some(2)));
        // Each has one.
        assert_eq!(places.enter(peer(5)), Err(Crowded::All(4)));
        assert_eq!(places.enter(peer(1)), Err(Crowded::All(4)));
        places.leave(peer(1), 1);
        assert_eq!(places.enter(peer(5)), Err(Crowded::All(4)), "it was gone");
        places.leave(peer(1), 3);
        assert_eq!(places.enter(peer(5)), entered(7, None));
    }

    #[test]
    fn unknown_peers_share_all_places() {
        let mut places = Places::new(3, 1);
        for _ in 0..3 {
            places.enter(None).unwrap();
        }
        assert_eq!(places.enter(None), Err(Crowded::All(3)));
    }
}
