//! Titles to complete what somebody types.

use std::sync::{Arc, PoisonError, RwLock};

use backfence_client::{Client, Title};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Titles that are fetched, at most; those beyond are not completed.
const MOST: usize = 200_000;
const ARTICLES: [&str; 3] = ["the", "a", "an"];

/// The titles of the catalogue: empty until they have been fetched.
#[derive(Clone, Debug, Default)]
pub struct Titles(Arc<RwLock<Arc<Index>>>);

/// Titles and the ways to begin them.
#[derive(Debug, Default)]
struct Index {
    /// As they are shown.
    shown: Vec<Box<str>>,
    /// What a title may be typed as, folded and sorted, and which one it is.
    typed: Vec<(Box<str>, u32)>,
    /// Where the words of those begin, the first of each left out: which one, and the
    /// byte in it. Sorted by what follows, so that a word is found by bisection too.
    words: Vec<(u32, u32)>,
}

impl Titles {
    /// These titles.
    pub fn new(titles: impl IntoIterator<Item = String>) -> Self {
        let index = Index::new(titles.into_iter().take(MOST));
        Self(Arc::new(RwLock::new(Arc::new(index))))
    }

    /// Fetches all titles. Where that fails nothing is completed, and nothing else
    /// is harmed.
    pub(crate) async fn fetch(&self, client: &Client) {
        let mut titles: Vec<Title> = Vec::new();
        loop {
            let page = match client.titles(titles.last().map(|title| title.movie)).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::debug!(%error, "titles will not be completed");
                    return;
                }
            };
            let more = page.more && !page.items.is_empty();
            titles.extend(page.items);
            if !more || titles.len() >= MOST {
                break;
            }
        }
        // To sort many titles takes a while, which nobody else is to wait for.
        let made = tokio::task::spawn_blocking(move || {
            Arc::new(Index::new(titles.iter().map(Title::to_string)))
        });
        let Ok(index) = made.await else {
            return;
        };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = index;
    }

    /// The titles that begin so, in alphabetical order, then those with a word that
    /// does; at most `limit`. Letter case and accents do not matter, and an article
    /// may stand in front or behind.
    pub fn complete(&self, begun: &str, limit: usize) -> Vec<String> {
        let index = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let begun = fold(begun);
        let mut found = index.beginning(&begun, limit);
        if found.len() < limit && !begun.is_empty() {
            index.add_with_word(&begun, limit, &mut found);
        }
        let shown = found
            .into_iter()
            .map(|at| index.shown[at as usize].to_string());
        shown.collect()
    }
}

impl Index {
    fn new(titles: impl Iterator<Item = String>) -> Self {
        let mut index = Self::default();
        for (title, at) in titles.zip(0..) {
            let folded = fold(&title);
            if let Some(turned) = article_in_front(&folded) {
                index.typed.push((turned.into_boxed_str(), at));
            }
            index.typed.push((folded.into_boxed_str(), at));
            index.shown.push(title.into_boxed_str());
        }
        index.typed.sort_unstable();
        for ((typed, _), at) in index.typed.iter().zip(0..) {
            let blanks = typed.match_indices(' ');
            index
                .words
                .extend(blanks.map(|(blank, _)| (at, blank as u32 + 1)));
        }
        let typed = &index.typed;
        index.words.sort_by_key(|&word| rest(typed, word));
        index
    }

    fn beginning(&self, begun: &str, limit: usize) -> Vec<u32> {
        let from = self.typed.partition_point(|(typed, _)| **typed < *begun);
        let mut found = Vec::new();
        for (typed, at) in &self.typed[from..] {
            if !typed.starts_with(begun) || found.len() == limit {
                break;
            }
            if !found.contains(at) {
                found.push(*at);
            }
        }
        found
    }

    fn add_with_word(&self, begun: &str, limit: usize, found: &mut Vec<u32>) {
        let from = self
            .words
            .partition_point(|&word| rest(&self.typed, word) < begun);
        for &word in &self.words[from..] {
            if !rest(&self.typed, word).starts_with(begun) || found.len() == limit {
                break;
            }
            let at = self.typed[word.0 as usize].1;
            if !found.contains(&at) {
                found.push(at);
            }
        }
    }
}

/// What is typed from this word on.
fn rest(typed: &[(Box<str>, u32)], (at, byte): (u32, u32)) -> &str {
    &typed[at as usize].0[byte as usize..]
}

/// `matrix, the (1999)` is typed as `the matrix (1999)` too.
fn article_in_front(folded: &str) -> Option<String> {
    let (name, rest) = folded.split_once(", ")?;
    let (article, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    ARTICLES
        .contains(&article)
        .then(|| format!("{article} {name} {behind}"))
}

fn fold(text: &str) -> String {
    let bare = text.nfkd().filter(|&c| !is_combining_mark(c));
    bare.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_completed_as_people_begin_them() {
        let titles = [
            "Toy Story (1995)",
            "Toy Story 2 (1999)",
            "Matrix, The (1999)",
            "Amélie (2001)",
            "Tóth",
        ];
        let titles = Titles::new(titles.map(str::to_owned));
        let check = |begun: &str, expected: &[&str]| {
            assert_eq!(titles.complete(begun, 3), expected, "{begun:?}");
        };
        check("toy", &["Toy Story (1995)", "Toy Story 2 (1999)"]);
        check("TOY STORY (", &["Toy Story (1995)"]);
        check("the m", &["Matrix, The (1999)"]);
        check("matrix, t", &["Matrix, The (1999)"]);
        check("stor", &["Toy Story (1995)", "Toy Story 2 (1999)"]);
        check("amelie", &["Amélie (2001)"]);
        check("to", &["Tóth", "Toy Story (1995)", "Toy Story 2 (1999)"]);
        check("tory", &[]);
        assert_eq!(titles.complete("", 3).len(), 3);
        assert_eq!(Titles::default().complete("toy", 3), [""; 0]);
    }
}
