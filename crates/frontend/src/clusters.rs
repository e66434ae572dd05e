//! Which cluster this front end serves, where the registry lists servers of several.
//!
//! It serves the first that it hears of, as long as a server of that cluster is listed. So a
//! foreign server that registers takes no request, and a cluster that was started anew, with
//! nothing left of the one before, is found. A server that has joined nobody yet is asked
//! unless its data are others than those of that cluster.

use std::collections::BTreeMap;

use backfence_wire::ClusterId;

/// What the listed servers say of themselves.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    served: Option<Served>,
    /// By the place of the server.
    said: BTreeMap<u64, Home>,
    /// The last place that was given.
    last: u64,
}

/// Where a server says that it belongs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Home {
    /// Its cluster; `None` where that is not settled.
    pub(crate) cluster: Option<ClusterId>,
    /// Of the data that it has loaded; empty where it does not say it.
    pub(crate) fingerprint: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Served {
    cluster: ClusterId,
    fingerprint: String,
}

/// What comes of what a server says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// It may be asked.
    Ours,
    /// It does not belong to the cluster that is served.
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

    /// Takes in where a server says that it belongs.
    pub(crate) fn hear(&mut self, place: u64, home: Home) -> Heard {
        let before = self.said.insert(place, home.clone());
        if let Some(served) = self.served()
            && served.is_foreign(&home)
        {
            return Heard::Foreign {
                served: served.cluster,
                is_news: before.as_ref() != Some(&home),
            };
        }
        if let Some(cluster) = home.cluster {
            let fingerprint = home.fingerprint;
            self.served = Some(Served {
                cluster,
                fingerprint,
            });
        }
        Heard::Ours
    }

    /// A server is listed no more.
    pub(crate) fn forget(&mut self, place: u64) {
        self.said.remove(&place);
    }

    /// The cluster of a server, where it is another than the one that is served.
    pub(crate) fn foreign(&self, place: u64) -> Option<ClusterId> {
        let served = self.served.as_ref()?;
        let said = self.said.get(&place)?.cluster?;
        (served.cluster != said).then_some(said)
    }

    /// Whether a server has other data than the cluster that is served.
    pub(crate) fn has_other_data(&self, place: u64) -> bool {
        let said = self.said.get(&place);
        let served = self.served();
        served.is_some_and(|served| said.is_some_and(|said| served.has_other_data(said)))
    }

    /// Of the data of a server; empty where it has not said it.
    pub(crate) fn fingerprint(&self, place: u64) -> &str {
        self.said.get(&place).map_or("", |said| &said.fingerprint)
    }

    /// The places of servers that differ from the first in their data, where none is served
    /// yet: they have to settle whose count.
    pub(crate) fn differing(&self) -> Vec<u64> {
        let mut said = self
            .said
            .iter()
            .filter(|(_, home)| !home.fingerprint.is_empty());
        let Some((_, first)) = said.next().filter(|_| self.served().is_none()) else {
            return Vec::new();
        };
        let others = said.filter(|(_, said)| said.fingerprint != first.fingerprint);
        others.map(|(&place, _)| place).collect()
    }

    /// What is served, while a server of that cluster is listed.
    fn served(&self) -> Option<&Served> {
        let served = self.served.as_ref()?;
        let mut said = self.said.values();
        let is_listed = said.any(|said| said.cluster == Some(served.cluster));
        is_listed.then_some(served)
    }
}

impl Served {
    fn is_foreign(&self, home: &Home) -> bool {
        home.cluster.is_some_and(|cluster| cluster != self.cluster) || self.has_other_data(home)
    }

    fn has_other_data(&self, home: &Home) -> bool {
        let are_known = !home.fingerprint.is_empty() && !self.fingerprint.is_empty();
        are_known && home.fingerprint != self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ClusterId = ClusterId([1; 16]);
    const B: ClusterId = ClusterId([2; 16]);

    fn home(cluster: Option<ClusterId>, fingerprint: &str) -> Home {
        Home {
            cluster,
            fingerprint: fingerprint.to_owned(),
        }
    }

    #[test]
    fn the_first_is_served_as_long_as_it_is_listed() {
        let mut clusters = Clusters::default();
        let mut hear = |place, cluster| clusters.hear(place, home(cluster, ""));
        let foreign = |is_news| Heard::Foreign { served: A, is_news };
        assert_eq!(hear(9, None), Heard::Ours);
        assert_eq!(hear(1, Some(A)), Heard::Ours);
        assert_eq!(hear(2, Some(A)), Heard::Ours);
        assert_eq!(hear(3, Some(B)), foreign(true));
        assert_eq!(hear(3, Some(B)), foreign(false));
        let foreigners = [3, 2, 9].map(|place| clusters.foreign(place));
        assert_eq!(foreigners, [Some(B), None, None]);
        clusters.forget(1);
        assert_eq!(clusters.hear(3, home(Some(B), "")), foreign(false));
        clusters.forget(2);
        assert_eq!(clusters.hear(3, home(Some(B), "")), Heard::Ours);
        assert_eq!(
            clusters.hear(1, home(Some(A), "")),
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
        assert_eq!(clusters.hear(1, home(Some(B), "x")), Heard::Ours);
        assert_eq!(clusters.hear(1, home(Some(A), "x")), Heard::Ours);
        assert_eq!(clusters.foreign(1), None);
    }

    #[test]
    fn other_data_are_foreign_also_before_the_server_has_a_cluster() {
        let mut clusters = Clusters::default();
        let foreign = Heard::Foreign {
            served: A,
            is_news: true,
        };
        assert_eq!(clusters.hear(1, home(None, "x")), Heard::Ours);
        assert!(!clusters.has_other_data(1), "nothing is served yet");
        assert_eq!(clusters.hear(6, home(None, "y")), Heard::Ours);
        assert_eq!(clusters.differing(), [6]);
        assert_eq!(clusters.hear(2, home(Some(A), "y")), Heard::Ours);
        assert!(clusters.has_other_data(1) && !clusters.has_other_data(2));
        assert!(clusters.differing().is_empty());
        assert_eq!(clusters.hear(3, home(None, "x")), foreign);
        assert_eq!(clusters.hear(4, home(Some(A), "x")), foreign);
        // One of before 0.2 does not say.
        assert_eq!(clusters.hear(5, home(None, "")), Heard::Ours);
        clusters.forget(2);
        clusters.forget(4);
        assert_eq!(clusters.hear(3, home(Some(B), "x")), Heard::Ours);
    }
}
