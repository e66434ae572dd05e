//! A few seeds of the simulated network; more with `backfence-network`. About 20 s.

use backfence_torture::simulate;

#[test]
fn a_few_seeds_break_nothing() {
    let mut valid = 0;
    for seed in 3..6 {
        let simulated = simulate(seed).unwrap_or_else(|why| panic!("seed {seed}: {why:#}"));
        valid += u64::from(simulated.is_valid());
    }
    assert!(valid >= 2, "only {valid} of 3 runs could have failed");
}
