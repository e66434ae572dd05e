//! What tells the holder of a name from who has read its entry.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::Environment;

/// 16 random bytes that only a process and its registry know. Who renews a name, moves it
/// or gives it up repeats them. They are never listed, and [`Debug`](fmt::Debug) hides them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl Secret {
    /// A new one.
    pub fn random(environment: &Environment) -> Self {
        Self(environment.random_u128().to_be_bytes())
    }

    /// As it stands in a message. Empty is none: programs before 0.2 send none.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] for bytes that are neither 0 nor 16.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, InvalidSecret> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let length = bytes.len();
        let bytes = bytes.try_into().map_err(|_| InvalidSecret { length })?;
        Ok(Some(Self(bytes)))
    }

    /// The code of a message, with this secret as its key.
    pub fn code(self, message: &[u8]) -> [u8; 32] {
        self.mac(message).finalize().into_bytes().into()
    }

    /// Whether this is the message's code. A wrong one takes as long as the right one.
    pub fn verifies(self, message: &[u8], code: &[u8]) -> bool {
        self.mac(message).verify_slice(code).is_ok()
    }

    fn mac(self, message: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::new_from_slice(&self.0).expect("any length makes a key");
        mac.chain_update(message)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").finish_non_exhaustive()
    }
}

/// Why bytes are no [`Secret`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a secret has 16 bytes, or none in programs before 0.2, but this one has {length}")]
pub struct InvalidSecret {
    /// How many bytes there are.
    pub length: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_16_bytes_or_none() {
        assert_eq!(Secret::read(&[]), Ok(None));
        assert_eq!(Secret::read(&[7; 16]), Ok(Some(Secret([7; 16]))));
        for length in [1, 15, 17, 64] {
            let refused = Secret::read(&vec![7; length]);
            assert_eq!(refused, Err(InvalidSecret { length }));
        }
    }

    #[test]
    fn a_secret_is_random_and_hidden() {
        let environment = Environment::seeded(1);
        let draw = || Secret::random(&environment);
        assert_ne!(draw(), draw());
        assert_eq!(format!("{:?}", draw()), "Secret(..)");
        let drawn = draw();
        assert_eq!(Secret::read(&drawn.to_bytes()), Ok(Some(drawn)));
    }
}
