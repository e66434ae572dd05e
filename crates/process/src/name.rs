//! What programs are called at the registry.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A name such as `SERVER1` or `FRONTEND`: 1 to 64 of `A`-`Z`, `a`-`z`, `0`-`9`,
/// `_` and `-`.
///
/// Names with one stem are in order of their numbers: `SERVER9`, `SERVER10`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Name(String);

/// A text that is no [`Name`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no name: it must have 1 to 64 letters, digits, '_' or '-'")]
pub struct InvalidName(String);

impl Name {
    /// How the names of servers begin, before their number. All others are front ends.
    pub const SERVERS: &'static str = "SERVER";
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Checks a text.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when it is too short, too long, or has other characters.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
        let text = text.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(InvalidName(text))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number at its end: 10 for `SERVER10`.
    pub fn number(&self) -> Option<u32> {
        self.split().1.parse().ok()
    }

    /// The stem, and the digits at the end, which may be none.
    fn split(&self) -> (&str, &str) {
        let stem = self.0.trim_end_matches(|c: char| c.is_ascii_digit());
        self.0.split_at(stem.len())
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |name: &'_ Self| {
            let digits = name.split().1.trim_start_matches('0').to_owned();
            (digits.len(), digits)
        };
        let by_stem = self.split().0.cmp(other.split().0);
        by_stem
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        for good in ["A", "SERVER10", "front-end_2", &"x".repeat(64)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ü", "a/b", "a\n", &"x".repeat(65)] {
            assert_eq!(Name::new(bad), Err(InvalidName(bad.to_owned())));
        }
    }

    #[test]
    fn names_are_in_order_of_their_numbers() {
        let sorted = [
            "FRONTEND",
            "SERVER",
            "SERVER0",
            "SERVER01",
            "SERVER1",
            "SERVER2",
            "SERVER9",
            "SERVER10",
            "SERVER99999999999999999999",
            "SERVERS",
        ];
        let names = sorted.map(|text| Name::new(text).unwrap());
        for (i, a) in names.iter().enumerate() {
            for (j, b) in names.iter().enumerate() {
                assert_eq!(a.cmp(b), i.cmp(&j), "{a} {b}");
            }
        }
        let numbers = names.map(|name| name.number());
        assert_eq!(numbers[0], None);
        assert_eq!(numbers[7], Some(10));
        assert_eq!(numbers[8], None);
    }
}
