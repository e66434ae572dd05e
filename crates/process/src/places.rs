//! Places that are shared out, so that nobody takes them all.

use std::{collections::HashMap, hash::Hash};

/// Places and who holds them.
///
/// Whoever holds fewer than are free gets one more. So one holder alone has half of them at
/// most, and `n` that want all they can get leave as many free as each of them has: a
/// newcomer finds one for as long as there are fewer holders than places (the dynamic
/// thresholds of Choudhury and Hahne, 1998).
#[derive(Debug)]
pub struct Places<H> {
    free: usize,
    held: HashMap<H, usize>,
}

impl<H: Hash + Eq> Places<H> {
    /// So many places, all free.
    pub fn new(all: usize) -> Self {
        Self {
            free: all,
            held: HashMap::new(),
        }
    }

    /// Takes a place. False where the holder has its share.
    pub fn take(&mut self, holder: H) -> bool {
        if self.left(&holder) == 0 {
            return false;
        }
        self.free -= 1;
        *self.held.entry(holder).or_default() += 1;
        true
    }

    /// How many more the holder gets, at most, if nobody takes one before.
    pub fn left(&self, holder: &H) -> usize {
        self.free.saturating_sub(self.of(holder))
    }

    /// Gives a place back that the holder has.
    pub fn give_back(&mut self, holder: &H) {
        let Some(held) = self.held.get_mut(holder) else {
            return;
        };
        self.free += 1;
        *held -= 1;
        if *held == 0 {
            self.held.remove(holder);
            // After a crowd the room for it is given back too.
            if self.held.len() < self.held.capacity() / 8 {
                self.held.shrink_to_fit();
            }
        }
    }

    /// How many the holder has.
    pub fn of(&self, holder: &H) -> usize {
        self.held.get(holder).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all that each of these can get, in turns.
    fn crowd(places: &mut Places<usize>, holders: usize) {
        while (0..holders).filter(|&holder| places.take(holder)).count() > 0 {}
    }

    #[test]
    fn greed_leaves_a_share_to_newcomers() {
        let check = |all: usize, greedy: usize, each: usize| {
            let mut places = Places::new(all);
            crowd(&mut places, greedy);
            for holder in 0..greedy {
                assert!(places.of(&holder).abs_diff(each) <= 1, "{all} {greedy}");
            }
            assert_eq!(places.take(greedy), all > greedy, "{all} {greedy}");
        };
        check(8192, 1, 4096);
        check(8192, 4, 1638);
        check(8192, 40, 199);
        check(8192, 4096, 1);
        check(10, 10, 1);
        check(0, 1, 0);
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let mut places = Places::new(4);
        assert!(places.take("one") && places.take("one"));
        assert!(!places.take("one"));
        assert!(places.take("other") && !places.take("other"));
        places.give_back(&"other");
        // Who has none gives none back.
        places.give_back(&"other");
        assert_eq!((places.free, places.of(&"other")), (2, 0));
        places.give_back(&"one");
        places.give_back(&"one");
        assert_eq!(places.left(&"one"), 4);
    }
}
