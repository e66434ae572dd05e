//! The names of clusters.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::Malformed;

/// The name of a cluster, chosen when it is founded. Replicas of two clusters refuse each
/// other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl ClusterId {
    /// The cluster of replicas before 0.2, which chose no name: it follows from the
    /// fingerprint of the data that they have loaded.
    pub fn of_fingerprint(fingerprint: &str) -> Self {
        let hash = Sha256::new_with_prefix("backfence cluster")
            .chain_update(fingerprint)
            .finalize();
        Self(*hash.first_chunk().expect("32 bytes begin with 16"))
    }
}

impl TryFrom<&[u8]> for ClusterId {
    type Error = Malformed;

    /// Reads the 16 bytes of a message.
    fn try_from(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes.try_into();
        bytes
            .map(Self)
            .map_err(|_| Malformed("a cluster id is not 16 bytes"))
    }
}

impl FromStr for ClusterId {
    type Err = Malformed;

    /// Reads 32 hex digits, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        // The number's own reader would take a sign, and fewer digits.
        let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
        let number = number.ok_or(Malformed("a cluster id is not 32 hex digits"))?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for ClusterId {
    /// 32 hex digits in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values were computed apart, with another program.
    #[test]
    fn the_cluster_of_a_fingerprint_is_the_same_everywhere() {
        for (fingerprint, expected) in [
            ("", "33c46778692be8f3e1b7237ce4c52861"),
            ("0123456789abcdef", "557a64259f37b408be4090e07d726402"),
        ] {
            let cluster = ClusterId::of_fingerprint(fingerprint);
            assert_eq!(cluster.to_string(), expected);
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for bytes in [[0; 16], [255; 16], std::array::from_fn(|at| at as u8)] {
            let cluster = ClusterId(bytes);
            assert_eq!(ClusterId::try_from(&bytes[..]), Ok(cluster));
            let text = cluster.to_string();
            assert_eq!((text.len(), &text), (32, &format!("{cluster:?}")));
            assert_eq!(text, text.to_lowercase());
            assert_eq!(text.parse(), Ok(cluster));
            assert_eq!(text.to_uppercase().parse(), Ok(cluster));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let wrong = Err(Malformed("a cluster id is not 16 bytes"));
        for length in [0, 15, 17, 32] {
            assert_eq!(ClusterId::try_from(&vec![1; length][..]), wrong);
        }
        let wrong = Err(Malformed("a cluster id is not 32 hex digits"));
        let (digits, sign) = ("0".repeat(31), "+");
        let odd = [
            String::new(),
            digits.clone(),
            digits.clone() + "00",
            digits.clone() + "g",
            sign.to_owned() + &digits,
            digits.clone() + " ",
            "é".repeat(16),
        ];
        for text in odd {
            assert_eq!(text.parse::<ClusterId>(), wrong, "{text:?}");
        }
    }
}
