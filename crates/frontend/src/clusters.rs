//! Which cluster this front end serves, where the registry lists servers of several.
//!
//! It serves the first that it hears of, as long as a server of that cluster is listed. So a
//! foreign server that registers takes no request, and a cluster that was started anew, with
//! nothing left of the one before, is found.

use std::collections::BTreeMap;

use backfence_wire::ClusterId;

/// What the listed servers say of their clusters.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    served: Option<ClusterId>,
    /// By the place of the server.
    said: BTreeMap<u64, ClusterId>,
    /// The last place that was given.
    last: u64,
}

/// What comes of what a server says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// It may be asked.
    Ours,
    /// It belongs to another cluster than the one that is served.
    Foreign {
        served: ClusterId,
        /// It has not said so before.
        is_news: bool,
    },
}

impl Clusters {
    /// A place for a server that is listed from now on.
    pub(crate) fn enter(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Takes in which cluster a server says to belong to; `None` where that is not settled.
    pub(crate) fn hear(&mut self, place: u64, cluster: Option<ClusterId>) -> Heard {
        let Some(cluster) = cluster else {
            self.said.remove(&place);
            return Heard::Ours;
        };
        let before = self.said.insert(place, cluster);
        match self.served {
            Some(served) if served != cluster && self.is_listed(served) => Heard::Foreign {
                served,
                is_news: before != Some(cluster),
            },
            _ => {
                self.served = Some(cluster);
                Heard::Ours
            }
        }
    }

    /// A server is listed no more.
    pub(crate) fn forget(&mut self, place: u64) {
        self.said.remove(&place);
    }

    /// The cluster of a server, where it is another than the one that is served.
    pub(crate) fn foreign(&self, place: u64) -> Option<ClusterId> {
        let said = self.said.get(&place).copied();
        said.filter(|said| self.served.is_some_and(|served| served != *said))
    }

    fn is_listed(&self, cluster: ClusterId) -> bool {
        self.said.values().any(|said| *said == cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ClusterId = ClusterId([1; 16]);
    const B: ClusterId = ClusterId([2; 16]);

    #[test]
    fn the_first_is_served_as_long_as_it_is_listed() {
        let mut clusters = Clusters::default();
        let foreign = |is_news| Heard::Foreign { served: A, is_news };
        assert_eq!(clusters.hear(9, None), Heard::Ours);
        assert_eq!(clusters.hear(1, Some(A)), Heard::Ours);
        assert_eq!(clusters.hear(2, Some(A)), Heard::Ours);
        assert_eq!(clusters.hear(3, Some(B)), foreign(true));
        assert_eq!(clusters.hear(3, Some(B)), foreign(false));
        let foreigners = [3, 2, 9].map(|place| clusters.foreign(place));
        assert_eq!(foreigners, [Some(B), None, None]);
        clusters.forget(1);
        assert_eq!(clusters.hear(3, Some(B)), foreign(false));
        clusters.forget(2);
        assert_eq!(clusters.hear(3, Some(B)), Heard::Ours);
        assert_eq!(
            clusters.hear(1, Some(A)),
            Heard::Foreign {
                served: B,
                is_news: true
            }
        );
    }

    /// Clusters that were founded at one moment become one.
    #[test]
    fn a_cluster_that_changes_its_name_is_still_served() {
        let mut clusters = Clusters::default();
        assert_eq!(clusters.hear(1, Some(B)), Heard::Ours);
        assert_eq!(clusters.hear(1, Some(A)), Heard::Ours);
        assert_eq!(clusters.foreign(1), None);
    }
}
