//! Reading what clients send: parsed once, here.

use backfence_gossip::{Session, SessionId, Time, UpdateId};
use backfence_process::Environment;
use backfence_ratings::Rating;
use backfence_wire::v1::{self, ServeRequest, serve_request::Body};
use tonic::metadata::MetadataMap;

use crate::{
    error::Error,
    seal::{NotOurs, Sealer},
};

/// Longest title or genre, in bytes. Real ones have up to 160.
const MAX_TITLE: usize = 512;

/// The session of a token, which this key has to have sealed where there is one; an
/// empty token starts a session.
pub(crate) fn session(
    token: &[u8],
    sealer: Option<&Sealer>,
    environment: &Environment,
) -> Result<Session, Error> {
    if token.is_empty() {
        return Ok(Session::new(SessionId(environment.random_u128())));
    }
    let session = match sealer {
        Some(sealer) => sealer.unseal(token),
        None => backfence_wire::session(token).map_err(NotOurs::Malformed),
    };
    session.map_err(Error::BadToken)
}

/// The metadata `traceparent` in the form of W3C Trace Context, version 00. Empty where
/// there is none, or in another form: nothing fails for lack of it.
pub(crate) fn traceparent(metadata: &MetadataMap) -> String {
    let value = metadata.get("traceparent").map(|value| value.as_bytes());
    let text = value.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let traceparent = text.filter(|text| is_traceparent(text));
    traceparent.map_or_else(String::new, str::to_owned)
}

fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parts: Vec<_> = text.splitn(5, '-').collect();
    match parts[..] {
        ["00", trace, parent, flags] => is_hex(trace, 32) && is_hex(parent, 16) && is_hex(flags, 2),
        _ => false,
    }
}

/// What a server is asked, but for its number and how long it may take.
pub(crate) fn traced(traceparent: &str, body: Body) -> ServeRequest {
    ServeRequest {
        traceparent: traceparent.to_owned(),
        body: Some(body),
        ..ServeRequest::default()
    }
}

/// A title to look for.
pub(crate) fn title(title: &str) -> Result<(), Error> {
    if title.trim().is_empty() {
        return Err(Error::invalid("title", "it is blank"));
    }
    short("title", title)
}

/// What a query asks.
pub(crate) fn query<Q>(query: Option<Q>) -> Result<Q, Error> {
    query.ok_or_else(|| Error::invalid("query", "it is missing"))
}

/// Words to look for, which may be blank.
pub(crate) fn search(search: &v1::Search) -> Result<(), Error> {
    short("text", &search.text)?;
    genre(&search.genre)
}

/// A genre, which may be blank.
pub(crate) fn genre(genre: &str) -> Result<(), Error> {
    short("genre", genre)
}

fn short(field: &'static str, text: &str) -> Result<(), Error> {
    if text.len() > MAX_TITLE {
        let bytes = text.len();
        let why = format!("it has {bytes} bytes; at most {MAX_TITLE} are allowed");
        return Err(Error::invalid(field, why));
    }
    Ok(())
}

/// A rating to give.
pub(crate) fn rating(rating: f64) -> Result<Rating, Error> {
    Rating::try_from(rating).map_err(|error| Error::invalid("rating", error))
}

/// The id and time of an update, if the client has made them: for the session of the token
/// that came with them, and no other. Else any client could use up another's ids.
pub(crate) fn signature(
    token: &[u8],
    session: &Session,
    id: Option<v1::UpdateId>,
    time_us: u64,
) -> Result<Option<(UpdateId, Time)>, Error> {
    let foreign = |why: &str| Err(Error::invalid("update_id", why));
    match (id, time_us) {
        (None, 0) => Ok(None),
        (None, _) => Err(Error::invalid("time_us", "it comes with update_id only")),
        (Some(_), 0) => Err(Error::invalid("update_id", "it comes with time_us only")),
        (Some(id), time) => {
            let id = UpdateId::try_from(id).map_err(|error| Error::invalid("update_id", error))?;
            if token.is_empty() {
                return foreign("no session token comes with it; open a session first");
            }
            if id.session != session.id {
                return foreign(
                    "it is of another session than the token; take Session.id of the reply that \
                     brought the token",
                );
            }
            Ok(Some((id, Time(time))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field that an error names, or what was read.
    fn field<T>(read: Result<T, Error>) -> &'static str {
        match read {
            Ok(_) => "",
            Err(Error::Invalid { field, .. }) => field,
            Err(Error::BadToken(_)) => "session",
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_malformed_is_named() {
        let environment = Environment::seeded(1);
        for (text, expected) in [
            ("Toy Story", ""),
            (" ", "title"),
            (&"x".repeat(512), ""),
            (&"x".repeat(513), "title"),
        ] {
            assert_eq!(field(title(text)), expected, "{text:?}");
        }
        for (value, expected) in [
            (0.0, ""),
            (-0.0, ""),
            (4.9999, ""),
            (5.0, ""),
            (5.0001, "rating"),
            (-0.5, "rating"),
            (1.00001, "rating"),
            (f64::NAN, "rating"),
            (f64::INFINITY, "rating"),
        ] {
            assert_eq!(field(rating(value)), expected, "{value}");
        }
        for (token, expected) in [
            (&b""[..], ""),
            (b"garbage", "session"),
            (&[0; 9], "session"),
        ] {
            assert_eq!(
                field(session(token, None, &environment)),
                expected,
                "{token:?}"
            );
        }
    }

    #[test]
    fn an_update_has_id_and_time_or_neither() {
        let id = |length: usize, sequence| {
            Some(v1::UpdateId {
                session: vec![7; length],
                sequence,
            })
        };
        let own = Session::new(SessionId(u128::from_be_bytes([7; 16])));
        for (id, time_us, expected) in [
            (None, 0, ""),
            (id(16, 1), 5, ""),
            (None, 5, "time_us"),
            (id(16, 1), 0, "update_id"),
            (id(16, 0), 5, "update_id"),
            (id(15, 1), 5, "update_id"),
        ] {
            assert_eq!(
                field(signature(b"token", &own, id.clone(), time_us)),
                expected,
                "{id:?} {time_us}"
            );
        }
    }

    #[test]
    fn an_update_is_of_the_session_of_its_token() {
        let [own, other] =
            [7, 8].map(|byte| Session::new(SessionId(u128::from_be_bytes([byte; 16]))));
        let id = v1::UpdateId::from(UpdateId::new(own.id, 1));
        for (token, session, expected) in [
            (&b"token"[..], &own, ""),
            (b"token", &other, "update_id"),
            // The session of no token is one that has just begun.
            (b"", &own, "update_id"),
        ] {
            let read = signature(token, session, Some(id.clone()), 5);
            assert_eq!(field(read), expected, "{token:?} {session:?}");
            // Those that a front end makes are of a session of its own.
            assert_eq!(field(signature(token, session, None, 0)), "");
        }
    }

    #[test]
    fn a_traceparent_has_the_form_of_version_00() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let check = |text: &str, expected: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("traceparent", text.parse().unwrap());
            assert_eq!(traceparent(&metadata), expected, "{text:?}");
        };
        assert_eq!(traceparent(&MetadataMap::new()), "");
        check(good, good);
        for bad in [
            "",
            "00",
            &good[..54],
            &good.replacen("00", "01", 1),
            &good.to_uppercase(),
            &good.replace('-', "_"),
            &good.replace("af7", "agh"),
            &good.replace("0af7", "-af7"),
            &format!("{good}0"),
            &format!("{good}-"),
            &format!(" {good}"),
            &good.repeat(3),
        ] {
            check(bad, "");
        }
        let mut binary = MetadataMap::new();
        let bytes = [good.as_bytes(), &[0xff]].concat();
        binary.insert("traceparent", bytes.try_into().unwrap());
        assert_eq!(traceparent(&binary), "");
    }

    #[test]
    fn new_sessions_have_ids_of_their_own() {
        let environment = Environment::seeded(1);
        let ids = [0; 3].map(|_| session(b"", None, &environment).unwrap().id);
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    }
}
