//! Which versions of the wire a program speaks.

use std::fmt;

use crate::v1;

/// The versions of the wire that a program speaks.
///
/// | version | since | brings |
/// |---|---|---|
/// | 1 | 0.1 | |
/// | 2 | 0.2 | the digests of first replies in a state, with SHA-256 |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    /// From this one on.
    pub oldest: u32,
    /// Up to this one.
    pub newest: u32,
}

/// Since this version a state has the digests of first replies.
pub(crate) const DIGESTS: u32 = 2;

impl Versions {
    /// What this program speaks.
    pub const OWN: Self = Self {
        oldest: 1,
        newest: 2,
    };

    /// The newest version that both speak; `None` where there is none.
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl fmt::Display for Versions {
    /// `1 to 2`, or `2` where it is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { oldest, newest } if oldest == newest => write!(f, "{newest}"),
            Self { oldest, newest } => write!(f, "{oldest} to {newest}"),
        }
    }
}

impl From<Versions> for v1::WireVersions {
    fn from(Versions { oldest, newest }: Versions) -> Self {
        Self { oldest, newest }
    }
}

impl From<Option<v1::WireVersions>> for Versions {
    /// Whoever does not say it speaks the first version only.
    fn from(said: Option<v1::WireVersions>) -> Self {
        let said = said.unwrap_or_default();
        let oldest = said.oldest.max(1);
        let newest = said.newest.max(1);
        Self { oldest, newest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_speak_the_newest_that_both_understand() {
        let versions = |oldest, newest| Versions { oldest, newest };
        for (one, other, common) in [
            ((1, 2), (1, 2), Some(2)),
            ((1, 2), (1, 1), Some(1)),
            ((1, 2), (2, 5), Some(2)),
            ((2, 2), (1, 1), None),
            ((1, 2), (3, 5), None),
        ] {
            let (one, other) = (versions(one.0, one.1), versions(other.0, other.1));
            assert_eq!(one.common(other), common, "{one:?} {other:?}");
            assert_eq!(other.common(one), common, "{other:?} {one:?}");
        }
        assert_eq!(Versions::from(None), versions(1, 1));
        let said = v1::WireVersions::from(Versions::OWN);
        assert_eq!(Versions::from(Some(said)), Versions::OWN);
    }
}
