//! Which cluster this replica belongs to.
//!
//! Who starts with nothing draws a name for a cluster that it might found. Whoever it meets
//! has drawn one too, or belongs to a cluster, and the names are settled in their Hellos: the
//! lower standing takes the name of the higher, and of two equals that may still change both
//! take the lesser. A replica founds once it has met everyone who is registered, so all who
//! found together have the same name by then. Once a cluster has updates and a second
//! server, or has come back from a disk, its name stays: a server that has lost its disk, and
//! starts before the others are there, founds alone and still gives way to them.

use backfence_gossip::Replica;
use backfence_process::Environment;
use backfence_ratings::Ratings;
use backfence_wire::{ClusterId, Malformed, v1::ClusterStanding};

/// The cluster of this replica.
#[derive(Debug)]
pub(crate) struct Cluster {
    id: ClusterId,
    /// A former life has stored it.
    is_kept: bool,
    /// The disk has this one, or is about to.
    stored: Option<ClusterId>,
}

/// What somebody says of its cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Claim {
    pub(crate) id: ClusterId,
    pub(crate) standing: ClusterStanding,
    /// It is of a version that does not say it: this is what it would.
    is_guessed: bool,
}

/// Two replicas belong to two clusters, and neither can change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Apart {
    pub(crate) own: ClusterId,
    pub(crate) other: ClusterId,
}

impl Claim {
    /// Reads what a Hello or a description says.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where the name is not 16 bytes.
    pub(crate) fn read(
        cluster: &[u8],
        standing: ClusterStanding,
        fingerprint: &str,
    ) -> Result<Self, Malformed> {
        if cluster.is_empty() {
            return Ok(Self {
                id: ClusterId::of_fingerprint(fingerprint),
                standing: ClusterStanding::Established,
                is_guessed: true,
            });
        }
        Ok(Self {
            id: cluster.try_into()?,
            // A standing that is not known is above those that are.
            standing: match standing {
                ClusterStanding::Unspecified => ClusterStanding::Established,
                known => known,
            },
            is_guessed: false,
        })
    }

    /// Whether it may be of this cluster; of any where that is not known.
    pub(crate) fn is_of(&self, cluster: Option<ClusterId>) -> bool {
        let may_change = self.standing == ClusterStanding::Candidate || self.is_guessed;
        may_change || cluster.is_none_or(|cluster| cluster == self.id)
    }
}

impl Cluster {
    /// The one that a former life has stored; else that of those who are there already; else
    /// a new one.
    pub(crate) fn new(
        stored: Option<ClusterId>,
        heard: Option<ClusterId>,
        environment: &Environment,
    ) -> Self {
        let drawn = || ClusterId(environment.random_u128().to_be_bytes());
        Self {
            id: stored.or(heard).unwrap_or_else(drawn),
            is_kept: stored.is_some(),
            stored,
        }
    }

    pub(crate) const fn id(&self) -> ClusterId {
        self.id
    }

    /// How firmly this replica belongs to it.
    pub(crate) fn standing(&self, replica: &Replica<Ratings>) -> ClusterStanding {
        let own = replica.id().server;
        let has_updates = !replica.replica_ts().is_empty();
        let is_alone = || replica.members().all(|member| member.server == own);
        if self.is_kept || (has_updates && !is_alone()) {
            ClusterStanding::Established
        } else if replica.has_joined() {
            ClusterStanding::Founded
        } else {
            ClusterStanding::Candidate
        }
    }

    /// Settles with another, when this one's standing is `own`. Whether the name has changed.
    ///
    /// # Errors
    ///
    /// [`Apart`] where neither can give way.
    pub(crate) fn meet(&mut self, own: ClusterStanding, said: &Claim) -> Result<bool, Apart> {
        if self.id == said.id || own > said.standing {
            return Ok(false);
        }
        if own == said.standing {
            if own == ClusterStanding::Established && !said.is_guessed {
                let (own, other) = (self.id, said.id);
                return Err(Apart { own, other });
            }
            if own == ClusterStanding::Established || self.id < said.id {
                return Ok(false);
            }
        }
        self.id = said.id;
        Ok(true)
    }

    /// What the disk is to have, where it does not have it yet. Asked once.
    pub(crate) fn take_unwritten(&mut self, standing: ClusterStanding) -> Option<ClusterId> {
        let is_due = standing > ClusterStanding::Candidate && self.stored != Some(self.id);
        is_due.then(|| *self.stored.insert(self.id))
    }
}

/// The cluster of those who are there already: `None` where nobody has founded one.
///
/// # Errors
///
/// [`Apart`] where they belong to two, and nobody can tell which one to join.
pub(crate) fn of_all<'a>(
    claims: impl IntoIterator<Item = &'a Claim>,
) -> Result<Option<ClusterId>, Apart> {
    let founded = claims
        .into_iter()
        .filter(|claim| claim.standing > ClusterStanding::Candidate);
    let mut found: Option<&Claim> = None;
    for claim in founded {
        match found {
            Some(before) if before.id == claim.id || claim.is_guessed => {}
            Some(before) if before.is_guessed => found = Some(claim),
            Some(before) => {
                let (own, other) = (before.id, claim.id);
                return Err(Apart { own, other });
            }
            None => found = Some(claim),
        }
    }
    Ok(found.map(|claim| claim.id))
}

#[cfg(test)]
mod tests {
    use ClusterStanding::{Candidate, Established, Founded};

    use backfence_gossip::{Limits, ReplicaId, SessionId, Time, Timestamp, Update, UpdateId};
    use backfence_ratings::{MovieId, Operation, UserId};

    use super::*;
    use crate::fixture;

    const A: ClusterId = ClusterId([1; 16]);
    const B: ClusterId = ClusterId([2; 16]);

    fn claim(id: ClusterId, standing: ClusterStanding) -> Claim {
        Claim {
            id,
            standing,
            is_guessed: false,
        }
    }

    /// Both sides hear what the other said before.
    fn settle(
        one: (ClusterId, ClusterStanding),
        other: (ClusterId, ClusterStanding),
    ) -> [Option<ClusterId>; 2] {
        let hear = |own: (ClusterId, ClusterStanding), said: (ClusterId, ClusterStanding)| {
            let mut cluster = Cluster {
                id: own.0,
                is_kept: false,
                stored: None,
            };
            let met = cluster.meet(own.1, &claim(said.0, said.1));
            assert_eq!(met.is_ok_and(|changed| changed), cluster.id != own.0);
            met.ok().map(|_| cluster.id)
        };
        [hear(one, other), hear(other, one)]
    }

    #[test]
    fn two_that_meet_agree_unless_both_are_established() {
        for (one, other, agreed) in [
            ((A, Candidate), (B, Candidate), Some(A)),
            ((A, Candidate), (B, Founded), Some(B)),
            ((B, Candidate), (A, Founded), Some(A)),
            ((A, Founded), (B, Founded), Some(A)),
            ((A, Founded), (B, Established), Some(B)),
            ((A, Candidate), (B, Established), Some(B)),
            ((A, Established), (A, Established), Some(A)),
            ((A, Established), (B, Established), None),
        ] {
            assert_eq!(settle(one, other), [agreed; 2], "{one:?} {other:?}");
            assert_eq!(settle(other, one), [agreed; 2], "{other:?} {one:?}");
        }
    }

    /// Whoever founds has met all that are registered, in whatever order.
    #[test]
    fn all_who_have_met_each_other_agree() {
        let names = [7, 3, 9, 1, 5].map(|n| ClusterId([n; 16]));
        let mut meetings: Vec<_> = (0..5).flat_map(|a| (0..a).map(move |b| (a, b))).collect();
        for turn in 0..200 {
            let mut clusters = names.map(|id| Cluster {
                id,
                is_kept: false,
                stored: None,
            });
            for &(a, b) in &meetings {
                let said = [a, b].map(|at: usize| claim(clusters[at].id, Candidate));
                clusters[a].meet(Candidate, &said[1]).expect("they agree");
                clusters[b].meet(Candidate, &said[0]).expect("they agree");
            }
            let ids = clusters.map(|cluster| cluster.id);
            assert_eq!(ids, [ClusterId([1; 16]); 5], "{meetings:?}");
            let len = meetings.len();
            meetings.rotate_left(1 + turn % 3);
            meetings.swap(turn % len, (turn * 7 + 3) % len);
        }
    }

    #[test]
    fn one_of_before_goes_along_with_whom_it_meets() {
        let old = Claim::read(&[], ClusterStanding::Unspecified, "data").expect("it is guessed");
        assert_eq!(old.id, ClusterId::of_fingerprint("data"));
        let mut new = Cluster {
            id: A,
            is_kept: false,
            stored: None,
        };
        assert_eq!(new.meet(Established, &old), Ok(false));
        assert_eq!(new.meet(Candidate, &old), Ok(true));
        assert_eq!(new.id, old.id);
        assert!(Claim::read(&[1; 15], Founded, "data").is_err());
    }

    #[test]
    fn a_newcomer_joins_those_who_are_there_unless_they_are_of_two_clusters() {
        let old = Claim::read(&[], Candidate, "data").expect("it is guessed");
        for (claims, expected) in [
            (vec![], Ok(None)),
            (vec![claim(A, Candidate), claim(B, Candidate)], Ok(None)),
            (vec![claim(A, Candidate), claim(B, Founded)], Ok(Some(B))),
            (vec![claim(A, Established), claim(A, Founded)], Ok(Some(A))),
            (vec![old, claim(A, Established)], Ok(Some(A))),
            (vec![claim(A, Established), old], Ok(Some(A))),
            (vec![old], Ok(Some(old.id))),
            (
                vec![claim(A, Established), claim(B, Established)],
                Err(Apart { own: A, other: B }),
            ),
        ] {
            assert_eq!(of_all(&claims), expected, "{claims:?}");
        }
    }

    #[test]
    fn the_disk_has_a_name_once_it_is_more_than_a_candidate() {
        let environment = Environment::seeded(1);
        let mut cluster = Cluster::new(None, Some(A), &environment);
        assert_eq!(cluster.take_unwritten(Candidate), None);
        assert_eq!(cluster.take_unwritten(Founded), Some(A));
        assert_eq!(cluster.take_unwritten(Established), None);
        cluster.id = B;
        assert_eq!(cluster.take_unwritten(Founded), Some(B));
        let mut again = Cluster::new(Some(B), Some(A), &environment);
        assert_eq!((again.id(), again.take_unwritten(Established)), (B, None));
    }

    #[test]
    fn a_cluster_is_established_by_updates_and_a_second_server_or_a_disk() {
        let (environment, own) = (Environment::seeded(1), ReplicaId::new(1, 10));
        let new = Cluster::new(None, None, &environment);
        let kept = Cluster::new(Some(A), None, &environment);
        let check = |replica: &Replica<Ratings>, expected| {
            assert_eq!(new.standing(replica), expected);
            assert_eq!(kept.standing(replica), Established);
        };
        let value = fixture::replica(own, []).value().clone();
        check(&Replica::new(own, value, Limits::default()), Candidate);
        let mut replica = fixture::replica(own, []);
        check(&replica, Founded);
        let (user, movie) = (UserId(9), MovieId(1));
        let update = Update {
            id: UpdateId::new(SessionId(7), 1),
            prev: Timestamp::new(),
            time: Time(1),
            operation: Operation::Delete { user, movie },
        };
        replica.update(update, Time(1)).expect("it is taken");
        check(&replica, Founded);
        replica.meet([ReplicaId::new(2, 1)]);
        check(&replica, Established);
        check(&fixture::replica(own, [ReplicaId::new(2, 1)]), Founded);
    }
}
