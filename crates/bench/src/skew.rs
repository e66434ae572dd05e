//! How unevenly users rate, and movies are rated.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// How many ratings each user gives, one user after the other.
///
/// A share for all alike and a log-normal one on top, so that a tenth of the users
/// give about half of the ratings. The numbers add up exactly.
pub(crate) struct Activity {
    random: StdRng,
    /// What the weights of all users add up to.
    weights: f64,
    /// The sum of the weights so far.
    passed: f64,
    ratings: u64,
    given: u64,
    users_left: u64,
    movies: u64,
}

/// The part of all ratings in which all users have equal shares.
const EQUAL: f64 = 0.12;
/// Of the logarithm of the other shares.
const DEVIATION: f64 = 1.36;

impl Activity {
    pub(crate) fn new(users: u32, movies: u32, ratings: u64, seed: u64) -> Self {
        let random = || StdRng::seed_from_u64(seed ^ 0xac71);
        let mut once = random();
        Self {
            weights: (0..users).map(|_| weight(&mut once)).sum(),
            random: random(),
            passed: 0.0,
            ratings,
            given: 0,
            users_left: users.into(),
            movies: movies.into(),
        }
    }

    /// The number of the next user. Nobody rates more than all movies, and nobody
    /// leaves more to the rest than those can rate.
    pub(crate) fn next(&mut self) -> usize {
        self.passed += weight(&mut self.random);
        self.users_left = self.users_left.saturating_sub(1);
        let due = (self.passed / self.weights * self.ratings as f64).round() as u64;
        let left = self.ratings - self.given;
        let least = left.saturating_sub(self.users_left * self.movies);
        let most = left.min(self.movies);
        let count = due.saturating_sub(self.given).clamp(least, most);
        self.given += count;
        count as usize
    }
}

fn weight(random: &mut StdRng) -> f64 {
    let lognormal = (DEVIATION * normal(random)).exp();
    let mean = (DEVIATION * DEVIATION / 2.0).exp();
    EQUAL + (1.0 - EQUAL) * lognormal / mean
}

/// Box and Muller's.
fn normal(random: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

/// Draws movies by rank, from 0, the popular ones more often: the one at rank `r`
/// in proportion to `1 / (r + FLAT)²`. So the most popular of many gets a third of a
/// per cent of all ratings, and half of the movies get hardly any, as in the real sets.
pub(crate) struct Popularity {
    /// For each rank how often it keeps a draw, and which gets it else (Walker's alias
    /// method).
    keeps: Vec<(f64, u32)>,
    weights: Vec<f64>,
    /// By rank, the last draw in which it came up.
    drawn: Vec<u32>,
    draw: u32,
}

const FLAT: f64 = 350.0;

impl Popularity {
    pub(crate) fn new(movies: usize) -> Self {
        let flat = FLAT.min(movies as f64 / 10.0).max(1.0);
        let weights: Vec<f64> = (0..movies)
            .map(|rank| (rank as f64 + flat).powi(-2))
            .collect();
        Self {
            keeps: aliases(&weights),
            weights,
            drawn: vec![0; movies],
            draw: 0,
        }
    }

    /// So many different ranks, in any order. There are at least as many movies.
    pub(crate) fn draw(&mut self, count: usize, random: &mut StdRng) -> Vec<u32> {
        self.draw += 1;
        let mut ranks = Vec::with_capacity(count);
        // Who rates much of what there is hits the popular ones again and again.
        let mut tries = 16 * count;
        while ranks.len() < count && tries > 0 {
            tries -= 1;
            let rank = random.random_range(0..self.keeps.len());
            let (keeps, other) = self.keeps[rank];
            let rank = if random.random::<f64>() < keeps {
                rank
            } else {
                other as usize
            };
            if self.drawn[rank] != self.draw {
                self.drawn[rank] = self.draw;
                ranks.push(rank as u32);
            }
        }
        if ranks.len() < count {
            return self.draw_all_at_once(count, random);
        }
        ranks
    }

    /// The same by one pass over all movies: those whose exponential clocks, running
    /// in proportion to the weights, ring first.
    fn draw_all_at_once(&self, count: usize, random: &mut StdRng) -> Vec<u32> {
        let mut rings: Vec<(f64, u32)> = (0..)
            .zip(&self.weights)
            .map(|(rank, weight)| (-(1.0 - random.random::<f64>()).ln() / weight, rank))
            .collect();
        if count < rings.len() {
            rings.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0));
        }
        rings.into_iter().take(count).map(|ring| ring.1).collect()
    }
}

fn aliases(weights: &[f64]) -> Vec<(f64, u32)> {
    let mean = weights.iter().sum::<f64>() / weights.len() as f64;
    let mut keeps: Vec<(f64, u32)> = (0..).zip(weights).map(|(at, w)| (w / mean, at)).collect();
    let (mut poor, mut rich): (Vec<usize>, Vec<usize>) =
        (0..keeps.len()).partition(|&at| keeps[at].0 < 1.0);
    while let (Some(low), Some(&high)) = (poor.pop(), rich.last()) {
        keeps[low].1 = high as u32;
        keeps[high].0 -= 1.0 - keeps[low].0;
        if keeps[high].0 < 1.0 {
            rich.pop();
            poor.push(high);
        }
    }
    keeps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_distinct_and_as_many_as_asked_for() {
        let mut random = StdRng::seed_from_u64(1);
        for movies in [1, 2, 50, 3_000] {
            let mut popularity = Popularity::new(movies);
            for count in [0, 1, movies / 2, movies] {
                let mut ranks = popularity.draw(count, &mut random);
                ranks.sort_unstable();
                ranks.dedup();
                assert_eq!(ranks.len(), count, "of {movies}");
            }
        }
    }

    #[test]
    fn the_numbers_add_up() {
        for (users, movies, ratings) in [(1, 5, 5), (10, 5, 50), (10, 5, 49), (1000, 90, 20_000)] {
            let mut activity = Activity::new(users, movies, ratings, 3);
            let counts: Vec<_> = (0..users).map(|_| activity.next()).collect();
            assert_eq!(counts.iter().sum::<usize>() as u64, ratings);
            assert!(counts.iter().all(|&count| count <= movies as usize));
        }
    }
}
