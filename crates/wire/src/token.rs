//! Session tokens, and the seal that shows who made one.

use backfence_gossip::{Session, Time};
use prost::Message as _;

use crate::{
    Malformed,
    causality::{all, session_id, timestamp},
    v1,
};

/// Encodes a session for its client to carry.
pub fn token(session: &Session) -> Vec<u8> {
    v1::SessionToken {
        session: session.id.0.to_be_bytes().into(),
        prev: Some((&session.prev).into()),
        clock_us: session.clock.0,
        lost: session.lost.iter().map(|&replica| replica.into()).collect(),
        seal: None,
    }
    .encode_to_vec()
}

/// Reads a token that a client brought.
///
/// # Errors
///
/// [`Malformed`] for bytes that [`token`] cannot have made.
pub fn session(token: &[u8]) -> Result<Session, Malformed> {
    let token = v1::SessionToken::decode(token).map_err(|_| Malformed("it is no session token"))?;
    Ok(Session {
        id: session_id(&token.session)?,
        prev: timestamp(token.prev)?,
        clock: Time(token.clock_us),
        lost: all(token.lost)?.into_iter().collect(),
    })
}

/// What shows who made a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    /// Tells keys apart.
    pub key: [u8; 8],
    /// The code over all bytes of the token before the seal.
    pub mac: [u8; 32],
}

/// The bytes that a seal adds to a token: a tag and a length for itself, its key and
/// its code.
const SEAL: usize = 2 + (2 + 8) + (2 + 32);

/// A token with its seal. [`session`] reads it as before.
pub fn sealed(mut token: Vec<u8>, seal: &Seal) -> Vec<u8> {
    let seal = v1::session_token::Seal {
        key: seal.key.into(),
        mac: seal.mac.into(),
    };
    // Fields that follow a message belong to it.
    token.extend(
        v1::SessionToken {
            seal: Some(seal),
            ..Default::default()
        }
        .encode_to_vec(),
    );
    token
}

/// Takes the seal off: what it covers, and the seal. `None` for a token without.
pub fn unsealed(token: &[u8]) -> Option<(&[u8], Seal)> {
    let (covered, seal) = token.split_at_checked(token.len().checked_sub(SEAL)?)?;
    let seal = v1::SessionToken::decode(seal).ok()?.seal?;
    let seal = Seal {
        key: seal.key.try_into().ok()?,
        mac: seal.mac.try_into().ok()?,
    };
    Some((covered, seal))
}

#[cfg(test)]
mod tests {
    use backfence_gossip::{ReplicaId, SessionId};
    use proptest::prelude::*;

    use super::*;

    fn sessions() -> impl Strategy<Value = Session> {
        let entry = (1..9u32, any::<u64>(), 1..=u64::MAX);
        let prev = prop::collection::vec(entry, 0..9).prop_map(|entries| {
            entries
                .into_iter()
                .map(|(server, life, count)| (ReplicaId::new(server, life), count))
                .collect()
        });
        let lost = prop::collection::btree_set((1..9u32, any::<u64>()), 0..4);
        (any::<u128>(), prev, any::<u64>(), lost).prop_map(|(id, prev, clock, lost)| Session {
            id: SessionId(id),
            prev,
            clock: Time(clock),
            lost: lost
                .into_iter()
                .map(|(server, life)| ReplicaId::new(server, life))
                .collect(),
        })
    }

    proptest! {
        #[test]
        fn a_token_is_read_back(original in sessions()) {
            let token = token(&original);
            prop_assert_eq!(session(&token), Ok(original));
        }

        #[test]
        fn a_seal_comes_off_and_changes_nothing(
            original in sessions(), key in any::<[u8; 8]>(), mac in any::<[u8; 32]>()
        ) {
            let (bare, seal) = (token(&original), Seal { key, mac });
            prop_assert_eq!(unsealed(&bare), None);
            let token = sealed(bare.clone(), &seal);
            prop_assert_eq!(unsealed(&token), Some((bare.as_slice(), seal)));
            prop_assert_eq!(session(&token), Ok(original));
        }

        #[test]
        fn no_bytes_crash_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (session(&bytes), unsealed(&bytes));
        }
    }
}
