//! What is remembered between runs.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use backfence_files::{Replacement, make_folder};

/// Places that are remembered; beyond, the one met longest ago is forgotten.
const PLACES: usize = 8;
/// Bytes of the client's log beyond which the next start begins another.
const LOG: u64 = 1 << 20;

/// The folder for this user's history and the like: `$XDG_STATE_HOME/backfence`, or
/// `~/.local/state/backfence` (XDG Base Directory Specification 0.8).
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    /// `None` for a user without a home.
    pub(crate) fn of_user() -> Option<Self> {
        // "All paths must be absolute ... ignore it" otherwise.
        let absolute = |name| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
        };
        let folder = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("LOCALAPPDATA"))
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
        Some(Self(folder.join("backfence")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The file of lines that were typed, in a folder that is there.
    pub(crate) fn history(&self) -> io::Result<PathBuf> {
        make_folder(&self.0)?;
        let history = self.0.join("history");
        backfence_files::open(&history, OpenOptions::new().append(true))?;
        Ok(history)
    }

    /// The key of the cluster at this place, where one that runs there has
    /// [lent](Self::lend) it.
    pub(crate) fn key(&self, place: &str) -> Option<PathBuf> {
        let file = self.key_file(place);
        file.exists().then_some(file)
    }

    /// Lends a cluster's key to this user's clients, by the places that they ask.
    pub(crate) fn lend(&self, key: &Path, places: &[&str]) -> io::Result<Lent> {
        make_folder(&self.0.join("keys"))?;
        let key = fs::read(key)?;
        let mut lent = Lent(Vec::new());
        for place in places {
            let file = self.key_file(place);
            write_private(&file, &key)?;
            lent.0.push(file);
        }
        Ok(lent)
    }

    fn key_file(&self, place: &str) -> PathBuf {
        self.0.join("keys").join(place.replace(':', "_"))
    }

    /// A file for what is logged while somebody sits at the prompt, open at its end. One
    /// that has grown long is put aside, in place of the one before it.
    pub(crate) fn log(&self) -> io::Result<File> {
        make_folder(&self.0)?;
        let path = self.0.join("client.log");
        if fs::metadata(&path).is_ok_and(|file| file.len() > LOG) {
            fs::rename(&path, self.0.join("client.log.old"))?;
        }
        backfence_files::open(&path, OpenOptions::new().append(true).create(true))
    }

    /// Whether somebody has been to this registry, or these front ends, before.
    pub(crate) fn knows(&self, place: &str) -> bool {
        self.places().iter().any(|known| known == place)
    }

    /// Remembers a place. Where that cannot be written down, nothing is lost but a
    /// shorter menu.
    pub(crate) fn remember(&self, place: &str) {
        let mut places = self.places();
        places.retain(|known| known != place);
        places.push(place.to_owned());
        let from = places.len().saturating_sub(PLACES);
        let text: String = places[from..]
            .iter()
            .map(|place| place.clone() + "\n")
            .collect();
        let written =
            make_folder(&self.0).and_then(|()| write_private(&self.0.join("places"), &text));
        if let Err(error) = written {
            tracing::debug!(%error, "cannot remember the place");
        }
    }

    fn places(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.join("places")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// A cluster's key, where clients find it. Dropped, it is taken back.
#[derive(Debug)]
pub(crate) struct Lent(Vec<PathBuf>);

impl Drop for Lent {
    fn drop(&mut self) {
        for file in &self.0 {
            if let Err(error) = fs::remove_file(file) {
                tracing::warn!(%error, "cannot remove the key {}", file.display());
            }
        }
    }
}

/// Replaces a file by one that only its owner can read, in one step.
pub(crate) fn write_private(path: &Path, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let mut new = Replacement::private(path)?;
    new.file.write_all(contents.as_ref())?;
    new.keep()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_remembered_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir(folder.path().join("a/b"));
        assert!(!state.knows("one"));
        state.remember("one");
        assert!(state.knows("one"));
        for number in 0..PLACES {
            state.remember(&number.to_string());
        }
        assert!(!state.knows("one") && state.knows("0"));
    }

    #[test]
    fn a_long_log_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir(folder.path().to_owned());
        let write = |bytes: usize| state.log().unwrap().write_all(&vec![b'x'; bytes]).unwrap();
        let length = |name| fs::metadata(folder.path().join(name)).map(|file| file.len());
        write(LOG as usize);
        write(1);
        assert_eq!(length("client.log").unwrap(), LOG + 1);
        assert!(length("client.log.old").is_err());
        write(2);
        assert_eq!(length("client.log").unwrap(), 2);
        assert_eq!(length("client.log.old").unwrap(), LOG + 1);
    }

    #[cfg(unix)]
    #[test]
    fn files_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old and public").unwrap();
        write_private(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
