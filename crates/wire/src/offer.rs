//! Offers. Most of what replicas send is records, so these are written short: numbers
//! follow from their place in a run, and of what an update depends on only the
//! difference to the update before is sent.

use std::collections::BTreeMap;

use backfence_gossip::{Offer, Record, ReplicaId, Time, Timestamp};
use backfence_ratings::Operation;

use crate::{
    Malformed,
    causality::{MAX_ENTRIES, all, timestamp},
    update::{numbered, read_numbered},
    v1,
};

/// Most entries of all the timestamps of one offer together. A sender counts 32 bytes
/// for each against the megabyte of a message.
const MAX_ALL_ENTRIES: usize = 1 << 20;

/// Encodes an offer of a sender whose clock shows `now`; with `pull` the receiver is asked
/// for one in return.
pub fn offer(offer: &Offer<Operation>, pull: bool, now: Time) -> v1::Offer {
    let mut named = Named::default();
    let runs = runs(&offer.records, &mut named);
    v1::Offer {
        replica_ts: Some((&offer.replica_ts).into()),
        members: offer.members.iter().map(|&id| id.into()).collect(),
        ended: offer.ended.iter().map(|&id| id.into()).collect(),
        runs,
        pull,
        more: offer.more,
        standing: v1::Standing::from(offer.standing).into(),
        named: named.list.into_iter().map(Into::into).collect(),
        horizon_us: offer.horizon.0,
        settled_us: offer.settled.0,
        now_us: now.0,
    }
}

/// Reads an offer that came from the replica `from`.
///
/// # Errors
///
/// [`Malformed`] where any part of it is.
pub fn read_offer(from: ReplicaId, offer: v1::Offer) -> Result<Offer<Operation>, Malformed> {
    let standing = offer.standing().into();
    let named: Vec<_> = all(offer.named)?;
    let mut room = MAX_ALL_ENTRIES;
    let mut records = Vec::new();
    for run in offer.runs {
        read_run(run, &named, &mut room, &mut records)?;
    }
    Ok(Offer {
        from,
        replica_ts: timestamp(offer.replica_ts)?,
        members: all(offer.members)?,
        ended: all(offer.ended)?,
        records,
        more: offer.more,
        standing,
        horizon: Time(offer.horizon_us),
        settled: Time(offer.settled_us),
    })
}

/// The replicas that are named so far.
#[derive(Default)]
struct Named {
    list: Vec<ReplicaId>,
    places: BTreeMap<ReplicaId, usize>,
}

impl Named {
    fn place(&mut self, replica: ReplicaId) -> usize {
        *self.places.entry(replica).or_insert_with(|| {
            self.list.push(replica);
            self.list.len() - 1
        })
    }
}

/// Splits records where their numbers do not follow, and where what differs in `prev`
/// would take more than the whole of it.
fn runs(records: &[Record<Operation>], named: &mut Named) -> Vec<v1::Run> {
    let mut runs: Vec<v1::Run> = Vec::new();
    let mut last: Option<&Record<Operation>> = None;
    for record in records {
        let update = record.update();
        let follows = last.filter(|last| {
            last.origin() == record.origin()
                && last.number().checked_add(1) == Some(record.number())
        });
        let change = follows
            .map(|last| &last.update().prev)
            // A fold is no difference of entries.
            .filter(|prev| prev.folds().eq(update.prev.folds()))
            .map(|prev| changes(prev, &update.prev))
            .filter(|change| change.len() <= update.prev.len());
        let continues = change.is_some();
        let change = change.unwrap_or_else(|| update.prev.iter().collect());
        let change = change.into_iter();
        let pairs = change.flat_map(|(id, more)| [named.place(id) as i64, more as i64]);
        let numbered = numbered(update, pairs.collect());
        match runs.last_mut().filter(|_| continues) {
            Some(run) => run.updates.push(numbered),
            None => runs.push(v1::Run {
                origin: named.place(record.origin()) as u32,
                first: record.number(),
                updates: vec![numbered],
            }),
        }
        last = Some(record);
    }
    runs
}

/// What to add to the entries of one timestamp to get another, modulo 2^64.
fn changes(from: &Timestamp, to: &Timestamp) -> Vec<(ReplicaId, u64)> {
    let gone = from.iter().filter(|&(id, _)| to.count(id) == 0);
    let gone = gone.map(|(id, count)| (id, 0_u64.wrapping_sub(count)));
    let other = to.iter();
    let other = other.map(|(id, count)| (id, count.wrapping_sub(from.count(id))));
    other.filter(|&(_, more)| more != 0).chain(gone).collect()
}

fn read_run(
    run: v1::Run,
    named: &[ReplicaId],
    room: &mut usize,
    records: &mut Vec<Record<Operation>>,
) -> Result<(), Malformed> {
    let origin = replica(named, run.origin.into())?;
    let mut prev = Timestamp::new();
    for (after, numbered) in run.updates.into_iter().enumerate() {
        let number = run.first.checked_add(after as u64);
        let number = number.ok_or(Malformed("the numbers of a run are too great"))?;
        let update = read_numbered(&numbered, |change| {
            apply(&mut prev, change, named)?;
            *room = room.checked_sub(prev.len()).ok_or(Malformed(
                "the timestamps of an offer have too many entries",
            ))?;
            Ok(prev.clone())
        })?;
        let record = Record::new(origin, number, update);
        records.push(record.ok_or(Malformed("a record depends on itself"))?);
    }
    Ok(())
}

fn apply(ts: &mut Timestamp, change: &[i64], named: &[ReplicaId]) -> Result<(), Malformed> {
    let (pairs, []) = change.as_chunks::<2>() else {
        return Err(Malformed("a change of a timestamp is not in pairs"));
    };
    for &[place, more] in pairs {
        let id = replica(named, place)?;
        ts.set(id, ts.count(id).wrapping_add(more as u64));
    }
    if ts.len() > MAX_ENTRIES {
        return Err(Malformed("a timestamp has too many entries"));
    }
    Ok(())
}

fn replica(named: &[ReplicaId], place: i64) -> Result<ReplicaId, Malformed> {
    let found = usize::try_from(place).ok().and_then(|at| named.get(at));
    found
        .copied()
        .ok_or(Malformed("an offer does not name a replica of its runs"))
}
