//! How long it takes to complete a title among 90,000.
//!
//! `cargo run --release -p backfence --example completion`
//!
//! The titles are made up of words, as many a letter of which begin the same way as in
//! real ones. Prints, for each thing typed, the longest of 100 completions.

use std::time::{Duration, Instant};

use backfence_terminal::Titles;

const WORDS: [&str; 30] = [
    "Story", "Night", "House", "Love", "Last", "Dead", "Man", "Woman", "City", "Lost", "Été",
    "King", "Star", "Girl", "Blood", "Dream", "Summer", "War", "Road", "Silent", "Black", "Heart",
    "River", "Ghost", "Moon", "Paris", "Island", "Secret", "Wild", "Journey",
];
const TITLES: usize = 90_000;

fn main() {
    let titles = (0..TITLES).map(|n| {
        let word = |n: usize| WORDS[n % WORDS.len()];
        let (first, second, third) = (word(n), word(n / 30), word(n / 900));
        let year = 1920 + n / 900;
        match n % 4 {
            0 => format!("{first} {second}, The ({year})"),
            1 => format!("{first} of the {second} ({year})"),
            _ => format!("{first} {second} {third} ({year})"),
        }
    });
    let begun = Instant::now();
    let titles = Titles::new(titles);
    println!("{TITLES} titles indexed in {:?}", begun.elapsed());
    for typed in [
        "s",
        "sto",
        "the story",
        "story of the w",
        "paris",
        "ete",
        "zzz",
        "ght",
    ] {
        let mut longest = Duration::ZERO;
        let mut found = 0;
        for _ in 0..100 {
            let begun = Instant::now();
            found = titles.complete(typed, 50).len();
            longest = longest.max(begun.elapsed());
        }
        println!("{typed:<16} {found:>3} found, at most {longest:?}");
    }
}
