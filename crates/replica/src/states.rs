//! The memory that the states of peers may take while they arrive, in all streams together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// In bytes. It bounds the largest state too: some 2 million ratings, or 400,000 records.
const STATES: usize = 256 << 20;

/// What of it is free.
#[derive(Debug)]
pub(crate) struct States(AtomicUsize);

impl Default for States {
    fn default() -> Self {
        Self(AtomicUsize::new(STATES))
    }
}

impl States {
    /// A state that arrives.
    pub(crate) fn arriving(self: &Arc<Self>) -> Arriving {
        Arriving {
            of: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// The memory of one state, until it is dropped.
#[derive(Debug)]
pub(crate) struct Arriving {
    of: Arc<States>,
    bytes: usize,
}

impl Arriving {
    /// Takes as much as makes it so many bytes. False where so many are not free.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let take = |free: usize| free.checked_sub(more);
        let taken = self
            .of
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.of.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_states_together_are_bounded() {
        let states = Arc::new(States::default());
        let (mut one, mut other) = (states.arriving(), states.arriving());
        assert!(one.grow_to(STATES - 10) && one.grow_to(STATES - 20));
        assert!(other.grow_to(10) && !other.grow_to(11));
        drop(one);
        assert!(other.grow_to(STATES) && !other.grow_to(STATES + 1));
        drop(other);
        assert_eq!(states.0.load(Ordering::Relaxed), STATES);
    }
}
