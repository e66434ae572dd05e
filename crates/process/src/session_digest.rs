//! What stands for a session where others may read it.

use backfence_gossip::{SessionId, UpdateId};

use crate::{ClusterKey, Domain, Subkey};

/// In place of a cluster's key where there is none. It is no secret, and need not be: ids
/// are 128 random bits, which nobody finds by trying. So all front ends show the same.
const NO_KEY: &[u8; 32] = b"backfence without a cluster key.";

/// Makes the digests that stand for session ids in all that others than the session may
/// read: answers, logs. The same for all programs with the same cluster key, and for all
/// without one. Nobody can tell the id from it, and with a key nobody else can tell that it
/// is the digest of an id.
#[derive(Clone, Debug)]
pub struct SessionDigests(Subkey);

impl SessionDigests {
    /// Those of the cluster with this key.
    pub fn new(key: Option<&ClusterKey>) -> Self {
        let none = || ClusterKey::new(NO_KEY).expect("it has 32 bytes");
        let key = key.cloned().unwrap_or_else(none);
        Self(key.subkey(Domain::SessionDigest))
    }

    /// What stands for this session.
    pub fn session(&self, id: SessionId) -> SessionId {
        let code = self.0.code(&id.0.to_be_bytes());
        let (digest, _) = code.split_first_chunk().expect("a code has 32 bytes");
        SessionId(u128::from_be_bytes(*digest))
    }

    /// The same update, with what stands for its session.
    pub fn update(&self, id: UpdateId) -> UpdateId {
        UpdateId::new(self.session(id.session), id.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_one_session_and_one_key() {
        let key = |byte| ClusterKey::new(&[byte; 32]);
        let all = [None, key(1), key(2)].map(|key| SessionDigests::new(key.as_ref()));
        for (at, digests) in all.iter().enumerate() {
            let digest = digests.session(SessionId(7));
            assert_eq!(digest, digests.clone().session(SessionId(7)));
            assert_ne!(digest, digests.session(SessionId(8)));
            assert_ne!(digest, SessionId(7));
            let others = all.iter().enumerate().filter(|(other, _)| *other != at);
            for (_, other) in others {
                assert_ne!(digest, other.session(SessionId(7)));
            }
            let update = digests.update(UpdateId::new(SessionId(7), 3));
            assert_eq!(update, UpdateId::new(digest, 3));
        }
    }
}
