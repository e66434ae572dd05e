//! Checks the small configurations and prints their figures.

use backfence_model::{Setup, check};

/// Each in full, and with what should happen happening.
#[test]
fn the_small_configurations_hold() {
    for setup in Setup::small() {
        let outcome = check(&setup, 2);
        print!("{outcome}");
        assert!(outcome.exhaustive() && outcome.holds(), "{outcome}");
        assert!(
            outcome.unique > 1_000,
            "too little to say anything: {outcome}"
        );
    }
}
