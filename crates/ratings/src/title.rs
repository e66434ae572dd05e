//! What counts as the same title.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::marks::without_accents;

/// The articles that stand behind a title in MovieLens data, and their kin.
const ARTICLES_BEHIND: [&str; 27] = [
    "the", "a", "an", "la", "le", "les", "l'", "l’", "il", "lo", "i", "gli", "el", "los", "las",
    "un", "une", "una", "der", "die", "das", "de", "den", "det", "en", "da", "os",
];

/// The articles that stand in front of a title there.
const ARTICLES_IN_FRONT: [&str; 3] = ["the", "a", "an"];

/// The names by which a movie is known: the title as it stands, the title without
/// what is in parentheses behind it, and each of those:
/// `City of Lost Children, The (Cité des enfants perdus, La)` has three.
pub(crate) fn names(title: &str) -> Vec<&str> {
    let mut names = vec![title];
    let mut main = title;
    while let Some((before, inside)) = split_parentheses(main) {
        // A span of years, say, is no name.
        if inside.chars().any(char::is_alphabetic) {
            names.push(inside);
        }
        main = before;
    }
    if main.len() < title.len() {
        names.push(main);
    }
    names
}

/// `Seven (a.k.a. Se7en)` is `Seven` and `Se7en`.
fn split_parentheses(title: &str) -> Option<(&str, &str)> {
    let (before, inside) = title.strip_suffix(')')?.rsplit_once('(')?;
    let before = before.trim_end();
    let mut name = inside.trim();
    for mark in ["a.k.a.", "a.k.a", "aka"] {
        match name.get(..mark.len()) {
            Some(start)
                if start.eq_ignore_ascii_case(mark) && name[mark.len()..].starts_with(' ') =>
            {
                name = name[mark.len()..].trim_start();
            }
            _ => {}
        }
    }
    (!before.is_empty()).then_some((before, name))
}

/// How a name compares, from the strictest to the loosest.
pub(crate) struct Keys {
    /// In lower case, with single blanks and the article in front.
    pub(crate) written: String,
    /// Besides without accents, punctuation and blanks.
    pub(crate) folded: String,
    /// Besides without its article, where it has one; the words apart.
    pub(crate) bare: String,
}

impl Keys {
    pub(crate) fn new(name: &str) -> Self {
        let lower = name.to_lowercase();
        let blanks: Vec<_> = lower.split_whitespace().collect();
        let lower = blanks.join(" ");
        let (article, rest) = split_article(&lower);
        let written = match article {
            "" => lower.clone(),
            _ if article.ends_with(['\'', '’']) => format!("{article}{rest}"),
            _ => format!("{article} {rest}"),
        };
        Self {
            folded: without_blanks(&words(&written)),
            bare: words(rest),
            written,
        }
    }
}

pub(crate) fn without_blanks(words: &str) -> String {
    words.replace(' ', "")
}

/// Splits a name in lower case into article, which may be empty, and the rest.
fn split_article(name: &str) -> (&str, &str) {
    if let Some((rest, article)) = name.rsplit_once(", ")
        && ARTICLES_BEHIND.contains(&article)
    {
        return (article, rest);
    }
    match name.split_once(' ') {
        Some((article, rest)) if ARTICLES_IN_FRONT.contains(&article) => (article, rest),
        _ => ("", name),
    }
}

/// The words of a text in lower case, without accents and punctuation, with one
/// blank between two. Marks that are parts of letters stay.
fn words(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for c in without_accents(text) {
        match c {
            // Within a word: `Schindler's`.
            '\'' | '’' => {}
            '&' => words.push_str(" and "),
            // Letters that Unicode does not take apart.
            'ß' => words.push_str("ss"),
            'æ' => words.push_str("ae"),
            'œ' => words.push_str("oe"),
            'þ' => words.push_str("th"),
            'ø' => words.push('o'),
            'ł' => words.push('l'),
            'đ' | 'ð' => words.push('d'),
            'ı' => words.push('i'),
            // Taking apart can bring capitals back: `™` becomes `TM`.
            c if c.is_alphanumeric() || is_combining_mark(c) => words.extend(c.to_lowercase()),
            _ => words.push(' '),
        }
    }
    let words: Vec<_> = words.split_whitespace().collect();
    // Together again, or `カ` would begin `ガ`.
    words.join(" ").nfc().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_in_parentheses_are_names() {
        for (title, expected) in [
            ("Toy Story", vec!["Toy Story"]),
            (
                "Seven (a.k.a. Se7en)",
                vec!["Seven (a.k.a. Se7en)", "Se7en", "Seven"],
            ),
            (
                "European Vacation (aka National Lampoon's)",
                vec![
                    "European Vacation (aka National Lampoon's)",
                    "National Lampoon's",
                    "European Vacation",
                ],
            ),
            (
                "Asterix in America (a.k.a Asterix Conquers) (Astérix et les Indiens)",
                vec![
                    "Asterix in America (a.k.a Asterix Conquers) (Astérix et les Indiens)",
                    "Astérix et les Indiens",
                    "Asterix Conquers",
                    "Asterix in America",
                ],
            ),
            (
                "Red Beard (Akahige)",
                vec!["Red Beard (Akahige)", "Akahige", "Red Beard"],
            ),
            ("(500) Days of Summer", vec!["(500) Days of Summer"]),
            ("You Can (Not) Redo", vec!["You Can (Not) Redo"]),
            ("(Alone)", vec!["(Alone)"]),
            ("Note (2006–2007)", vec!["Note (2006–2007)", "Note"]),
        ] {
            assert_eq!(names(title), expected);
        }
    }

    #[test]
    fn keys_go_from_strict_to_loose() {
        for (name, written, folded, bare) in [
            ("Matrix, The", "the matrix", "thematrix", "matrix"),
            ("the  MATRIX", "the matrix", "thematrix", "matrix"),
            ("Avventura, L'", "l'avventura", "lavventura", "avventura"),
            (
                "Misérables, Les",
                "les misérables",
                "lesmiserables",
                "miserables",
            ),
            ("WALL·E", "wall·e", "walle", "wall e"),
            (
                "Fast & Furious",
                "fast & furious",
                "fastandfurious",
                "fast and furious",
            ),
            (
                "Weiße Band, Das",
                "das weiße band",
                "dasweisseband",
                "weisse band",
            ),
            ("M.I.B.³", "m.i.b.³", "mib3", "m i b 3"),
            ("Lock, Stock", "lock, stock", "lockstock", "lock stock"),
            ("???", "???", "", ""),
            ("Śląsk Łódź", "śląsk łódź", "slasklodz", "slask lodz"),
            ("カメラ", "カメラ", "カメラ", "カメラ"),
            ("ガメラ", "ガメラ", "ガメラ", "ガメラ"),
        ] {
            let keys = Keys::new(name);
            assert_eq!(
                (&*keys.written, &*keys.folded, &*keys.bare),
                (written, folded, bare)
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), title in "[a-z(), '.]{0,40}") {
            for text in [text, title] {
                names(&text).into_iter().for_each(|name| drop(Keys::new(name)));
            }
        }
    }
}
