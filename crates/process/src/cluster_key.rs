//! The secret that the programs of one cluster share.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;

/// What a [`KeyName`] is the code of.
const NAME: &[u8] = b"backfence cluster key";

/// A secret that all programs of a cluster share, and nobody else knows.
///
/// It is used by [`subkey`](Self::subkey) only, one for each thing that it protects.
#[derive(Clone)]
pub struct ClusterKey {
    mac: Hmac<Sha256>,
    name: KeyName,
}

/// What a code is made for, so that a code for one thing is none for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Session tokens, which front ends seal.
    SessionToken,
    /// Proofs of programs to each other that they belong to the cluster.
    Node,
    /// Claims of names at the registry.
    RegistryName,
    /// Tokens of operators.
    OperatorToken,
    /// Digests that stand for session ids where others may read them.
    SessionDigest,
}

/// A part of a [`ClusterKey`] for one [`Domain`]. It makes and checks HMAC-SHA256.
#[derive(Clone)]
pub struct Subkey(Hmac<Sha256>);

/// Tells keys apart and gives nothing of them away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyName(pub [u8; 8]);

/// Where a program finds the key. For `#[command(flatten)]`.
#[derive(Clone, Debug, Args)]
pub struct KeyArgs {
    /// The cluster's secret: a file of 32 random bytes or more, the same for all programs
    /// of the cluster.
    #[arg(long, env = "BACKFENCE_CLUSTER_KEY", value_name = "FILE")]
    pub cluster_key: Option<PathBuf>,
}

/// The key of a program that takes part in the cluster. For `#[command(flatten)]`.
#[derive(Clone, Debug, Args)]
pub struct NodeKeyArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// Take part also with programs that have no cluster key, while one after the other is
    /// given it. Nothing is protected until all run without this
    #[arg(long, env = "BACKFENCE_ACCEPT_KEYLESS", requires = "cluster_key")]
    pub accept_keyless: bool,
}

impl NodeKeyArgs {
    /// The key, if a file was named.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn read(&self) -> Result<Option<ClusterKey>, KeyError> {
        self.key.read()
    }
}

/// Why a file gives no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It is not there, or cannot be read.
    #[error(
        "cannot read the cluster key {}: {why}; make one with `head -c 32 /dev/urandom`, in a file \
         that only its owner can read, and give it to every program of the cluster", .path.display()
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
         /dev/urandom`, and give it to every program of the cluster",
        .path.display(), ClusterKey::SHORTEST, ClusterKey::LONGEST
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length, as far as it was read.
        bytes: usize,
    },
}

impl KeyArgs {
    /// The key, if a file was named.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn read(&self) -> Result<Option<ClusterKey>, KeyError> {
        self.cluster_key
            .as_deref()
            .map(ClusterKey::read)
            .transpose()
    }
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

    /// Tells this key from others.
    pub fn name(&self) -> KeyName {
        self.name
    }

    /// The part of it for one thing.
    pub fn subkey(&self, domain: Domain) -> Subkey {
        Subkey(self.mac.clone().chain_update(domain.label()))
    }
}

impl Domain {
    /// None begins another, so that nothing can be taken for the other's.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::SessionToken => b"backfence session token",
            Self::Node => b"backfence node",
            Self::RegistryName => b"backfence registry name",
            Self::OperatorToken => b"backfence operator token",
            Self::SessionDigest => b"backfence session digest",
        }
    }
}

impl Subkey {
    /// The code of a message.
    pub fn code(&self, message: &[u8]) -> [u8; 32] {
        let mac = self.0.clone().chain_update(message);
        mac.finalize().into_bytes().into()
    }

    /// Whether this is the message's code. A wrong one takes as long as the right one.
    pub fn verifies(&self, message: &[u8], code: &[u8]) -> bool {
        let mac = self.0.clone().chain_update(message);
        mac.verify_slice(code).is_ok()
    }
}

impl fmt::Debug for ClusterKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterKey({})", self.name)
    }
}

impl fmt::Debug for Subkey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subkey").finish_non_exhaustive()
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
    use super::*;

    const ALL: [Domain; 5] = [
        Domain::SessionToken,
        Domain::Node,
        Domain::RegistryName,
        Domain::OperatorToken,
        Domain::SessionDigest,
    ];

    fn key(byte: u8) -> ClusterKey {
        ClusterKey::new(&[byte; ClusterKey::SHORTEST]).expect("it is long enough")
    }

    #[test]
    fn a_code_is_for_one_key_one_domain_and_one_message() {
        for domain in ALL {
            let code = key(1).subkey(domain).code(b"message");
            assert!(key(1).subkey(domain).verifies(b"message", &code));
            assert!(!key(2).subkey(domain).verifies(b"message", &code));
            assert!(!key(1).subkey(domain).verifies(b"massage", &code));
            assert!(!key(1).subkey(domain).verifies(b"message", &code[1..]));
            for other in ALL.into_iter().filter(|&other| other != domain) {
                let told_apart = !key(1).subkey(other).verifies(b"message", &code);
                assert!(told_apart, "{domain:?} and {other:?}");
                assert!(!other.label().starts_with(domain.label()));
            }
            assert!(!NAME.starts_with(domain.label()) && !domain.label().starts_with(NAME));
        }
    }

    #[test]
    fn a_key_tells_nothing_of_itself() {
        let (one, other) = (key(1), key(2));
        assert_ne!(one.name(), other.name());
        assert_eq!(format!("{one:?}"), format!("ClusterKey({})", one.name()));
        let subkey = one.subkey(Domain::Node);
        assert_eq!(format!("{subkey:?}"), "Subkey(..)");
        assert!(ClusterKey::new(&[1; ClusterKey::SHORTEST - 1]).is_none());
        assert!(ClusterKey::new(&[1; ClusterKey::LONGEST + 1]).is_none());
    }
}
