//! Runs the checker on a configuration and tells what it found.

use std::{fmt, time::Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::{
    action::{Told, tell},
    events::Events,
    model::{System, comes_to_rest},
    setup::Setup,
};

/// What checking a configuration gave.
#[derive(Debug)]
pub struct Outcome {
    /// The configuration.
    pub setup: Setup,
    /// States that steps led to, each as often as it was met.
    pub states: usize,
    /// States that differ. Where a depth is set, those one step beyond it are counted,
    /// but not looked at.
    pub unique: usize,
    /// Steps from the start to the farthest state looked at: with one thread by a
    /// shortest way, with more by the way that it was met first.
    pub depth: usize,
    /// How long it took.
    pub seconds: f64,
    /// What happened in all these steps.
    pub events: String,
    /// Something that should have happened did not: the check says nothing.
    pub missing: Option<&'static str>,
    /// How a promise can be broken.
    pub failure: Option<Counterexample>,
}

/// A shortest way to break a promise.
#[derive(Debug)]
pub struct Counterexample {
    /// Which promise.
    pub property: &'static str,
    /// What was seen at the end.
    pub what: String,
    /// The steps, in words.
    pub steps: Vec<String>,
    /// The replicas after the last step, in words.
    pub end: String,
}

impl Outcome {
    /// Nothing was found, and what should have happened did.
    pub const fn holds(&self) -> bool {
        self.failure.is_none() && self.missing.is_none()
    }

    /// Every state within the configuration's bounds was looked at.
    pub const fn exhaustive(&self) -> bool {
        self.failure.is_none() && self.setup.depth.is_none()
    }
}

/// Checks every state that the configuration can come to, up to its depth, or until
/// a promise is broken.
///
/// `threads` counts only where no depth is set: only a search by one thread meets
/// each state first by a shortest way, so that a bound on the depth cuts off what
/// it says and no more.
pub fn check(setup: &Setup, threads: usize) -> Outcome {
    let start = Instant::now();
    let mut outcome = search(setup, setup.depth, threads);
    // The checker stops some states after it has found something, so what it
    // found last may be a little longer than what it found first.
    let mut depth = outcome.failure.as_ref().map(|found| found.steps.len());
    while let Some(shorter) = depth.and_then(|depth| depth.checked_sub(1)) {
        let again = search(setup, Some(shorter), 1);
        depth = again.failure.as_ref().map(|found| found.steps.len());
        if again.failure.is_some() {
            outcome.failure = again.failure;
        }
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome
}

fn search(setup: &Setup, depth: Option<usize>, threads: usize) -> Outcome {
    let mut builder = System::new(setup.clone())
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .threads(if depth.is_some() { 1 } else { threads });
    if let Some(depth) = depth {
        // The checker counts states and not steps, and looks only at those before.
        builder = builder.target_max_depth(depth + 2);
    }
    let checker = builder.spawn_bfs().join();
    let events: &Events = &checker.model().events;
    Outcome {
        setup: setup.clone(),
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker
            .max_depth()
            .saturating_sub(1)
            .min(depth.unwrap_or(usize::MAX)),
        seconds: 0.0,
        events: events.to_string(),
        missing: events.missing(setup),
        failure: shortest(&checker),
    }
}

fn shortest(checker: &impl Checker<System>) -> Option<Counterexample> {
    let (property, path) = checker
        .discoveries()
        .into_iter()
        .min_by_key(|(_, path)| path.clone().into_actions().len())?;
    let path = path.into_vec();
    let end = &path.last()?.0;
    let unread = |()| {
        checker
            .model()
            .reads(end)
            .map_err(|found| found.to_string())
    };
    let what = match &end.violation {
        Some(violation) => violation.to_string(),
        None => comes_to_rest(end).and_then(unread).err()?,
    };
    let told = |(state, action): &(_, Option<_>)| Some(Told(state, action.as_ref()?).to_string());
    Some(Counterexample {
        property,
        what,
        steps: path.iter().filter_map(told).collect(),
        end: tell(end),
    })
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setup)?;
        writeln!(
            f,
            "  {} states, {} of them different, depth {}, {:.1} s",
            self.states, self.unique, self.depth, self.seconds
        )?;
        writeln!(f, "  {}", self.events)?;
        match (&self.failure, self.missing) {
            (Some(failure), _) => write!(f, "  BROKEN {failure}"),
            (None, Some(missing)) => writeln!(f, "  INVALID {missing}"),
            (None, None) => writeln!(f, "  holds"),
        }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.property, self.what)?;
        for (number, step) in (1..).zip(&self.steps) {
            writeln!(f, "  {number:>2}. {step}")?;
        }
        f.write_str(&self.end)
    }
}
