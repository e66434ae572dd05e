//! Session tokens that the front ends of one cluster seal.

use backfence_gossip::Session;
use backfence_process::{ClusterKey, Domain, KeyName, Subkey};
use backfence_wire::{Malformed, Seal, sealed, unsealed};
use thiserror::Error;

/// Seals tokens with the key that all front ends of a cluster share.
///
/// A token that one of them gives out carries a code that only they can make. A front
/// end that has a key takes no other token: so what a token says that its session has
/// seen has been seen, and no update can be made to wait for what never was.
#[derive(Debug)]
pub(crate) struct Sealer {
    subkey: Subkey,
    name: KeyName,
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

impl Sealer {
    pub(crate) fn new(key: &ClusterKey) -> Self {
        Self {
            subkey: key.subkey(Domain::SessionToken),
            name: key.name(),
        }
    }

    /// The session as a token that every front end with this key takes.
    pub(crate) fn seal(&self, session: &Session) -> Vec<u8> {
        let token = backfence_wire::token(session);
        let mac = self.subkey.code(&token);
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
        if !self.subkey.verifies(covered, &seal.mac) {
            return Err(NotOurs::Forged);
        }
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use backfence_gossip::{ReplicaId, SessionId, Time};

    use super::*;

    fn key(byte: u8) -> Sealer {
        let key = ClusterKey::new(&[byte; ClusterKey::SHORTEST]);
        Sealer::new(&key.expect("it is long enough"))
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
        let (theirs, ours) = (key(1).name, key(2).name);
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

    /// So that those of former versions stay readable.
    #[test]
    fn a_seal_is_as_in_version_0_2() {
        let token = key(1).seal(&session(3));
        let hex: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        let of_0_2 = "0a100000000000000000000000000000000712080a060801100a180318032a2c0a081b\
                      34dc3b217c3d761220179c08d17c32946fd231cbbf01e21d8f15c3c39ce83751182ab5418104d85cc0";
        assert_eq!(hex, of_0_2);
    }
}
