//! The Backfence client library: a session, fail-over, exactly-once updates
