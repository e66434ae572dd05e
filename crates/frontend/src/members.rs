//! What several replicas say of who takes part, as one list.

use std::collections::BTreeMap;

use backfence_gossip::{ReplicaId, Timestamp};
use backfence_wire::{
    Malformed, timestamp,
    v1::{self, DescribeResponse, Membership, ServerStatus},
};

/// Every replica that a server which answers has heard of.
#[derive(Debug, Default)]
pub(crate) struct Members(BTreeMap<ReplicaId, Member>);

/// The merge of what several say.
#[derive(Debug)]
struct Member {
    membership: Membership,
    reported: Option<Timestamp>,
    holds_back: u64,
    status: ServerStatus,
}

impl Members {
    /// Takes in what one replica says.
    ///
    /// # Errors
    ///
    /// [`Malformed`], when it is of another version.
    pub(crate) fn add(&mut self, description: DescribeResponse) -> Result<(), Malformed> {
        let status = description.status();
        for said in description.known {
            let membership = said.membership();
            let id = said.id.ok_or(Malformed("a member without an id"))?;
            let member = self.member(id.try_into()?);
            // A replica learns of a retirement, and never forgets it.
            member.membership = member.membership.max(membership);
            member.holds_back = member.holds_back.max(said.holds_back);
            if said.reported.is_some() {
                let reported = timestamp(said.reported)?;
                member.reported.get_or_insert_default().merge(&reported);
            }
        }
        if let Some(id) = description.state.and_then(|state| state.id) {
            self.member(id.try_into()?).status = status;
        }
        Ok(())
    }

    /// The servers that take part, with what they have reported, retired ones not.
    pub(crate) fn remaining(&self) -> BTreeMap<u32, Option<&Timestamp>> {
        let remains = |(id, member): &(&ReplicaId, &Member)| {
            member.membership == Membership::Remains && !id.is_end()
        };
        let remaining = self.0.iter().filter(remains);
        remaining
            .map(|(id, member)| (id.server, member.reported.as_ref()))
            .collect()
    }

    fn member(&mut self, id: ReplicaId) -> &mut Member {
        self.0.entry(id).or_insert_with(|| Member {
            membership: Membership::Remains,
            reported: None,
            holds_back: 0,
            status: ServerStatus::Unreachable,
        })
    }
}

impl From<Members> for Vec<v1::Member> {
    fn from(members: Members) -> Self {
        let wire = |(id, member): (ReplicaId, Member)| {
            let remains = member.membership == Membership::Remains;
            v1::Member {
                id: Some(id.into()),
                membership: member.membership.into(),
                reported: member.reported.filter(|_| remains).as_ref().map(Into::into),
                // Who has not heard of the retirement yet still waits for it.
                holds_back: member.holds_back,
                status: member.status.into(),
            }
        };
        members.0.into_iter().map(wire).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(server: u32, membership: Membership, has: u64, holds_back: u64) -> v1::Member {
        let has: Timestamp = [(ReplicaId::new(1, 1), has)].into_iter().collect();
        v1::Member {
            id: Some(ReplicaId::new(server, 1).into()),
            membership: membership.into(),
            reported: Some((&has).into()),
            holds_back,
            status: ServerStatus::Unspecified.into(),
        }
    }

    fn description(server: u32, known: Vec<v1::Member>) -> DescribeResponse {
        DescribeResponse {
            state: Some(v1::ReplicaState {
                id: Some(ReplicaId::new(server, 1).into()),
                ..v1::ReplicaState::default()
            }),
            status: ServerStatus::Online.into(),
            known,
            ..DescribeResponse::default()
        }
    }

    #[test]
    fn what_several_say_is_merged() {
        use Membership::{Remains, Retired};
        let mut members = Members::default();
        let one = [
            said(1, Remains, 9, 0),
            said(2, Remains, 5, 4),
            said(3, Remains, 7, 2),
        ];
        let other = [
            said(1, Remains, 7, 1),
            said(2, Remains, 6, 0),
            said(3, Retired, 7, 0),
        ];
        members.add(description(1, one.into())).unwrap();
        members.add(description(2, other.into())).unwrap();
        let remaining = members.remaining();
        let has = |server| Some(remaining.get(&server)?.map_or(0, |has| has.height().1));
        assert_eq!([1, 2, 3].map(has), [Some(9), Some(6), None]);
        let all: Vec<v1::Member> = members.into();
        let found: Vec<_> = all
            .into_iter()
            .map(|member| {
                let (membership, status) = (member.membership(), member.status());
                let reported = timestamp(member.reported).unwrap();
                (membership, reported.height().1, member.holds_back, status)
            })
            .collect();
        assert_eq!(
            found,
            [
                (Remains, 9, 1, ServerStatus::Online),
                (Remains, 6, 4, ServerStatus::Online),
                (Retired, 0, 2, ServerStatus::Unreachable),
            ]
        );
        let nobody = v1::Member::default();
        let malformed = description(1, vec![nobody]);
        assert!(Members::default().add(malformed).is_err());
    }
}
