//! What an import has sent, kept beside its file.
//!
//! A line each, appended as it happens: `data FINGERPRINT` of the data whose movies are
//! rated, `session INDEX SAVED` when a session begins,
//! `sent ROW INDEX SEQUENCE TIME` before an update leaves, `done ROW` after it was
//! answered. Who is interrupted finds there what to send again, as it was. Only its owner
//! may read it: whoever has a saved session can go on with it.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use backfence_client::{SavedSession, SessionId, Time};

use crate::saved::{parse, text};

/// The first line names the version and the file that it goes with.
const VERSION: &str = "backfence import 1";

/// An update as it was sent, but for what the file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    pub(crate) session: usize,
    pub(crate) sequence: u64,
    pub(crate) time: Time,
}

/// What an interrupted import left.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Past {
    /// Of the data that the servers had loaded; absent in notes of before 0.3.
    pub(crate) fingerprint: Option<String>,
    /// As they began; none that 0.2 has noted, which did not note tokens. What such a
    /// session sent and was not answered is given anew.
    pub(crate) sessions: Vec<SavedSession>,
    /// By row, from 0, the updates that were sent and not answered.
    pub(crate) sent: BTreeMap<u64, Sent>,
    /// Rows that were answered.
    pub(crate) done: Vec<bool>,
    /// Per session the last number that was used.
    pub(crate) last: Vec<u64>,
    /// The latest time of an update.
    pub(crate) clock: Time,
}

/// The file, open for more.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    pub(crate) fn beside(csv: &Path) -> PathBuf {
        let mut name = csv.as_os_str().to_owned();
        name.push(".progress");
        PathBuf::from(name)
    }

    /// Begins one for a file with this digest, or goes on with the one that is
    /// there. `None` for what was left when it goes with another file.
    pub(crate) fn open(path: PathBuf, digest: &str) -> io::Result<(Self, Option<Past>)> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        // A last line without its end was cut off: what it tells had not happened.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let file = backfence_files::open(&path, OpenOptions::new().append(true))?;
        file.set_len(whole as u64)?;
        let mut journal = Self { path, file };
        let first = format!("{VERSION} {digest}");
        match text[..whole].split_once('\n') {
            None => {
                journal.append(&first)?;
                Ok((journal, Some(Past::default())))
            }
            Some((found, lines)) if found == first => Ok((journal, Some(Past::read(lines)))),
            Some(_) => Ok((journal, None)),
        }
    }

    pub(crate) fn data(&mut self, fingerprint: &str) -> io::Result<()> {
        self.append(&format!("data {fingerprint}"))
    }

    pub(crate) fn session(&mut self, index: usize, saved: &SavedSession) -> io::Result<()> {
        self.append(&format!("session {index} {}", text(saved)))
    }

    pub(crate) fn sent(&mut self, row: u64, sent: Sent) -> io::Result<()> {
        let Sent {
            session,
            sequence,
            time,
        } = sent;
        self.append(&format!("sent {row} {session} {sequence} {}", time.0))
    }

    pub(crate) fn done(&mut self, row: u64) -> io::Result<()> {
        self.append(&format!("done {row}"))
    }

    /// The import is over.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }

    /// In one write, so that a kill does not part it.
    fn append(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

impl Past {
    fn read(lines: &str) -> Self {
        let mut past = Self::default();
        for line in lines.lines() {
            let words: Vec<_> = line.split(' ').collect();
            past.take(&words);
        }
        if past.sessions.iter().any(|saved| saved.token.is_empty()) {
            return Self {
                fingerprint: past.fingerprint,
                done: past.done,
                ..Self::default()
            };
        }
        past
    }

    fn take(&mut self, words: &[&str]) -> Option<()> {
        match *words {
            ["data", fingerprint] => self.fingerprint = Some(fingerprint.to_owned()),
            ["session", index, saved] if index.parse() == Ok(self.sessions.len()) => {
                // 0.2 wrote the id alone.
                self.sessions.push(parse(saved).unwrap_or(SavedSession {
                    id: SessionId::default(),
                    digest: None,
                    token: Vec::new(),
                    clock: Time::default(),
                    next: 1,
                    fingerprint: String::new(),
                }));
                self.last.push(0);
            }
            ["sent", row, session, sequence, time] => {
                let sent = Sent {
                    session: session.parse().ok()?,
                    sequence: sequence.parse().ok()?,
                    time: Time(time.parse().ok()?),
                };
                let last = self.last.get_mut(sent.session)?;
                *last = sent.sequence.max(*last);
                self.clock = sent.time.max(self.clock);
                self.sent.insert(row.parse().ok()?, sent);
            }
            ["done", row] => {
                let row: usize = row.parse().ok()?;
                if self.sent.remove(&(row as u64)).is_some() {
                    if self.done.len() <= row {
                        self.done.resize(row + 1, false);
                    }
                    self.done[row] = true;
                }
            }
            _ => {}
        }
        Some(())
    }

    /// How many rows were answered.
    pub(crate) fn done(&self) -> u64 {
        self.done.iter().filter(|&&done| done).count() as u64
    }

    pub(crate) fn is_done(&self, row: u64) -> bool {
        self.done.get(row as usize).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.progress");
        let sent = |session, sequence, time| Sent {
            session,
            sequence,
            time: Time(time),
        };
        let (mut journal, past) = Journal::open(path.clone(), "d1").unwrap();
        assert_eq!(past, Some(Past::default()));
        let sessions = [7, 8].map(|id| SavedSession {
            id: SessionId(id),
            digest: Some(SessionId(!id)),
            token: vec![1, 2],
            clock: Time(9),
            next: 1,
            fingerprint: "f1".to_owned(),
        });
        journal.data("f1").unwrap();
        journal.session(0, &sessions[0]).unwrap();
        journal.session(1, &sessions[1]).unwrap();
        journal.sent(0, sent(0, 1, 100)).unwrap();
        journal.sent(2, sent(1, 1, 101)).unwrap();
        journal.done(2).unwrap();
        journal.file.write_all(b"sent 3 0 2 10").unwrap();
        drop(journal);

        let (mut journal, past) = Journal::open(path.clone(), "d1").unwrap();
        let past = past.unwrap();
        assert_eq!(past.fingerprint.as_deref(), Some("f1"));
        assert_eq!(past.sessions, sessions);
        assert!(past.is_done(2) && !past.is_done(0) && !past.is_done(9));
        assert_eq!(past.sent.get(&0), Some(&sent(0, 1, 100)));
        assert_eq!((past.clock, past.last), (Time(101), vec![1, 1]));
        journal.done(0).unwrap();
        let (journal, past) = Journal::open(path.clone(), "d1").unwrap();
        assert!(past.unwrap().is_done(0));
        let (_, other) = Journal::open(path.clone(), "d2").unwrap();
        assert_eq!(other, None);
        journal.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_note_of_0_2_says_what_was_answered() {
        let session = format!("session 0 {:032x}", 7);
        let past = Past::read(&format!("{session}\nsent 0 0 1 5\nsent 1 0 2 6\ndone 0\n"));
        assert!(past.is_done(0) && !past.is_done(1));
        assert!(past.sessions.is_empty() && past.sent.is_empty(), "{past:?}");
    }

    /// Its name is known to everybody.
    #[cfg(unix)]
    #[test]
    fn a_note_is_private_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (note, victim) = (folder.path().join("x.progress"), folder.path().join("v"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &note).unwrap();
        Journal::open(note.clone(), "d1").unwrap_err();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        fs::remove_file(&note).unwrap();
        Journal::open(note.clone(), "d1").unwrap();
        assert!(!backfence_files::is_shared(&note));
    }
}
