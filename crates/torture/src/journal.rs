//! What sessions noted down, and what it amounts to as a history.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, ensure};
use backfence_checker::{History, HistoryBuilder, Operation};
use backfence_client::{Prepared, ReplicaId, SessionId, UpdateId};

use crate::cells::Cell;

/// What one session did, in its order.
#[derive(Debug)]
pub(crate) struct Journal {
    /// As update ids name it; `None` until it has made one.
    session: Option<SessionId>,
    seen: Vec<Noted>,
    /// Every update that was sent, by cell.
    sent: BTreeMap<Cell, Vec<Prepared>>,
    acknowledged: BTreeSet<u64>,
    /// Which update was told which number.
    numbers: Vec<(ReplicaId, u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
enum Noted {
    Wrote(Cell, u64),
    Read(Cell, Option<UpdateId>),
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            session: None,
            seen: Vec::new(),
            sent: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            numbers: Vec::new(),
        }
    }

    pub(crate) fn sent(&mut self, cell: Cell, update: Prepared) {
        self.session = Some(update.id.session);
        self.sent.entry(cell).or_default().push(update);
    }

    /// `numbers` are those that the reply told for the first time.
    pub(crate) fn acknowledged(
        &mut self,
        cell: Cell,
        update: &Prepared,
        numbers: impl Iterator<Item = (ReplicaId, u64)>,
    ) {
        let sequence = update.id.sequence;
        self.acknowledged.insert(sequence);
        let named = numbers.map(|(replica, number)| (replica, number, sequence));
        self.numbers.extend(named);
        if cell.is_recorded() {
            self.seen.push(Noted::Wrote(cell, sequence));
        }
    }

    pub(crate) fn read(&mut self, cell: Cell, update: Option<UpdateId>) {
        if cell.is_recorded() {
            self.seen.push(Noted::Read(cell, update));
        }
    }
}

/// The journals of all sessions.
#[derive(Debug)]
pub(crate) struct Journals {
    all: Vec<Journal>,
    places: HashMap<SessionId, usize>,
}

impl Journals {
    pub(crate) fn new(all: Vec<Journal>) -> Self {
        let places = all.iter().enumerate();
        let places = places.filter_map(|(place, journal)| Some((journal.session?, place)));
        Self {
            places: places.collect(),
            all,
        }
    }

    /// All that was noted, for people and for comparing two runs.
    pub(crate) fn notes(&self) -> &[Journal] {
        &self.all
    }

    /// How many updates were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        let counts = self.all.iter().map(|journal| journal.acknowledged.len());
        counts.sum()
    }

    /// Updates that were sent and of which nobody knows whether they were taken.
    pub(crate) fn unknown(&self) -> usize {
        let sent = self.all.iter().flat_map(|journal| journal.sent.values());
        sent.map(Vec::len).sum::<usize>() - self.acknowledged()
    }

    /// All that were sent to a cell, and whether they were acknowledged.
    pub(crate) fn cells(&self) -> BTreeMap<Cell, Vec<(Prepared, bool)>> {
        let mut cells = BTreeMap::<Cell, Vec<_>>::new();
        for journal in &self.all {
            for (&cell, updates) in &journal.sent {
                let known = |update: &Prepared| journal.acknowledged.contains(&update.id.sequence);
                let updates = updates.iter().map(|update| (*update, known(update)));
                cells.entry(cell).or_default().extend(updates);
            }
        }
        cells
    }

    /// No number of a replica was given to two updates.
    pub(crate) fn check_numbers(&self) -> anyhow::Result<()> {
        let mut owners = HashMap::new();
        for journal in &self.all {
            for &(replica, number, sequence) in &journal.numbers {
                let id = (journal.session, sequence);
                let other = *owners.entry((replica, number)).or_insert(id);
                ensure!(
                    other == id,
                    "number {number} of {replica} was given to {other:?} and to {id:?}"
                );
            }
        }
        Ok(())
    }

    /// As a history: an update that was not acknowledged is left out, unless it was
    /// read; then it stands in a session of its own.
    pub(crate) fn history(&self) -> anyhow::Result<History> {
        let mut builder = HistoryBuilder::default();
        let mut txn = 0;
        let mut push = |operation: fn(u64, u64, u64, u64) -> Operation, key, value, session| {
            txn += 1;
            builder.push(operation(key, value, session, txn))
        };
        let mut doubtful = BTreeSet::new();
        for (place, journal) in self.all.iter().enumerate() {
            let session = place as u64;
            for noted in &journal.seen {
                match *noted {
                    Noted::Wrote(cell, sequence) => {
                        let value = value(place, sequence);
                        push(Operation::write, cell.key(), value, session)?;
                    }
                    Noted::Read(cell, update) => {
                        let read = match update {
                            Some(update) => self.value(cell, update, &mut doubtful)?,
                            None => 0,
                        };
                        push(Operation::read, cell.key(), read, session)?;
                    }
                }
            }
        }
        let first = self.all.len() as u64;
        for (session, (key, value)) in (first..).zip(doubtful) {
            push(Operation::write, key, value, session)?;
        }
        Ok(builder.finish())
    }

    fn value(
        &self,
        cell: Cell,
        update: UpdateId,
        doubtful: &mut BTreeSet<(u64, u64)>,
    ) -> anyhow::Result<u64> {
        let place = self.places.get(&update.session).copied();
        let place =
            place.with_context(|| format!("update {update} was read, and nobody made it"))?;
        let journal = &self.all[place];
        let value = value(place, update.sequence);
        if !journal.acknowledged.contains(&update.sequence) {
            let sent = journal.sent.get(&cell);
            let sent = sent.is_some_and(|all| all.iter().any(|sent| sent.id == update));
            ensure!(
                sent,
                "update {update} was read in {cell:?}, where nobody sent it"
            );
            doubtful.insert((cell.key(), value));
        }
        Ok(value)
    }
}

/// A number for an update, which is not 0.
fn value(place: usize, sequence: u64) -> u64 {
    ((place as u64 + 1) << 32) | sequence
}

#[cfg(test)]
mod tests {
    use backfence_checker::check;
    use backfence_client::Time;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn update(session: u128, sequence: u64, cell: Cell) -> Prepared {
        Prepared {
            id: UpdateId::new(SessionId(session), sequence),
            time: Time(sequence),
            user: cell.user(),
            movie: cell.movie(),
            rating: None,
        }
    }

    #[test]
    fn only_what_was_acknowledged_or_read_is_history() {
        let cell = Cell::draw(&mut StdRng::seed_from_u64(1), 0);
        let (mut one, mut other) = (Journal::new(), Journal::new());
        for sequence in 1..=3 {
            one.sent(cell, update(7, sequence, cell));
        }
        let number = (ReplicaId::new(1, 1), 1);
        one.acknowledged(cell, &update(7, 1, cell), [number].into_iter());
        other.read(cell, Some(UpdateId::new(SessionId(7), 1)));
        other.read(cell, Some(UpdateId::new(SessionId(7), 2)));
        let journals = Journals::new(vec![one, other]);
        assert_eq!((journals.acknowledged(), journals.unknown()), (1, 2));
        let history = journals.history().expect("all was sent");
        let size = history.size();
        assert_eq!((size.operations, size.writes, size.sessions), (4, 2, 3));
        assert!(check(&history).is_ok());
        assert!(journals.check_numbers().is_ok());

        // The same read the other way round is none that causality allows.
        let mut journals = journals;
        journals.all[1].seen.reverse();
        let again = Noted::Read(cell, Some(UpdateId::new(SessionId(7), 2)));
        journals.all[1].seen.push(again);
        assert!(check(&journals.history().expect("all was sent")).is_err());
        let mut thief = Journal::new();
        thief.acknowledged(cell, &update(9, 1, cell), [number].into_iter());
        thief.read(cell, Some(UpdateId::new(SessionId(7), 9)));
        journals.all.push(thief);
        assert!(journals.check_numbers().is_err());
        let found = journals.history().expect_err("nobody sent it").to_string();
        assert!(found.contains("where nobody sent it"), "{found}");
    }
}
