//! Who takes part, for people: what each member holds back, and what stands against
//! retiring a server.

use std::collections::BTreeSet;

use backfence_gossip::{Replica, ReplicaId, Timestamp};
use backfence_ratings::Ratings;
use backfence_wire::{
    Reason,
    v1::{self, Membership},
};

/// Why a server was not retired. Nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NotRetired {
    #[error("server {0} cannot retire itself, and no other server answers; start one")]
    Itself(u32),
    #[error("this server was retired itself")]
    Retired,
    #[error("this server has never heard of that one")]
    Unknown { known: Vec<u32> },
    #[error(
        "server {server} gossips with server {with}, so it is running; stop it first, with SIGTERM, \
         and it hands over what only it has"
    )]
    Running { server: u32, with: u32 },
    #[error(
        "server {server} is down. {found}. Start it again if you can, or retire it with --force; \
         its number is not used again"
    )]
    Away { server: u32, found: Found },
}

impl NotRetired {
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            // For a front end that does not go on to the next.
            Self::Itself(_) | Self::Retired => Reason::RetiresItself,
            Self::Unknown { .. } => Reason::UnknownServer,
            Self::Running { .. } => Reason::StillRunning,
            Self::Away { .. } => Reason::NeedsForce,
        }
    }
}

/// What remains of the updates that a server has accepted, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// The last one that another server has: of which of its lives, and its number.
    last: Option<(ReplicaId, u64)>,
    /// How many more that life has reported to have.
    more: u64,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.last {
            None => return f.write_str("No other server has any update of it"),
            Some((_, number)) => write!(f, "Others have its updates up to {number}")?,
        }
        if self.more > 0 {
            write!(f, " (it had {} more when it last reported)", self.more)?;
        }
        f.write_str("; anything later would be lost")
    }
}

/// Whether `server` was retired before. An error where it may not be: without `force`
/// it is only looked at. `linked` are the peers with a stream to them.
pub(crate) fn may_retire(
    replica: &Replica<Ratings>,
    server: u32,
    force: bool,
    linked: &[ReplicaId],
) -> Result<bool, NotRetired> {
    let own = replica.id().server;
    let known = servers(replica);
    if server == own {
        return Err(NotRetired::Itself(own));
    }
    // Nobody would hear of it: the others take nothing from it any more.
    if replica.is_retired() {
        return Err(NotRetired::Retired);
    }
    if has_ended(replica, server) {
        return Ok(true);
    }
    if !known.contains(&server) {
        let known = known.into_iter().collect();
        return Err(NotRetired::Unknown { known });
    }
    let is_running = linked.iter().any(|peer| peer.server == server);
    match (force, is_running) {
        (true, _) => Ok(false),
        (false, true) => Err(NotRetired::Running { server, with: own }),
        (false, false) => {
            let found = found(replica, server);
            Err(NotRetired::Away { server, found })
        }
    }
}

/// Whether the server was retired for good.
pub(crate) fn has_ended(replica: &Replica<Ratings>, server: u32) -> bool {
    replica
        .members()
        .any(|member| member == ReplicaId::end(server))
}

/// Who remains and has noted that a server was retired, and who has not said so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Noted {
    pub(crate) servers: BTreeSet<u32>,
    pub(crate) missing: BTreeSet<u32>,
}

impl Noted {
    /// That `server` was retired here, as far as others have reported it. What they report
    /// they have on disk, where they have one.
    pub(crate) fn of(replica: &Replica<Ratings>, server: u32) -> Self {
        let own = replica.id().server;
        let others = replica.others().filter(|other| other.server != own);
        let (noted, not): (Vec<_>, Vec<_>) =
            others.partition(|&other| replica.has_heard_of(other, ReplicaId::end(server)));
        let numbers = |lives: Vec<ReplicaId>| lives.into_iter().map(|life| life.server);
        Self {
            servers: numbers(noted).chain([own]).collect(),
            missing: numbers(not).collect(),
        }
    }

    /// Whether it outlives the loss of one disk, or there is no other.
    pub(crate) fn is_kept(&self) -> bool {
        self.servers.len() > 1 || self.missing.is_empty()
    }
}

/// Those that were not retired.
fn servers(replica: &Replica<Ratings>) -> BTreeSet<u32> {
    let servers = replica.members().map(|member| member.server);
    servers
        .filter(|&server| !has_ended(replica, server))
        .collect()
}

fn found(replica: &Replica<Ratings>, server: u32) -> Found {
    let others = || replica.members().filter(|member| member.server != server);
    let has = |life: ReplicaId| {
        let reported = others().filter_map(|other| replica.reported(other));
        let counts = reported.map(|has| has.count(life));
        counts
            .chain([replica.replica_ts().count(life)])
            // Of what is folded away nobody lacks anything.
            .filter(|&count| count != Timestamp::ALL)
            .max()
            .unwrap_or_default()
    };
    let lives = replica.members().filter(|member| member.server == server);
    let lives: Vec<_> = lives.map(|life| (life, has(life))).collect();
    let last = lives.iter().copied().rfind(|&(_, number)| number > 0);
    let more = lives.last().map_or(0, |&(life, has)| {
        let said = replica.reported(life).map_or(0, |said| said.count(life));
        said.saturating_sub(has)
    });
    Found { last, more }
}

/// Every replica heard of, with what it holds back; the end of a server where all its
/// lives are folded away.
pub(crate) fn known(replica: &Replica<Ratings>) -> Vec<v1::Member> {
    let is_alone = |end: &ReplicaId| {
        let lives = replica.members().filter(|life| life.server == end.server);
        lives.count() == 1
    };
    let listed = replica
        .members()
        .filter(|member| !member.is_end() || is_alone(member));
    listed.map(|life| member(replica, life)).collect()
}

fn member(replica: &Replica<Ratings>, life: ReplicaId) -> v1::Member {
    let membership = if has_ended(replica, life.server) {
        Membership::Retired
    } else if replica.has_retired(life) {
        Membership::Superseded
    } else {
        Membership::Remains
    };
    let reported = match membership {
        Membership::Remains if life == replica.id() => Some(replica.replica_ts()),
        Membership::Remains => replica.reported(life),
        _ => None,
    };
    v1::Member {
        id: Some(life.into()),
        membership: membership.into(),
        reported: reported.map(Into::into),
        holds_back: replica.holds_back(life),
        status: v1::ServerStatus::Unspecified.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const OWN: ReplicaId = ReplicaId::new(1, 10);
    const OLD: ReplicaId = ReplicaId::new(3, 10);
    const GONE: ReplicaId = ReplicaId::new(3, 20);
    const OTHER: ReplicaId = ReplicaId::new(2, 10);

    fn replica(reports: &[(ReplicaId, &[(ReplicaId, u64)])]) -> Replica<Ratings> {
        let mut replica = fixture::replica(OWN, [OTHER, OLD, GONE]);
        for &(from, has) in reports {
            fixture::report(&mut replica, from, has);
        }
        replica
    }

    #[test]
    fn what_stands_against_a_retirement_is_said() {
        let check = |replica: &Replica<Ratings>, server, linked: &[_], reason, texts: &[&str]| {
            let refused = may_retire(replica, server, false, linked).expect_err("not by itself");
            for text in texts {
                assert!(refused.to_string().contains(text), "{refused}");
            }
            assert_eq!(refused.reason(), reason);
        };
        let nothing = replica(&[]);
        check(
            &nothing,
            1,
            &[],
            Reason::RetiresItself,
            &["server 1 cannot retire itself"],
        );
        check(
            &nothing,
            3,
            &[OTHER, GONE],
            Reason::StillRunning,
            &["gossips with server 1", "stop it first"],
        );
        check(
            &nothing,
            3,
            &[OTHER],
            Reason::NeedsForce,
            &[
                "server 3 is down. No other server has any update of it",
                "--force",
            ],
        );
        let before = replica(&[(OTHER, &[(OLD, 4)])]);
        check(
            &before,
            3,
            &[],
            Reason::NeedsForce,
            &["Others have its updates up to 4; anything later would be lost"],
        );
        let both = replica(&[(OTHER, &[(OLD, 4), (GONE, 2)]), (GONE, &[(GONE, 5)])]);
        check(
            &both,
            3,
            &[],
            Reason::NeedsForce,
            &["updates up to 2 (it had 3 more"],
        );

        let known = vec![1, 2, 3];
        let unknown = Err(NotRetired::Unknown { known });
        assert_eq!(may_retire(&both, 4, true, &[]), unknown);
        assert_eq!(may_retire(&both, 3, true, &[GONE]), Ok(false));
    }

    #[test]
    fn who_has_noted_a_retirement_has_said_so_and_remains() {
        let mut replica = fixture::replica(OWN, [OTHER, OLD, GONE, ReplicaId::new(4, 10)]);
        replica.retire(3);
        let check = |replica: &Replica<Ratings>, servers: &[u32], missing: &[u32], is_kept| {
            let noted = Noted::of(replica, 3);
            assert_eq!(Vec::from_iter(noted.servers.clone()), servers);
            assert_eq!(Vec::from_iter(noted.missing.clone()), missing);
            assert_eq!(noted.is_kept(), is_kept, "{noted:?}");
        };
        check(&replica, &[1], &[2, 4], false);
        // The one that was retired does not count, nor another life of this server.
        fixture::report_all(&mut replica, OTHER, &[], &[OTHER, GONE]);
        replica.meet([ReplicaId::new(1, 5)]);
        check(&replica, &[1], &[2, 4], false);
        fixture::report_all(&mut replica, OTHER, &[], &[ReplicaId::end(3)]);
        check(&replica, &[1, 2], &[4], true);
        replica.retire(2);
        check(&replica, &[1], &[4], false);
        replica.retire(4);
        check(&replica, &[1], &[], true);
    }

    #[test]
    fn who_is_out_retires_nobody() {
        let mut replica = replica(&[]);
        replica.meet([ReplicaId::end(1)]);
        let out = Err(NotRetired::Retired);
        assert_eq!(may_retire(&replica, 3, true, &[]), out);
    }

    #[test]
    fn the_retired_are_told_from_the_superseded() {
        let mut replica = replica(&[(OTHER, &[])]);
        let standing = |replica: &Replica<Ratings>| {
            let known = known(replica).into_iter();
            known.map(|member| member.membership()).collect::<Vec<_>>()
        };
        use Membership::{Remains, Retired, Superseded};
        assert_eq!(standing(&replica), [Remains, Remains, Superseded, Remains]);
        assert!(replica.retire(3));
        assert_eq!(standing(&replica), [Remains, Remains, Retired, Retired]);
        assert_eq!(may_retire(&replica, 3, false, &[]), Ok(true));
        let known = vec![1, 2];
        let unknown = Err(NotRetired::Unknown { known });
        assert_eq!(may_retire(&replica, 4, false, &[]), unknown);
    }
}
