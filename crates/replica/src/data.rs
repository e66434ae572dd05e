//! Whose data count, where servers were started from different ones.
//!
//! Two such servers never gossip, and a movie's id is not the same at both. So only those of
//! one kind may serve, and each server finds out alone, from what all say of themselves,
//! whether it is one of them. A server that has a past stays: a cluster that is established,
//! or updates that nobody else need have. Of those who start together the largest group counts,
//! of groups of one size the one with the lowest server.

use std::collections::BTreeMap;

use backfence_wire::v1::{ClusterStanding, DescribeResponse};

use crate::cluster::Claim;

/// What a server says of its data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Party {
    pub(crate) server: u32,
    /// Of its data.
    pub(crate) fingerprint: String,
    /// It belongs to a cluster for good, or has updates.
    pub(crate) has_past: bool,
}

/// What a server does about those with other data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It serves, and takes no notice of them.
    Stays,
    /// It serves nobody yet.
    Waits,
    /// It ends: the servers with this one's data are the cluster.
    Leaves { other: Party },
}

/// All servers with the same data.
#[derive(Default)]
struct Group<'a> {
    /// In order of their numbers.
    members: BTreeMap<u32, &'a Party>,
}

impl Party {
    /// Reads a description; `None` where it does not say which server it is of.
    pub(crate) fn read(description: &DescribeResponse, claim: &Claim) -> Option<Self> {
        let state = description.state.as_ref()?;
        let has_updates = state
            .replica_ts
            .as_ref()
            .is_some_and(|ts| !ts.entries.is_empty());
        Some(Self {
            server: state.id.as_ref()?.server,
            fingerprint: description.fingerprint.clone(),
            has_past: has_updates || is_firm(claim.standing),
        })
    }
}

/// Whether a server of this standing belongs to its cluster for good.
pub(crate) fn is_firm(standing: ClusterStanding) -> bool {
    standing >= ClusterStanding::Guessed
}

/// What `own` server does, where these others have said what data they have, and so many more
/// that are registered have not. Before it `is_over`, others may still come.
pub(crate) fn decide(own: &Party, others: &[Party], silent: usize, is_over: bool) -> Verdict {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for party in others.iter().chain([own]) {
        let group = groups.entry(&party.fingerprint).or_default();
        group.members.insert(party.server, party);
    }
    if groups.values().any(Group::has_past) {
        groups.retain(|_, group| group.has_past());
    }
    let best = groups.iter().max_by_key(|(_, group)| group.rank());
    let Some((&best, winner)) = best else {
        return Verdict::Stays;
    };
    let Some(ours) = groups.get(own.fingerprint.as_str()) else {
        return winner.wins();
    };
    let is_alone = groups.len() == 1 && silent == 0;
    let is_most = 2 * ours.members.len() > others.len() + silent + 1;
    if is_alone || is_most {
        Verdict::Stays
    } else if !is_over || groups.len() == 1 {
        // Who is silent may be the one with other data.
        Verdict::Waits
    } else if best == own.fingerprint {
        Verdict::Stays
    } else if ours.has_past() {
        Verdict::Waits
    } else {
        winner.wins()
    }
}

impl Group<'_> {
    fn has_past(&self) -> bool {
        self.members.values().any(|party| party.has_past)
    }

    /// The greatest counts.
    fn rank(&self) -> (usize, std::cmp::Reverse<Option<u32>>) {
        let lowest = self.members.keys().next().copied();
        (self.members.len(), std::cmp::Reverse(lowest))
    }

    fn wins(&self) -> Verdict {
        match self.members.values().next() {
            Some(&other) => Verdict::Leaves {
                other: other.clone(),
            },
            None => Verdict::Stays,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written as `1x`, or `1X` for one with a past.
    fn party(text: &str) -> Party {
        let (server, data) = text.split_at(text.len() - 1);
        Party {
            server: server.parse().expect("a number"),
            fingerprint: data.to_lowercase(),
            has_past: data.to_uppercase() == data,
        }
    }

    fn check(own: &str, others: &str, silent: usize, expected: [&str; 2]) {
        let all: Vec<_> = others.split_whitespace().map(party).collect();
        let said = |is_over| match decide(&party(own), &all, silent, is_over) {
            Verdict::Stays => "stays".to_owned(),
            Verdict::Waits => "waits".to_owned(),
            Verdict::Leaves { other } => format!("leaves for {}", other.server),
        };
        let found = [false, true].map(said);
        assert_eq!(found, expected, "{own} among {others:?} and {silent}");
    }

    #[test]
    fn nobody_differs() {
        for (own, others, silent) in [("1x", "", 0), ("1x", "2x 3x", 2), ("1X", "2x 3X", 1)] {
            check(own, others, silent, ["stays"; 2]);
        }
        check("1x", "", 1, ["waits"; 2]);
        check("1X", "2x", 2, ["waits"; 2]);
    }

    #[test]
    fn of_those_who_start_together_the_largest_group_counts() {
        check("1x", "2a 3a", 0, ["waits", "leaves for 2"]);
        check("2a", "1x 3a", 0, ["stays"; 2]);
        check("2a", "1x", 0, ["waits", "leaves for 1"]);
        check("1x", "2a", 0, ["waits", "stays"]);
        // The third may have either.
        check("2a", "1x 3a", 1, ["waits", "stays"]);
        check("3a", "1x 2x", 2, ["waits", "leaves for 1"]);
        check("4a", "1x 2x 3a", 0, ["waits", "leaves for 1"]);
        check("1x", "2a 3b", 0, ["waits", "stays"]);
        check("3b", "2a 1x 4b", 0, ["waits", "stays"]);
    }

    #[test]
    fn who_has_a_past_stays_and_others_go() {
        check("1x", "2A 3A", 0, ["leaves for 2"; 2]);
        check("1x", "2A 3x 4x", 9, ["leaves for 2"; 2]);
        check("2A", "1x 3x", 0, ["stays"; 2]);
        // It may have joined nobody yet: its group counts.
        check("4a", "1x 2A 3x", 0, ["stays"; 2]);
        check("2A", "1x", 1, ["waits"; 2]);
    }

    #[test]
    fn nobody_with_a_past_ends_for_another() {
        check("1X", "2A 3A", 0, ["waits"; 2]);
        check("2A", "1X 3A", 0, ["stays"; 2]);
        check("2A", "1X", 0, ["waits"; 2]);
        check("1X", "2A", 0, ["waits", "stays"]);
        check("4a", "1X 2X 3A", 0, ["waits"; 2]);
    }

    /// However they are asked, of those without a past exactly one group stays.
    #[test]
    fn all_agree_on_who_stays() {
        for number in 0..3_u32.pow(5) {
            let data = |server: u32| ["x", "a", "b"][(number / 3_u32.pow(server - 1) % 3) as usize];
            let all: Vec<_> = (1..=5).map(|n| party(&format!("{n}{}", data(n)))).collect();
            let stays = all.iter().filter(|own| {
                let others: Vec<_> = all.iter().filter(|other| other != own).cloned().collect();
                decide(own, &others, 0, true) == Verdict::Stays
            });
            let kinds: std::collections::BTreeSet<_> =
                stays.map(|party| &party.fingerprint).collect();
            assert_eq!(kinds.len(), 1, "{number}");
        }
    }
}
