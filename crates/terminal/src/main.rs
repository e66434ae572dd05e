//! The Backfence terminal client.
fn main() {}
