//! Who asks, and how operators show that they are.

use std::time::Duration;

use backfence_gossip::Time;
use backfence_wire::Reason;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::{ClusterKey, Domain, Subkey};

/// How far the time of an operator token and the reader's clock may be apart.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// What the metadata `authorization` begins with.
const BEARER: &str = "Bearer ";
/// The form of operator tokens; another form begins with another word.
const FORM: &str = "bf1";

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A program of the cluster: it has proven on this connection that it has the key.
    Node,
    /// Somebody who has the cluster's key.
    Operator,
    /// The user with this number. Nobody can show yet to be one.
    User(u32),
    /// Anybody else.
    Anonymous,
}

/// What is known of the connection on which a call comes, and of who reads it.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The cluster's key, where the reader has one.
    pub key: Option<&'a ClusterKey>,
    /// Whether its other end has proven that it has the key too.
    pub proven: bool,
    /// The reader's clock.
    pub now: Time,
}

/// Why an operator token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadToken {
    /// Its code is not of this key, or it has none.
    #[error(
        "the operator token was not made with this cluster's key; pass the --cluster-key that the \
         front end has"
    )]
    Forged,
    /// It is of another time.
    #[error(
        "the operator token is {apart:?} apart from this clock, and 5 minutes are allowed; set the \
         clocks right, or make the token anew"
    )]
    Expired {
        /// How far it is from the reader's clock, in whole seconds.
        apart: Duration,
    },
}

impl BadToken {
    /// As errors name it.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Forged => Reason::BadOperatorToken,
            Self::Expired { .. } => Reason::ExpiredOperatorToken,
        }
    }
}

/// Who asks, by the connection and the metadata of the call. Without a key there is
/// nothing to read a token by, so whoever brings one is anonymous.
///
/// # Errors
///
/// [`BadToken`] where the metadata have an operator token that is none.
pub fn role(connection: &Connection<'_>, metadata: &MetadataMap) -> Result<Role, BadToken> {
    let (Some(key), false) = (connection.key, connection.proven) else {
        return Ok(match connection.proven {
            true => Role::Node,
            false => Role::Anonymous,
        });
    };
    let Some(authorization) = metadata.get("authorization") else {
        return Ok(Role::Anonymous);
    };
    let text = authorization.to_str().ok();
    let token = text.and_then(|text| text.strip_prefix(BEARER));
    let made = token.and_then(|token| read(&key.subkey(Domain::OperatorToken), token));
    let made = made.ok_or(BadToken::Forged)?;
    let apart = made.abs_diff(seconds(connection.now));
    if apart > TOLERANCE.as_secs() {
        let apart = Duration::from_secs(apart);
        return Err(BadToken::Expired { apart });
    }
    Ok(Role::Operator)
}

/// The metadata `authorization` of an operator with this key, good for 5 minutes. The form
/// stands in `operator.proto`.
pub fn authorization(key: &ClusterKey, now: Time) -> MetadataValue<tonic::metadata::Ascii> {
    let time = seconds(now).to_string();
    let code = key.subkey(Domain::OperatorToken).code(time.as_bytes());
    let code: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{BEARER}{FORM}.{time}.{code}");
    text.parse().expect("letters, digits, blanks and dots")
}

/// The time of a token with a right code, in seconds since 1970.
fn read(subkey: &Subkey, token: &str) -> Option<u64> {
    let (time, code) = token
        .strip_prefix(FORM)?
        .strip_prefix('.')?
        .split_once('.')?;
    let (pairs, []) = code.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok();
    let code = pairs.iter().map(byte).collect::<Option<Vec<_>>>()?;
    let made = time.parse().ok()?;
    subkey.verifies(time.as_bytes(), &code).then_some(made)
}

fn seconds(time: Time) -> u64 {
    time.0 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_767_225_600_000_000);

    fn key(byte: u8) -> ClusterKey {
        ClusterKey::new(&[byte; ClusterKey::SHORTEST]).expect("it is long enough")
    }

    fn asks(text: &str, key: Option<&ClusterKey>, proven: bool) -> Result<Role, BadToken> {
        let mut metadata = MetadataMap::new();
        if !text.is_empty() {
            metadata.insert("authorization", text.parse().unwrap());
        }
        let now = NOW;
        role(&Connection { key, proven, now }, &metadata)
    }

    fn token(byte: u8, now: Time) -> String {
        let made = authorization(&key(byte), now);
        made.to_str().expect("it is text").to_owned()
    }

    #[test]
    fn an_operator_has_the_key_and_a_clock_that_is_right() {
        let check = |text: &str, expected: Result<Role, BadToken>| {
            assert_eq!(asks(text, Some(&key(1)), false), expected, "{text}");
        };
        let after = |seconds| token(1, NOW.after(Duration::from_secs(seconds)));
        let before = |seconds: u64| token(1, Time(NOW.0 - 1_000_000 * seconds));
        let apart = Duration::from_secs(301);
        check("", Ok(Role::Anonymous));
        check(&token(1, NOW), Ok(Role::Operator));
        check(&after(300), Ok(Role::Operator));
        check(&before(300), Ok(Role::Operator));
        check(&after(301), Err(BadToken::Expired { apart }));
        check(&before(301), Err(BadToken::Expired { apart }));
        check(&token(2, NOW), Err(BadToken::Forged));
    }

    #[test]
    fn nothing_but_a_whole_token_is_one() {
        let good = token(1, NOW);
        for length in 1..good.len() {
            let cut = asks(&good[..length], Some(&key(1)), false);
            assert_eq!(cut, Err(BadToken::Forged), "{length} bytes");
        }
        let later = good.replacen("1767225600", "1767225601", 1);
        let others = [
            "Bearer ",
            "Basic YTpi",
            "Bearer bf1..",
            "Bearer bf1.1.",
            "Bearer bf1.1.zz",
        ];
        for bad in others.into_iter().chain([&*later, &*format!("{good}0")]) {
            let asked = asks(bad, Some(&key(1)), false);
            assert_eq!(asked, Err(BadToken::Forged), "{bad}");
        }
    }

    #[test]
    fn who_has_proven_is_a_node_and_without_a_key_nobody_is_an_operator() {
        assert_eq!(asks("", Some(&key(1)), true), Ok(Role::Node));
        assert_eq!(asks("", None, false), Ok(Role::Anonymous));
        assert_eq!(asks(&token(1, NOW), None, false), Ok(Role::Anonymous));
    }

    /// As the contract in `operator.proto` has others make it.
    #[test]
    fn a_token_is_as_the_contract_says() {
        let expected = "Bearer bf1.1767225600.\
                        c462cc46c0a530eea0a1718cbf0074a43a247e721317cfd97fd00faddca66c7a";
        assert_eq!(token(1, NOW), expected);
    }
}
