//! Titles that are nearly what was asked for.

use std::collections::BTreeMap;

use strsim::jaro_winkler;

/// What nearness is measured against: the names of all movies, word by word.
///
/// Each distinct word is kept, and compared, once.
#[derive(Debug, Default)]
pub(crate) struct Near {
    vocabulary: Vec<Box<str>>,
    names: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    /// The movie's position in the catalogue.
    position: u32,
    /// The bare name.
    text: Box<str>,
    /// Indices into the vocabulary.
    words: Box<[u32]>,
}

/// Below this a word or a name is another one.
const ALIKE: f64 = 0.8;
/// Words of a query that are compared; the rest is ignored, to bound the work.
const WORDS: usize = 8;

impl Near {
    /// `names` are pairs of a movie's position and a bare name. A name that folds
    /// to nothing is near to nothing, or a blank query would find it.
    pub(crate) fn new(names: Vec<(u32, String)>) -> Self {
        let mut index = BTreeMap::new();
        let mut near = Self::default();
        for (position, text) in names.into_iter().filter(|name| !name.1.is_empty()) {
            let words = text
                .split(' ')
                .map(|word| match index.get(word) {
                    Some(&known) => known,
                    None => {
                        let new = near.vocabulary.len() as u32;
                        near.vocabulary.push(word.into());
                        index.insert(word.to_owned(), new);
                        new
                    }
                })
                .collect();
            near.names.push(Name {
                position,
                text: text.into_boxed_str(),
                words,
            });
        }
        near
    }

    /// The positions of the movies nearest to a bare name, the nearest first, at
    /// most `limit`; equally near ones by position.
    pub(crate) fn nearest(&self, query: &str, limit: usize) -> Vec<usize> {
        let words: Vec<_> = query
            .split(' ')
            .filter(|word| !word.is_empty())
            .take(WORDS)
            .map(|word| self.compare(word))
            .collect();
        let mut best = BTreeMap::new();
        for name in &self.names {
            let score = score(query, &words, name);
            if score >= ALIKE {
                let highest = best.entry(name.position).or_insert(score);
                *highest = score.max(*highest);
            }
        }
        let mut best: Vec<_> = best.into_iter().collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        best.truncate(limit);
        best.into_iter()
            .map(|(position, _)| position as usize)
            .collect()
    }

    /// The positions of the movies in one of whose names every word of a bare query
    /// begins a word. Names with fewer words come first, then by position.
    pub(crate) fn with_words(&self, query: &str) -> Vec<usize> {
        let begun: Vec<Vec<bool>> = query
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(|word| {
                self.vocabulary
                    .iter()
                    .map(|known| known.starts_with(word))
                    .collect()
            })
            .collect();
        if begun.is_empty() {
            return Vec::new();
        }
        let has = |name: &&Name| {
            let begins = |begun: &Vec<bool>| name.words.iter().any(|&word| begun[word as usize]);
            begun.iter().all(begins)
        };
        let mut best = BTreeMap::new();
        for name in self.names.iter().filter(has) {
            let words = best.entry(name.position).or_insert(usize::MAX);
            *words = name.words.len().min(*words);
        }
        let mut best: Vec<_> = best
            .into_iter()
            .map(|(position, words)| (words, position))
            .collect();
        best.sort_unstable();
        best.into_iter()
            .map(|(_, position)| position as usize)
            .collect()
    }

    /// How much the word is like each of the vocabulary.
    fn compare(&self, word: &str) -> Compared {
        Compared {
            weight: word.len() as f64,
            alike: self
                .vocabulary
                .iter()
                .map(|known| alike(word, known))
                .collect(),
        }
    }
}

/// A word of the query.
struct Compared {
    /// Longer words say more.
    weight: f64,
    /// Its likeness to each word of the vocabulary.
    alike: Vec<f64>,
}

/// From 0 to 1. Words found wherever they stand count most, so that a word too few
/// or in another place does little harm; the whole finds blanks put wrong.
fn score(query: &str, words: &[Compared], name: &Name) -> f64 {
    let weight: f64 = words.iter().map(|word| word.weight).sum();
    let found: f64 = words.iter().map(|word| word.weight * word.best(name)).sum();
    let covered = if weight > 0.0 { found / weight } else { 0.0 };
    let whole = alike(query, &name.text);
    (0.95 * covered + 0.05 * whole).max(0.95 * whole)
}

impl Compared {
    fn best(&self, name: &Name) -> f64 {
        let alike = name.words.iter().map(|&word| self.alike[word as usize]);
        alike.fold(0.0, f64::max)
    }
}

/// Jaro-Winkler where it reaches [`ALIKE`], else 0. Lengths that differ by more
/// than a factor of two are not worth the comparison.
fn alike(a: &str, b: &str) -> f64 {
    if a.len() > 2 * b.len() || b.len() > 2 * a.len() {
        return 0.0;
    }
    let similarity = jaro_winkler(a, b);
    if similarity >= ALIKE { similarity } else { 0.0 }
}
