//! A session in a file, so that one program goes on where another stopped.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use backfence_client::{Client, SavedSession, Session, SessionId, Time};
use backfence_process::{Exit, Failure};
use serde_json::{Value, json};

use crate::state::write_private;

/// A session's file, held by this process alone.
#[derive(Debug)]
pub(crate) struct SessionFile {
    path: PathBuf,
    /// Its lock goes when the process does.
    _lock: File,
}

impl SessionFile {
    /// Takes the file, which need not be there yet.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when another process has it: two that go on with one session
    /// would give one update id to two updates.
    pub(crate) fn take(path: &Path) -> Result<Self, Failure> {
        let lock = beside(path, ".lock");
        let cannot = |error: io::Error| {
            let message = format!("cannot use the session file {}: {error}", path.display());
            Failure::new(Exit::Usage, message)
        };
        let lock = backfence_files::open(&lock, File::options().write(true));
        let lock = lock.map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Failure::new(
                Exit::Refused,
                format!(
                    "another program goes on with the session in {}; wait until it has ended, or \
                     use another file",
                    path.display()
                ),
            )),
            Err(TryLockError::Error(error)) => Err(cannot(error)),
        }
    }

    /// The session of the file, or a new one where there is no file yet.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when the file holds something else.
    pub(crate) fn open(&self, client: &Client) -> Result<Session, Failure> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(client.session()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.no_session());
            }
            Err(error) => return Err(self.failure(&error.to_string())),
        };
        let saved = parse(&text).ok_or_else(|| self.no_session())?;
        Ok(client.resume(saved))
    }

    /// Writes the session down. Before an update, `ahead` is 1: after a crash its id
    /// must not be used again.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when the file cannot be written.
    pub(crate) fn save(&self, session: &Session, ahead: u64) -> Result<(), Failure> {
        self.write(&session.save(), ahead)
    }

    /// Begins another session in the file, whatever is in it. Says where that is kept.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when the file cannot be moved or written.
    pub(crate) fn reset(&self, id: SessionId) -> Result<Option<PathBuf>, Failure> {
        let old = beside(&self.path, ".old");
        let kept = match fs::rename(&self.path, &old) {
            Ok(()) => Some(old),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.failure(&error.to_string())),
        };
        let begun = SavedSession {
            id,
            digest: None,
            token: Vec::new(),
            clock: Time(0),
            next: 1,
            fingerprint: String::new(),
        };
        self.write(&begun, 0)?;
        Ok(kept)
    }

    fn write(&self, saved: &SavedSession, ahead: u64) -> Result<(), Failure> {
        let next = saved.next + ahead;
        let text = text(&SavedSession {
            next,
            ..saved.clone()
        });
        write_private(&self.path, text + "\n").map_err(|error| self.failure(&error.to_string()))
    }

    fn failure(&self, why: &str) -> Failure {
        let path = self.path.display();
        let message = format!("cannot use the session file {path}: {why}; name another");
        Failure::new(Exit::Usage, message)
    }

    /// What is written here is replaced whole, so something else has written it.
    fn no_session(&self) -> Failure {
        let path = self.path.display();
        let message = format!(
            "cannot use the session file {path}: it holds no session; name another, or begin one \
             there with `backfence --session {path} session reset`"
        );
        Failure::new(Exit::Usage, message)
    }
}

/// The file of the same name with this ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A session as a line of JSON without blanks. It is a secret.
pub(crate) fn text(saved: &SavedSession) -> String {
    json!({
        "session": saved.id.to_string(),
        "digest": saved.digest.map(|digest| digest.to_string()),
        "token": saved.token.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "clock_us": saved.clock.0,
        "next": saved.next,
        "fingerprint": saved.fingerprint,
    })
    .to_string()
}

/// Reads a [`text`], also one of 0.2, which has no digest.
pub(crate) fn parse(text: &str) -> Option<SavedSession> {
    let value: Value = serde_json::from_str(text).ok()?;
    let id = |key| {
        let id = value.get(key)?.as_str().filter(|id| id.len() == 32)?;
        Some(SessionId(u128::from_str_radix(id, 16).ok()?))
    };
    Some(SavedSession {
        id: id("session")?,
        digest: id("digest"),
        token: bytes(value.get("token")?.as_str()?)?,
        clock: Time(value.get("clock_us")?.as_u64()?),
        next: value.get("next")?.as_u64()?,
        // Absent in files of before 0.3.
        fingerprint: value
            .get("fingerprint")
            .map_or(Some(""), Value::as_str)?
            .to_owned(),
    })
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hexadecimal
        .chars()
        .map(|digit| digit.to_digit(16)?.try_into().ok())
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks(2)
            .map(|pair| 16 * pair[0] + pair[1])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_session_is_read() {
        let good = r#"{"session":"000000000000000000000000000000ff","token":"0aff","clock_us":7,"next":3}"#;
        let of_0_2 = parse(good).unwrap();
        let expected = SavedSession {
            id: SessionId(255),
            digest: None,
            token: vec![10, 255],
            clock: Time(7),
            next: 3,
            fingerprint: String::new(),
        };
        assert_eq!(of_0_2, expected);
        for digest in [None, Some(SessionId(7))] {
            let saved = SavedSession {
                digest,
                ..of_0_2.clone()
            };
            assert_eq!(parse(&text(&saved)), Some(saved));
        }
        for (part, bad) in [
            ("0aff", "0af"),
            ("0aff", "0aéf"),
            ("000000ff", "0000ff"),
            ("0000ff", "0000zz"),
            ("7", "-7"),
            ("\"next\":3", "\"then\":3"),
            ("{", ""),
        ] {
            assert_eq!(parse(&good.replace(part, bad)), None, "{bad}");
        }
    }
}
