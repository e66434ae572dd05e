//! The key with which the front ends of one cluster seal session tokens.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use backfence_gossip::Session;
use backfence_wire::{Malformed, Seal, sealed, unsealed};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;

/// What is sealed, so that a code for one thing is none for another.
const TOKEN: &[u8] = b"backfence session token";
const NAME: &[u8] = b"backfence cluster key";

/// A secret that all front ends of a cluster share, and nobody else knows.
///
/// A token that one of them gives out carries a code that only they can make. A front
/// end that has a key takes no other token: so what a token says that its session has
/// seen has been seen, and no update can be made to wait for what never was.
#[derive(Clone)]
pub struct ClusterKey {
    mac: Hmac<Sha256>,
    name: KeyName,
}

/// Tells keys apart and gives nothing of them away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeyName([u8; 8]);

/// Why a file gives no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It is not there, or cannot be read.
    #[error(
        "cannot read the cluster key {}: {why}; make one with `head -c 32 /dev/urandom`, in a file \
         that only its owner can read, and give it to every front end", .path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// A key of so few bytes can be guessed, or so many are no key.
    #[error(
        "the cluster key {} has {bytes} bytes, and one has {} to {}; make one with `head -c 32 \
         /dev/urandom`, and give it to every front end",
        .path.display(), ClusterKey::SHORTEST, ClusterKey::LONGEST
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length, as far as it was read.
        bytes: usize,
    },
}

/// Why a token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum NotOurs {
    #[error("{0}")]
    Malformed(Malformed),
    #[error("it is not protected, as those of front ends without a cluster key are not")]
    Unsealed,
    #[error("its code is wrong: it was altered, or made up")]
    Forged,
    #[error(
        "it was given out under cluster key {theirs}, and this front end has {ours}; all front ends \
         of a cluster need the same --cluster-key"
    )]
    OtherKey { theirs: KeyName, ours: KeyName },
}

impl ClusterKey {
    /// Fewest bytes of a key.
    pub const SHORTEST: usize = 32;
    /// Most bytes of a key.
    pub const LONGEST: usize = 1024;

    /// The key in a file: all of its bytes, which should be random. Where others than its
    /// owner can read it, the log says so.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |why| KeyError::Unreadable {
            path: path.to_owned(),
            why,
        };
        let file = File::open(path).map_err(unreadable)?;
        warn_if_public(path, &file);
        let mut bytes = Vec::new();
        let most = Self::LONGEST as u64 + 1;
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        Self::new(&bytes).ok_or_else(|| KeyError::Length {
            path: path.to_owned(),
            bytes: bytes.len(),
        })
    }

    /// The key of these bytes; `None` where they are too few or too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let is_key = (Self::SHORTEST..=Self::LONGEST).contains(&bytes.len());
        // Any length makes a key of the code.
        let mac = is_key.then(|| Hmac::new_from_slice(bytes).ok())??;
        let mut name = [0; 8];
        let code = mac.clone().chain_update(NAME).finalize().into_bytes();
        name.copy_from_slice(&code[..8]);
        Some(Self {
            mac,
            name: KeyName(name),
        })
    }

    pub(crate) fn name(&self) -> KeyName {
        self.name
    }

    /// The session as a token that every front end with this key takes.
    pub(crate) fn seal(&self, session: &Session) -> Vec<u8> {
        let token = backfence_wire::token(session);
        let mac = self.code(&token).finalize().into_bytes().into();
        let key = self.name.0;
        sealed(token, &Seal { key, mac })
    }

    /// The session of a token that a front end with this key made.
    pub(crate) fn unseal(&self, token: &[u8]) -> Result<Session, NotOurs> {
        let session = backfence_wire::session(token).map_err(NotOurs::Malformed)?;
        let (covered, seal) = unsealed(token).ok_or(NotOurs::Unsealed)?;
        let theirs = KeyName(seal.key);
        if theirs != self.name {
            let ours = self.name;
            return Err(NotOurs::OtherKey { theirs, ours });
        }
        // It takes as long for a wrong code as for the right one.
        let verified = self.code(covered).verify_slice(&seal.mac);
        verified.map_err(|_| NotOurs::Forged)?;
        Ok(session)
    }

    fn code(&self, token: &[u8]) -> Hmac<Sha256> {
        self.mac.clone().chain_update(TOKEN).chain_update(token)
    }
}

impl fmt::Debug for ClusterKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterKey({})", self.name)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(unix)]
fn warn_if_public(path: &Path, file: &File) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map(|data| data.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        let path = path.display();
        tracing::warn!("others can read the cluster key {path}; chmod 600 {path}");
    }
}

#[cfg(not(unix))]
fn warn_if_public(_: &Path, _: &File) {}

#[cfg(test)]
mod tests {
    use backfence_gossip::{ReplicaId, SessionId, Time};

    use super::*;

    fn key(byte: u8) -> ClusterKey {
        ClusterKey::new(&[byte; ClusterKey::SHORTEST]).expect("it is long enough")
    }

    fn session(count: u64) -> Session {
        Session {
            prev: [(ReplicaId::new(1, 10), count)].into_iter().collect(),
            clock: Time(count),
            ..Session::new(SessionId(7))
        }
    }

    #[test]
    fn a_sealed_token_is_taken_by_whoever_has_the_key() {
        let token = key(1).seal(&session(3));
        assert_eq!(key(1).unseal(&token), Ok(session(3)));
        let (theirs, ours) = (key(1).name(), key(2).name());
        let other = NotOurs::OtherKey { theirs, ours };
        assert_eq!(key(2).unseal(&token), Err(other));
    }

    #[test]
    fn no_other_token_is_taken() {
        let token = key(1).seal(&session(3));
        for length in 0..token.len() {
            assert!(key(1).unseal(&token[..length]).is_err(), "{length} bytes");
        }
        for bit in 0..8 * token.len() {
            let mut flipped = token.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(key(1).unseal(&flipped).is_err(), "bit {bit}");
        }
        let unsealed = backfence_wire::token(&session(3));
        assert_eq!(key(1).unseal(&unsealed), Err(NotOurs::Unsealed));
        let invented = backfence_wire::token(&session(1_000));
        let (_, seal) = backfence_wire::unsealed(&token).expect("it is sealed");
        let moved = sealed(invented, &seal);
        assert_eq!(key(1).unseal(&moved), Err(NotOurs::Forged));
        // What follows the seal is not covered, so nothing may.
        for more in [vec![0x18, 9], token.clone()] {
            let extended = [token.clone(), more].concat();
            assert!(key(1).unseal(&extended).is_err());
        }
    }

    #[test]
    fn a_key_tells_nothing_of_itself() {
        let (one, other) = (key(1), key(2));
        assert_ne!(one.name(), other.name());
        assert_eq!(format!("{one:?}"), format!("ClusterKey({})", one.name()));
        assert!(ClusterKey::new(&[1; ClusterKey::SHORTEST - 1]).is_none());
        assert!(ClusterKey::new(&[1; ClusterKey::LONGEST + 1]).is_none());
    }
}
