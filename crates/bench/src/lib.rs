//! Measures Backfence against the bare wire
