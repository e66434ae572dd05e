//! A call of the store, and what must be found after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backfence_gossip::{Executed, SessionId, State};
use backfence_ratings::{Base, Ratings};
use backfence_store::{Batch, Checkpoint, OpenError, Store, WriteError};

use super::{SERVER, disk::Disk};

/// One call.
#[derive(Debug)]
pub(crate) enum Call {
    /// Closes the store where it is open, and opens it.
    Open,
    Begin(u64),
    Write(Box<Batch>),
}

/// A call, and what must be found when it has returned.
#[derive(Debug)]
pub(crate) struct Step {
    pub call: Call,
    pub after: State<Ratings>,
}

#[derive(Debug)]
pub(crate) enum Failed {
    Open(OpenError),
    Write(WriteError),
}

impl Step {
    /// Makes the call.
    pub(crate) fn run(
        &self,
        disk: &Disk,
        base: &Arc<Base>,
        store: &mut Option<Store>,
    ) -> Result<(), Failed> {
        let open = "the script opens it first";
        match &self.call {
            Call::Open => {
                drop(store.take());
                let opened = Store::open_on(disk.clone(), SERVER, base.clone());
                *store = Some(opened.map_err(Failed::Open)?.0);
                Ok(())
            }
            Call::Begin(incarnation) => {
                let store = store.as_mut().expect(open);
                store.begin(*incarnation).map_err(Failed::Write)
            }
            Call::Write(batch) => {
                let store = store.as_mut().expect(open);
                store.write(batch).map_err(Failed::Write)
            }
        }
    }
}

/// What has changed between two checkpoints.
pub(crate) fn since(last: &State<Ratings>, now: &State<Ratings>) -> Checkpoint {
    let cells = |state: &State<Ratings>| {
        let cells = state.value.cells();
        cells
            .map(|(movie, user, cell)| ((user, movie), cell))
            .collect::<BTreeMap<_, _>>()
    };
    let (before, after) = (cells(last), cells(now));
    let written = after
        .iter()
        .filter(|(key, cell)| before.get(key) != Some(cell));
    let gone = before.keys().filter(|key| !after.contains_key(key));
    let changed = written.map(|(key, cell)| (key.1, key.0, Some(*cell)));
    let changed = changed.chain(gone.map(|key| (key.1, key.0, None)));
    let whole = Checkpoint::whole(now.clone());
    let known: BTreeMap<_, _> = last.executed.iter().cloned().collect();
    let left: BTreeMap<_, _> = now.executed.iter().cloned().collect();
    let forgotten = known.keys().filter(|session| !left.contains_key(session));
    let blocks = |of: &BTreeMap<SessionId, Executed>| {
        let blocks = of.iter().flat_map(|(&session, of)| {
            let numbers = of.blocks().iter().map(|block| block.number);
            numbers.map(move |number| (session, number))
        });
        blocks.collect::<BTreeSet<_>>()
    };
    let gone_blocks = &blocks(&known) - &blocks(&left);
    let gone_blocks = gone_blocks.into_iter().map(|place| (place, None));
    let more = now
        .executed
        .iter()
        .filter(|(session, of)| known.get(session) != Some(of));
    Checkpoint {
        cells: changed.collect(),
        executed: more
            .map(|(session, of)| (*session, Some(of.without_blocks())))
            .chain(forgotten.map(|session| (*session, None)))
            .collect(),
        blocks: gone_blocks.chain(whole.blocks).collect(),
        whole: None,
        ..whole
    }
}
