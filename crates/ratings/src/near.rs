//! Titles that are nearly what was asked for.

use std::collections::BTreeMap;

use strsim::jaro_winkler;

use crate::{
    column::{Column, Texts},
    marks::without_marks,
    sections::{Reader, Sections, Torn},
};

/// What nearness is measured against: the names of all movies, word by word.
///
/// Each distinct word is kept, and compared, once.
#[derive(Debug)]
pub(crate) struct Near {
    vocabulary: Texts,
    /// The bare names, ...
    names: Texts,
    /// ... the positions of their movies in the catalogue, ...
    positions: Column,
    /// ... and where the words of each begin.
    starts: Column,
    /// Indices into the vocabulary.
    words: Column,
    /// Words of the name that has most.
    most: usize,
}

/// Below this a word or a name is another one.
const ALIKE: f64 = 0.8;
/// Words of a query that are compared; the rest is ignored, to bound the work.
const WORDS: usize = 8;
/// Bytes of a query that is near to anything. One sign can be written for many letters, so
/// what is short as it was typed may be long here.
const LONGEST: usize = 1024;

impl Near {
    /// `names` are pairs of a movie's position and a bare name. A name that folds
    /// to nothing is near to nothing, or a blank query would find it.
    pub(crate) fn new(mut names: Vec<(u32, String)>) -> Self {
        names.retain(|name| !name.1.is_empty());
        let (mut index, mut vocabulary) = (BTreeMap::new(), Vec::new());
        let (mut starts, mut words) = (vec![0], Vec::new());
        for (_, text) in &names {
            for word in text.split(' ') {
                let next = vocabulary.len() as u64;
                let known = *index.entry(word).or_insert(next);
                if known == next {
                    vocabulary.push(word);
                }
                words.push(known);
            }
            starts.push(words.len() as u64);
        }
        let positions: Vec<_> = names.iter().map(|name| u64::from(name.0)).collect();
        let starts = Column::of(&starts);
        Self {
            vocabulary: Texts::new(vocabulary),
            names: Texts::new(names.iter().map(|name| &*name.1)),
            positions: Column::of(&positions),
            most: most(&starts),
            starts,
            words: Column::of(&words),
        }
    }

    pub(crate) fn write(&self, sections: &mut Sections) {
        self.vocabulary.write(sections);
        self.names.write(sections);
        self.positions.write(sections);
        self.starts.write(sections);
        self.words.write(sections);
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, Torn> {
        let (vocabulary, names) = (Texts::read(reader)?, Texts::read(reader)?);
        let (positions, starts) = (Column::read(reader)?, Column::read(reader)?);
        Ok(Self {
            vocabulary,
            names,
            positions,
            most: most(&starts),
            starts,
            words: Column::read(reader)?,
        })
    }

    /// The indices of a name's words.
    fn words(&self, name: usize) -> impl Iterator<Item = usize> + '_ {
        let words = self.starts.between(name);
        words.filter_map(|at| Some(self.words.get(at)? as usize))
    }

    fn position(&self, name: usize) -> usize {
        self.positions
            .get(name)
            .map_or(usize::MAX, |at| at as usize)
    }

    /// The positions of the movies nearest to a bare name, the nearest first, at
    /// most `limit`; equally near ones by position.
    ///
    /// Here no mark matters: `カメラ` is near to `ガメラ`.
    pub(crate) fn nearest(&self, query: &str, limit: usize) -> Vec<usize> {
        let query = &*without_marks(query);
        if query.len() > LONGEST {
            return Vec::new();
        }
        let words: Vec<_> = query
            .split(' ')
            .filter(|word| !word.is_empty())
            .take(WORDS)
            .map(|word| self.compare(word))
            .collect();
        let mut best = BTreeMap::new();
        for name in 0..self.names.len() {
            let score = self.score(query, &words, name);
            if score >= ALIKE {
                let highest = best.entry(self.position(name)).or_insert(score);
                *highest = score.max(*highest);
            }
        }
        let mut best: Vec<_> = best.into_iter().collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        best.truncate(limit);
        best.into_iter().map(|(position, _)| position).collect()
    }

    /// The positions of the movies in one of whose names every word of a bare query
    /// begins a word. Names with fewer words come first, then by position.
    pub(crate) fn with_words(&self, query: &str) -> Vec<usize> {
        let asked = apart(query);
        // Two words of which neither begins the other begin no word together.
        if asked.is_empty() || asked.len() > self.most {
            return Vec::new();
        }
        let mut begun: Vec<Vec<bool>> = Vec::with_capacity(asked.len());
        for word in asked {
            let known = (0..self.vocabulary.len()).map(|at| self.vocabulary.bytes_of(at));
            let begins = known.map(|known| known.starts_with(word.as_bytes()));
            let begins: Vec<bool> = begins.collect();
            if !begins.contains(&true) {
                return Vec::new();
            }
            begun.push(begins);
        }
        let has = |&name: &usize| {
            let begins = |begun: &[bool], word| begun.get(word).is_some_and(|&begun| begun);
            let any = |begun: &Vec<bool>| self.words(name).any(|word| begins(begun, word));
            begun.iter().all(any)
        };
        let mut best = BTreeMap::new();
        for name in (0..self.names.len()).filter(has) {
            let words = best.entry(self.position(name)).or_insert(usize::MAX);
            *words = self.starts.between(name).len().min(*words);
        }
        let mut best: Vec<_> = best
            .into_iter()
            .map(|(position, words)| (words, position))
            .collect();
        best.sort_unstable();
        best.into_iter().map(|(_, position)| position).collect()
    }

    /// From 0 to 1. Words found wherever they stand count most, so that a word too few
    /// or in another place does little harm; the whole finds blanks put wrong.
    fn score(&self, query: &str, words: &[Compared], name: usize) -> f64 {
        let likeness = |word: &Compared, known| word.alike.get(known).copied().unwrap_or(0.0);
        let best = |word: &Compared| {
            let each = self.words(name).map(|known| likeness(word, known));
            each.fold(0.0, f64::max)
        };
        let weight: f64 = words.iter().map(|word| word.weight).sum();
        let found: f64 = words.iter().map(|word| word.weight * best(word)).sum();
        let covered = if weight > 0.0 { found / weight } else { 0.0 };
        let whole = alike(query, self.names.get(name));
        (0.95 * covered + 0.05 * whole).max(0.95 * whole)
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

/// The most words that a name has, where its words start.
fn most(starts: &Column) -> usize {
    let words = (0..starts.len()).map(|name| starts.between(name).len());
    words.max().unwrap_or_default()
}

/// The words of a query, without those that begin another or are there already: a name
/// that has the longer one has them too.
fn apart(query: &str) -> Vec<&str> {
    let mut words: Vec<_> = query.split(' ').filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    // What begins others stands right before the first of them.
    let is_implied = |at: usize| {
        words
            .get(at + 1)
            .is_some_and(|next| next.starts_with(words[at]))
    };
    let apart = (0..words.len()).filter(|&at| !is_implied(at));
    apart.map(|at| words[at]).collect()
}

/// A word of the query.
struct Compared {
    /// Longer words say more.
    weight: f64,
    /// Its likeness to each word of the vocabulary.
    alike: Vec<f64>,
}

/// Jaro-Winkler where it reaches [`ALIKE`], else 0, of what is asked, without marks,
/// and what is known. Lengths that differ by more than a factor of two are not worth
/// the comparison.
fn alike(a: &str, known: &str) -> f64 {
    let b = &*without_marks(known);
    if a.len() > 2 * b.len() || b.len() > 2 * a.len() {
        return 0.0;
    }
    let similarity = jaro_winkler(a, b);
    if similarity >= ALIKE { similarity } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(names: &[&str]) -> Near {
        Near::new(
            (0..)
                .zip(names.iter().map(|&name| name.to_owned()))
                .collect(),
        )
    }

    #[test]
    fn words_that_others_imply_are_not_looked_for() {
        let check = |query: &str, expected: &[&str]| assert_eq!(apart(query), expected, "{query}");
        check("", &[]);
        check("toy story", &["story", "toy"]);
        check("toy to t toy tom", &["tom", "toy"]);
        check("a a a a ab", &["ab"]);
        check("ab b a abc bc", &["abc", "bc"]);
    }

    #[test]
    fn more_words_than_any_name_has_are_not_looked_for() {
        let near = near(&["toy story", "to be or not", "night"]);
        assert_eq!(near.most, 4);
        let check = |query: &str, expected: &[usize]| {
            assert_eq!(near.with_words(query), expected, "{query}");
        };
        check("t", &[0, 1]);
        check("story s st sto toy to", &[0]);
        check("to be or not", &[1]);
        check("to be or not night", &[]);
        check("unheard of", &[]);
    }

    #[test]
    fn what_is_long_once_it_is_folded_is_near_to_nothing() {
        let name = "long ".repeat(220);
        let name = name.trim();
        let near = near(&[name, "long story"]);
        assert!(name.len() > LONGEST);
        assert!(near.nearest(name, 5).is_empty());
        assert_eq!(near.nearest("long story", 5), [1]);
    }
}
