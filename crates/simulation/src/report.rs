//! What a run, or many, amounted to.

use std::{fmt, ops::AddAssign};

use serde::{Deserialize, Serialize};

macro_rules! report {
    ($($(#[$doc:meta])* $field:ident),*; $($(#[$some_doc:meta])* $in_some:ident,)*) => {
        /// Counts of what happened.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        pub struct Report {
            $($(#[$doc])* pub $field: usize,)*
            $($(#[$some_doc])*
            #[serde(default, skip_serializing_if = "is_none")]
            pub $in_some: usize,)*
        }

        impl AddAssign for Report {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
                $(self.$in_some += other.$in_some;)*
            }
        }

        impl fmt::Display for Report {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let always = [$((stringify!($field), self.$field)),*].into_iter();
                let in_some = [$((stringify!($in_some), self.$in_some)),*].into_iter();
                let in_some = in_some.filter(|(_, count)| !is_none(count));
                for (at, (name, count)) in always.chain(in_some).enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{count} {}", name.replace('_', " "))?;
                }
                Ok(())
            }
        }
    };
}

report! {
    /// Steps of the protocol: steps of plans, and packets that arrived at rest.
    steps,
    /// Updates that were acknowledged to a session that still waited.
    updates,
    /// Queries that were answered.
    queries,
    /// Queries that found a write.
    hits,
    /// Updates acknowledged in all.
    acknowledged,
    /// Requests that were given up.
    given_up,
    /// Updates refused for a clock that is behind, or for lack of room.
    refused,
    /// Updates refused since they came too late.
    too_late,
    /// Packets that arrived.
    delivered,
    /// Packets that were lost.
    dropped,
    /// Packets that were sent twice.
    duplicated,
    /// Requests that were sent again.
    retried,
    /// Retries that were answered from what was known.
    repeated,
    /// Records that arrived again, or after a hole.
    ignored,
    /// Queries that had to wait.
    waited,
    /// Links that were cut.
    cuts,
    /// Messages lost to a cut.
    cut_off,
    /// Replicas that died.
    crashed,
    /// Replicas that came back.
    restarted,
    /// Disks that were lost, or replaced by an older copy.
    disks_lost,
    /// Messages of a replica that was retired when they arrived.
    from_the_dead,
    /// Sessions that were told that a past was lost.
    pasts_lost,
    /// Front ends that died.
    front_ends_lost,
    /// Updates that were sent again after they had been given up.
    late,
    /// Clocks that were set.
    skewed,
    /// Whole states that were sent.
    states,
    /// Replicas that joined later.
    joined,
    /// Replicas that an operator retired.
    retired,
    /// Messages of a replica with a past that was over for the receiver.
    outdated,
    /// Updates that an old disk brought, too late to be made again.
    stranded,
    /// Lives that are folded away at the end.
    folded,
    /// Sessions of which what was executed has been forgotten.
    forgotten,
    /// Rounds that it took to come to rest.
    rounds;
    /// Updates with the id of another.
    reused,
    /// Updates that were refused for that.
    clashed,
    /// Updates with a number that leaves a gap, or fills one.
    leapt,
    /// Servers that were stopped, and started with whichever program was there.
    replaced,
    /// Lives with an older program than the one before.
    downgraded,
    /// Lives that had to begin with a newer program, since the disk needed it.
    disks_too_new,
    /// Requests that were declined by a replica whose clock is suspect.
    declined,
    /// Messages that were refused, since something in them is dated too far ahead.
    unbelieved,
    /// Origins of records that were held back.
    held,
    /// Messages of peers that are nobody's, or broken; all were refused or held.
    poisoned,
    /// Clocks that were set hours or years apart from true time.
    far,
    /// Updates of the newer kind that were accepted.
    newer,
    /// The same, although a life was old of which the replica had not heard.
    unheard,
    /// Updates of the newer kind that were refused, since some who remain are too old.
    too_new,
    /// Messages that were refused, since one of the two is too old for the other.
    too_old,
    /// Messages that came on a stream to or from a life that is over, or is not known.
    hung_up,
}

/// What only some runs count is left out of the others.
const fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Report {
    /// Requests that were answered.
    pub const fn operations(&self) -> usize {
        self.updates + self.queries
    }

    /// Things that went wrong.
    pub const fn faults(&self) -> usize {
        self.dropped
            + self.duplicated
            + self.cuts
            + self.crashed
            + self.disks_lost
            + self.front_ends_lost
            + self.skewed
            + self.poisoned
            + self.retired
    }

    /// Whether the run could have failed: there was traffic, a query had to wait,
    /// and something came twice.
    pub fn is_valid(&self) -> bool {
        let traffic = self.updates >= 10 && self.queries >= 5 && self.hits > 0;
        let bite = self.waited > 0 && self.ignored + self.repeated > 0;
        traffic && bite
    }
}
