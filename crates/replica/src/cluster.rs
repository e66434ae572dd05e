//! Which cluster this replica belongs to.
//!
//! Who starts with nothing draws a name for a cluster that it might found. Whoever it meets
//! has drawn one too, or belongs to a cluster, and the names are settled in their Hellos: the
//! lower standing takes the name of the higher, and of two equals that may still change both
//! take the lesser. Who takes a name stands no lower than who gave it. A replica founds once it
//! has met everyone who is registered, so all who found together have the same name by then,
//! and nothing is exchanged on a stream whose Hello has named another.
//!
//! Once a cluster has a second server and updates, or some seconds of age, or has come back
//! from a disk, its name stays: a server that has lost its disk, and starts before the others
//! are there, founds alone and still gives way to them. Data from before 0.2 have no name; what
//! they are called follows from their fingerprint, and gives way to a name until all who remain
//! have one.

use std::cmp::{Ordering, Reverse};

use backfence_gossip::Replica;
use backfence_process::Environment;
use backfence_ratings::Ratings;
use backfence_wire::{ClusterId, Malformed, v1::ClusterStanding};

/// The cluster of this replica.
#[derive(Debug)]
pub(crate) struct Cluster {
    id: ClusterId,
    /// It stands no lower.
    least: ClusterStanding,
    /// The disk has this one, or is about to.
    stored: Option<ClusterId>,
    /// For how many seconds it has been founded with others.
    age: u32,
}

/// What somebody says of its cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Claim {
    pub(crate) id: ClusterId,
    pub(crate) standing: ClusterStanding,
}

/// What is on a replica's disk when it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Disk {
    /// Nothing, or there is none.
    #[default]
    Empty,
    /// Data from before clusters had names.
    Unnamed,
    /// Data of this cluster.
    Of(ClusterId),
}

/// Two replicas belong to two clusters, and neither can change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Strangers {
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
        standing: i32,
        fingerprint: &str,
    ) -> Result<Self, Malformed> {
        if cluster.is_empty() {
            return Ok(Self::guessed(fingerprint));
        }
        // A standing that a later version brings is a firm one here.
        let standing = ClusterStanding::try_from(standing);
        Ok(Self {
            id: cluster.try_into()?,
            standing: standing.unwrap_or(ClusterStanding::Established),
        })
    }

    /// What data from before 0.2 are called.
    fn guessed(fingerprint: &str) -> Self {
        Self {
            id: ClusterId::of_fingerprint(fingerprint),
            standing: ClusterStanding::Guessed,
        }
    }

    /// Whether it may come to be of this cluster.
    pub(crate) fn may_be_of(&self, cluster: ClusterId) -> bool {
        cluster == self.id || self.standing < ClusterStanding::Established
    }
}

impl Cluster {
    /// That of the disk; else that of those who are there already; else a new one.
    pub(crate) fn new(
        disk: Disk,
        heard: Option<Claim>,
        fingerprint: &str,
        environment: &Environment,
    ) -> Self {
        let drawn = || Claim {
            id: ClusterId(environment.random_u128().to_be_bytes()),
            standing: ClusterStanding::Candidate,
        };
        let guessed = || Claim::guessed(fingerprint);
        let (stored, claim) = match disk {
            Disk::Of(id) => {
                let standing = ClusterStanding::Established;
                (Some(id), Claim { id, standing })
            }
            Disk::Unnamed => (None, heard.filter(is_firm).unwrap_or_else(guessed)),
            Disk::Empty => (None, heard.unwrap_or_else(drawn)),
        };
        Self {
            id: claim.id,
            least: claim.standing,
            stored,
            age: 0,
        }
    }

    pub(crate) const fn id(&self) -> ClusterId {
        self.id
    }

    /// How firmly this replica belongs to it.
    pub(crate) fn standing(&self, replica: &Replica<Ratings>) -> ClusterStanding {
        if self.least == ClusterStanding::Guessed && replica.speaks() < NAMES {
            return self.least;
        }
        let has_updates = !replica.replica_ts().is_empty();
        let reached = if has_updates && !is_alone(replica) {
            ClusterStanding::Established
        } else if replica.has_joined() {
            ClusterStanding::Founded
        } else {
            ClusterStanding::Candidate
        };
        reached.max(self.least)
    }

    /// A second has passed. All who found at one moment meet within few.
    pub(crate) fn age(&mut self, replica: &Replica<Ratings>) {
        let is_young = self.standing(replica) == ClusterStanding::Founded;
        if is_young && !is_alone(replica) {
            self.age += 1;
            if self.age >= GROWN {
                self.least = ClusterStanding::Established;
            }
        }
    }

    /// Settles with another, when this one's standing is `own`. Whether the name has changed.
    ///
    /// # Errors
    ///
    /// [`Strangers`] where neither can give way.
    pub(crate) fn meet(&mut self, own: ClusterStanding, said: &Claim) -> Result<bool, Strangers> {
        let own = Claim {
            id: self.id,
            standing: own,
        };
        let takes = settle(&own, said)? != self.id;
        if takes {
            self.id = said.id;
            self.least = said.standing;
            self.age = 0;
        }
        Ok(takes)
    }

    /// What the disk is to have, where it does not have it yet. Asked once.
    pub(crate) fn take_unwritten(&mut self, standing: ClusterStanding) -> Option<ClusterId> {
        use ClusterStanding::{Established, Founded};
        let is_due = matches!(standing, Founded | Established) && self.stored != Some(self.id);
        is_due.then(|| *self.stored.insert(self.id))
    }
}

/// The cluster of two that belong to it from now on, whoever of them finds it out.
///
/// # Errors
///
/// [`Strangers`] where neither can give way.
pub(crate) fn settle(own: &Claim, said: &Claim) -> Result<ClusterId, Strangers> {
    Ok(match own.standing.cmp(&said.standing) {
        Ordering::Less => said.id,
        Ordering::Greater => own.id,
        Ordering::Equal if own.id != said.id && is_firm(own) => {
            let (own, other) = (own.id, said.id);
            return Err(Strangers { own, other });
        }
        Ordering::Equal => own.id.min(said.id),
    })
}

/// After so many seconds a cluster of several servers keeps its name, also without updates.
const GROWN: u32 = 5;

fn is_alone(replica: &Replica<Ratings>) -> bool {
    let own = replica.id().server;
    replica.members().all(|member| member.server == own)
}

/// Since this version of the wire clusters have names.
const NAMES: u32 = 2;

fn is_firm(claim: &Claim) -> bool {
    claim.standing == ClusterStanding::Established
}

/// The cluster of those who are there already: `None` where nobody has founded one.
///
/// # Errors
///
/// [`Strangers`] where they belong to two, and nobody can tell which one to join.
pub(crate) fn of_all<'a>(
    claims: impl IntoIterator<Item = &'a Claim> + Clone,
) -> Result<Option<Claim>, Strangers> {
    let founded = |claim: &&Claim| claim.standing > ClusterStanding::Candidate;
    let best = claims
        .clone()
        .into_iter()
        .filter(founded)
        .min_by_key(|claim| (Reverse(claim.standing), claim.id));
    let Some(&best) = best else {
        return Ok(None);
    };
    let mut firm = claims.into_iter().filter(|claim| is_firm(claim));
    match firm.find(|claim| claim.id != best.id) {
        Some(other) => Err(Strangers {
            own: best.id,
            other: other.id,
        }),
        None => Ok(Some(best)),
    }
}

#[cfg(test)]
#[path = "cluster/tests.rs"]
mod tests;
