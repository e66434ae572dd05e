//! Who is at an address, by what it answers.

use backfence_process::{ClaimKey, Secret};
use backfence_wire::v1::{WhoRequest, WhoResponse};
use tonic::{Code, Response, Status};

/// Who answers at an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// The program that was looked for.
    It,
    /// A program that is not the one.
    Another,
    /// One before 0.3, which cannot show who it is.
    Older,
    /// One that will not say now, and why.
    Busy(String),
    /// Nobody who speaks gRPC.
    Nobody,
}

/// Reads the answer to `asked`, of a registration with this secret.
///
/// With a key only who has it too is found, unless `keyless` programs are taken as well.
pub(crate) fn found(
    answer: Result<Response<WhoResponse>, Status>,
    asked: &WhoRequest,
    secret: Option<Secret>,
    key: Option<&ClaimKey>,
    keyless: bool,
) -> Found {
    let answer = match answer {
        Ok(answer) => answer.into_inner(),
        // What a program says itself has no source.
        Err(status) if std::error::Error::source(&status).is_some() => return Found::Nobody,
        Err(status) => {
            return match status.code() {
                Code::NotFound => Found::Another,
                Code::Unimplemented => Found::Older,
                Code::DeadlineExceeded => Found::Nobody,
                _ => Found::Busy(status.message().to_owned()),
            };
        }
    };
    let Some(secret) = secret else {
        return Found::Another;
    };
    let is_keyed = match key {
        Some(_) if keyless && answer.keyed.is_empty() => true,
        Some(key) => key.is_answer(asked, secret.as_bytes(), &answer.keyed),
        None => true,
    };
    if is_keyed && secret.verifies(&asked.nonce, &answer.code) {
        Found::It
    } else {
        Found::Another
    }
}

#[cfg(test)]
mod tests {
    use backfence_process::ClusterKey;

    use super::*;

    #[test]
    fn an_answer_tells_who_is_there() {
        let key = |byte| ClaimKey::new(&ClusterKey::new(&[byte; 32]).unwrap());
        let secret = |byte| Secret::read(&[byte; 16]).unwrap();
        let asked = |nonce| WhoRequest {
            instance: 7,
            nonce: vec![nonce; 32],
        };
        let says = |nonce: u8, byte: u8, with: Option<ClaimKey>| {
            let (asked, secret) = (asked(nonce), secret(byte).unwrap());
            let keyed = with.map(|key| key.answer(&asked, secret.as_bytes()).to_vec());
            Ok(Response::new(WhoResponse {
                code: secret.code(&asked.nonce).to_vec(),
                keyed: keyed.unwrap_or_default(),
            }))
        };
        let check = |answer, own: Option<ClaimKey>, keyless, expected: Found| {
            let found = found(answer, &asked(1), secret(1), own.as_ref(), keyless);
            assert_eq!(found, expected);
        };
        check(says(1, 1, None), None, false, Found::It);
        check(says(1, 1, Some(key(1))), None, false, Found::It);
        check(says(1, 2, None), None, false, Found::Another);
        // An answer to another number, heard before.
        check(
            says(2, 1, Some(key(1))),
            Some(key(1)),
            false,
            Found::Another,
        );
        check(says(1, 1, Some(key(1))), Some(key(1)), false, Found::It);
        check(
            says(1, 1, Some(key(2))),
            Some(key(1)),
            false,
            Found::Another,
        );
        check(says(1, 1, Some(key(2))), Some(key(1)), true, Found::Another);
        check(says(1, 1, None), Some(key(1)), false, Found::Another);
        check(says(1, 1, None), Some(key(1)), true, Found::It);

        let broken = Status::from_error(Box::new(std::io::Error::other("broken")));
        check(Err(broken), None, false, Found::Nobody);
        let check = |status: Status, expected| check(Err(status), None, false, expected);
        check(Status::deadline_exceeded("late"), Found::Nobody);
        check(Status::not_found("no"), Found::Another);
        check(Status::unimplemented("what?"), Found::Older);
        let busy = Found::Busy("full".into());
        check(Status::resource_exhausted("full"), busy);
        let nobody = found(says(1, 1, None), &asked(1), None, None, false);
        assert_eq!(nobody, Found::Another, "a program before 0.2 has no secret");
    }
}
