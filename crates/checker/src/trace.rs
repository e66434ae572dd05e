//! A history laid out for the check: session by session.

use std::ops::Range;

use crate::history::History;
use crate::operation::Kind;
use crate::violation::{Event, Point};

/// An operation, numbered session by session, so that an operation's predecessor
/// in its session is the number before, and "the first n of a session" is a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) u32);

impl Id {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What an operation is to the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Write,
    /// Reads the initial value.
    ReadInitial,
    ReadFrom(Id),
}

/// The writes of one key by one session, as a range of [`Trace::versions`].
pub(crate) struct Versions {
    pub(crate) session: usize,
    range: Range<u32>,
}

pub(crate) struct Trace<'a> {
    pub(crate) history: &'a History,
    /// The place of each operation in the history.
    places: Vec<u32>,
    roles: Vec<Role>,
    /// Where each session begins, and at last the number of operations.
    starts: Vec<u32>,
    /// All writes, by key, then in order of ids.
    versions: Vec<Id>,
    /// One for each key and session that writes it, by key.
    segments: Vec<Versions>,
    /// Where the segments of each key begin, and at last their number.
    key_segments: Vec<u32>,
}

impl<'a> Trace<'a> {
    /// # Errors
    /// The place in the history of the first read of a value that nobody wrote.
    pub(crate) fn new(history: &'a History) -> Result<Self, usize> {
        let size = history.size();
        let (starts, ids) = group(size.sessions, history.sessions.iter().copied());
        let mut places = vec![0; history.len()];
        let mut roles = vec![Role::Write; history.len()];
        for (place, id) in ids.iter().map(|&id| id as usize).enumerate() {
            places[id] = place as u32;
            if history.kind(place) == Kind::Read {
                roles[id] = match history.writer(place)? {
                    Some(writer) => Role::ReadFrom(Id(ids[writer as usize])),
                    None => Role::ReadInitial,
                };
            }
        }
        let mut trace = Self {
            history,
            places,
            roles,
            starts,
            versions: Vec::new(),
            segments: Vec::new(),
            key_segments: Vec::new(),
        };
        trace.lay_out_versions(size.keys);
        Ok(trace)
    }

    fn lay_out_versions(&mut self, keys: usize) {
        let writes: Vec<Id> = self
            .ids()
            .filter(|&id| self.role(id) == Role::Write)
            .collect();
        let (starts, slots) = group(keys, writes.iter().map(|&id| self.key(id)));
        let mut versions = vec![Id(0); writes.len()];
        for (write, slot) in writes.iter().zip(slots) {
            versions[slot as usize] = *write;
        }
        let mut segments = Vec::new();
        for bounds in starts.windows(2) {
            self.key_segments.push(segments.len() as u32);
            let mut at = bounds[0];
            let of_key = &versions[bounds[0] as usize..bounds[1] as usize];
            for run in of_key.chunk_by(|a, b| self.session(*a) == self.session(*b)) {
                let range = at..at + run.len() as u32;
                at = range.end;
                let session = self.session(run[0]);
                segments.push(Versions { session, range });
            }
        }
        self.key_segments.push(segments.len() as u32);
        self.segments = segments;
        self.versions = versions;
    }

    pub(crate) fn len(&self) -> usize {
        self.roles.len()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.len() as u32).map(Id)
    }

    pub(crate) fn ids_of(&self, session: usize) -> Range<u32> {
        self.starts[session]..self.starts[session + 1]
    }

    pub(crate) fn role(&self, id: Id) -> Role {
        self.roles[id.index()]
    }

    /// The index of the session that the operation belongs to.
    pub(crate) fn session(&self, id: Id) -> usize {
        self.history.sessions[self.place(id)] as usize
    }

    /// The index of the key that the operation accesses.
    pub(crate) fn key(&self, id: Id) -> u32 {
        self.history.keys[self.place(id)]
    }

    /// Where the operation stood in the input.
    pub(crate) fn place(&self, id: Id) -> usize {
        self.places[id.index()] as usize
    }

    /// The operation before it in its session.
    pub(crate) fn previous(&self, id: Id) -> Option<Id> {
        let first = self.ids_of(self.session(id)).start;
        (id.0 > first).then(|| Id(id.0 - 1))
    }

    /// The writes of a key, by session.
    pub(crate) fn versions_of(&self, key: u32) -> &[Versions] {
        let at = |key: u32| self.key_segments[key as usize] as usize;
        &self.segments[at(key)..at(key + 1)]
    }

    /// The last of these writes whose id is below `end`.
    pub(crate) fn last_below(&self, versions: &Versions, end: u32) -> Option<Id> {
        let Range { start, end: stop } = versions.range;
        let writes = &self.versions[start as usize..stop as usize];
        let below = writes.partition_point(|write| write.0 < end);
        below.checked_sub(1).map(|last| writes[last])
    }

    pub(crate) fn event(&self, id: Id) -> Event {
        Event::at(self.history, self.place(id))
    }

    pub(crate) fn point(&self, id: Id) -> Point {
        Point::Event(self.event(id))
    }
}

/// Groups items by group number, keeping their order: where each group begins (and at
/// last the number of items), and the slot of each item.
fn group(groups: usize, items: impl Iterator<Item = u32> + Clone) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0; groups + 1];
    for item in items.clone() {
        starts[item as usize + 1] += 1;
    }
    for group in 0..groups {
        starts[group + 1] += starts[group];
    }
    let mut next = starts.clone();
    let slots = items
        .map(|item| {
            let slot = next[item as usize];
            next[item as usize] += 1;
            slot
        })
        .collect();
    (starts, slots)
}
