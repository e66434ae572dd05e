//! Starts a real Backfence cluster on free ports, for tests and measurements
