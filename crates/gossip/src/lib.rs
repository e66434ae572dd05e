//! Lazy replication (the gossip architecture) as a pure state machine
