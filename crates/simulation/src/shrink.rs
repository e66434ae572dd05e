//! Making a plan that breaks a promise shorter.

use crate::{plan::Plan, run::run};

/// Runs that shrinking may take; then what is shortest so far is good enough.
const RUNS: usize = 3_000;

/// A plan that breaks the same promise with as few steps as can be found: stretches
/// of steps are left out, halves first, then smaller and smaller ones.
pub fn shrink(plan: &Plan) -> Plan {
    let broken = |plan: &Plan| run(plan).err().map(|violation| violation.invariant);
    let promise = broken(plan);
    let mut shortest = plan.clone();
    let mut stretch = shortest.steps.len();
    let mut runs = 0;
    while promise.is_some() && stretch > 0 && runs < RUNS {
        let mut from = 0;
        let before = shortest.steps.len();
        while from < shortest.steps.len() && runs < RUNS {
            let to = (from + stretch).min(shortest.steps.len());
            let mut shorter = shortest.clone();
            shorter.steps.drain(from..to);
            runs += 1;
            if broken(&shorter) == promise {
                shortest = shorter;
            } else {
                from = to;
            }
        }
        if stretch > 1 || shortest.steps.len() == before {
            stretch /= 2;
        }
    }
    shortest
}
