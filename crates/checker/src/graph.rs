//! The order of operations as a graph: which parts are cyclic, and short paths.

use std::collections::{HashMap, VecDeque};

use crate::trace::{Id, Role, Trace};

/// `reader` returned what `after` wrote though it had seen `before`, a write of the same
/// key: so `before` was overwritten by `after`.
#[derive(Clone, Copy)]
pub(crate) struct Conflict {
    pub(crate) after: Id,
    pub(crate) before: Id,
    pub(crate) reader: Id,
}

/// Why one operation comes before another.
#[derive(Clone, Copy)]
pub(crate) enum Why {
    SessionOrder,
    ReadsFrom,
    Overwritten { reader: Id },
}

/// One operation comes before another.
#[derive(Clone, Copy)]
pub(crate) struct Hop {
    pub(crate) from: Id,
    pub(crate) to: Id,
    pub(crate) why: Why,
}

/// Session order, reads-from and conflicts; edges are followed backwards, as an
/// operation has few direct predecessors that are known without a list.
pub(crate) struct Graph<'a> {
    trace: &'a Trace<'a>,
    /// Sorted by [`Conflict::after`].
    pub(crate) conflicts: Vec<Conflict>,
    /// Where the conflicts of each operation begin, and at last their number; empty
    /// if there are none at all.
    starts: Vec<u32>,
}

impl<'a> Graph<'a> {
    /// Causality alone.
    pub(crate) fn causal(trace: &'a Trace<'a>) -> Self {
        Self {
            trace,
            conflicts: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// Causality and these conflicts, sorted by [`Conflict::after`].
    pub(crate) fn with_conflicts(trace: &'a Trace<'a>, conflicts: Vec<Conflict>) -> Self {
        let mut starts = vec![0; trace.len() + 1];
        for conflict in &conflicts {
            starts[conflict.after.index() + 1] += 1;
        }
        for index in 0..trace.len() {
            starts[index + 1] += starts[index];
        }
        Self {
            trace,
            conflicts,
            starts,
        }
    }

    fn predecessor(&self, id: Id, nth: usize) -> Option<(Id, Why)> {
        let previous = self.trace.previous(id);
        if let (Some(previous), 0) = (previous, nth) {
            return Some((previous, Why::SessionOrder));
        }
        let nth = nth - usize::from(previous.is_some());
        match self.trace.role(id) {
            Role::ReadInitial => None,
            Role::ReadFrom(writer) => (nth == 0).then_some((writer, Why::ReadsFrom)),
            Role::Write => self.conflicts_before(id).get(nth).map(|conflict| {
                let reader = conflict.reader;
                (conflict.before, Why::Overwritten { reader })
            }),
        }
    }

    fn conflicts_before(&self, id: Id) -> &[Conflict] {
        match self.starts.get(id.index()..id.index() + 2) {
            Some(bounds) => &self.conflicts[bounds[0] as usize..bounds[1] as usize],
            None => &[],
        }
    }

    /// For each operation the number of its strongly connected component (Tarjan's
    /// algorithm, with a stack of its own, since a path can be as long as the history).
    pub(crate) fn components(&self) -> Vec<u32> {
        let mut search = Tarjan::new(self.trace.len());
        for root in self.trace.ids() {
            if search.order[root.index()] == UNSEEN {
                search.visit(self, root);
            }
        }
        search.component
    }

    /// The path to `to` with the fewest hops, where any number of steps along one
    /// session is one hop.
    ///
    /// `is_start` tells where it may begin, `admits` which operations it may use, and
    /// `budget` how many it may look at: none is found when that is used up.
    pub(crate) fn shortest_path(
        &self,
        to: Id,
        is_start: impl Fn(Id) -> bool,
        admits: impl Fn(Id) -> bool,
        budget: &mut usize,
    ) -> Option<Vec<Hop>> {
        let origin = State {
            id: to,
            in_session: false,
        };
        let mut settled: HashMap<State, Option<(State, Why)>> = HashMap::new();
        let mut queue = VecDeque::from([(origin, None)]);
        while let Some((state, next)) = queue.pop_front() {
            if settled.contains_key(&state) {
                continue;
            }
            *budget = budget.checked_sub(1)?;
            settled.insert(state, next);
            if is_start(state.id) {
                return Some(walk(&settled, state));
            }
            let predecessors = (0..).map_while(|nth| self.predecessor(state.id, nth));
            for (id, why) in predecessors.filter(|(id, _)| admits(*id)) {
                let in_session = matches!(why, Why::SessionOrder);
                let step = (State { id, in_session }, Some((state, why)));
                if in_session && state.in_session {
                    queue.push_front(step);
                } else {
                    queue.push_back(step);
                }
            }
        }
        None
    }
}

/// An operation, and whether the hop that leaves it follows its session, so that going
/// further back along the session costs nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    id: Id,
    in_session: bool,
}

fn walk(settled: &HashMap<State, Option<(State, Why)>>, start: State) -> Vec<Hop> {
    let mut hops: Vec<Hop> = Vec::new();
    let mut at = start;
    while let Some((next, why)) = settled[&at] {
        match (hops.last_mut(), why) {
            (Some(last), Why::SessionOrder) if matches!(last.why, Why::SessionOrder) => {
                last.to = next.id;
            }
            _ => hops.push(Hop {
                from: at.id,
                to: next.id,
                why,
            }),
        }
        at = next;
    }
    hops
}

const UNSEEN: u32 = u32::MAX;

struct Tarjan {
    /// When each operation was first seen.
    order: Vec<u32>,
    /// The earliest operation on the stack that each is known to lead to.
    low: Vec<u32>,
    component: Vec<u32>,
    seen: u32,
    components: u32,
    /// Seen, and not yet in a component.
    stack: Vec<Id>,
    /// The path from the root, and how many predecessors of each were followed.
    path: Vec<(Id, u32)>,
}

impl Tarjan {
    fn new(len: usize) -> Self {
        Self {
            order: vec![UNSEEN; len],
            low: vec![0; len],
            component: vec![UNSEEN; len],
            seen: 0,
            components: 0,
            stack: Vec::new(),
            path: Vec::new(),
        }
    }

    fn visit(&mut self, graph: &Graph<'_>, root: Id) {
        self.enter(root);
        while let Some((id, followed)) = self.path.last_mut() {
            let id = *id;
            let next = graph.predecessor(id, *followed as usize);
            *followed += 1;
            match next {
                Some((next, _)) if self.order[next.index()] == UNSEEN => self.enter(next),
                Some((next, _)) if self.component[next.index()] == UNSEEN => {
                    let reached = self.order[next.index()];
                    self.low[id.index()] = self.low[id.index()].min(reached);
                }
                Some(_) => {}
                None => self.leave(id),
            }
        }
    }

    fn enter(&mut self, id: Id) {
        self.order[id.index()] = self.seen;
        self.low[id.index()] = self.seen;
        self.seen += 1;
        self.stack.push(id);
        self.path.push((id, 0));
    }

    fn leave(&mut self, id: Id) {
        self.path.pop();
        let low = self.low[id.index()];
        if let Some((parent, _)) = self.path.last() {
            let parent = &mut self.low[parent.index()];
            *parent = (*parent).min(low);
        }
        if low == self.order[id.index()] {
            while let Some(member) = self.stack.pop() {
                self.component[member.index()] = self.components;
                if member == id {
                    break;
                }
            }
            self.components += 1;
        }
    }
}
