//! A new file that takes the place of another.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    hash::{BuildHasher as _, RandomState},
    io,
    path::{Path, PathBuf},
};

/// So often another name is tried where somebody has taken one.
const TRIES: usize = 8;

/// A new file beside the one whose place it takes, under a name that nobody can guess. It is
/// removed unless it is kept.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    new: PathBuf,
    /// To write to.
    pub file: File,
}

impl Replacement {
    /// One that only its owner can read.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn private(path: &Path) -> io::Result<Self> {
        Self::new(path, crate::private())
    }

    /// One with these permissions; without them as the system gives them.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or may not have them.
    pub fn with(path: &Path, permissions: Option<Permissions>) -> io::Result<Self> {
        let replacement = Self::new(path, OpenOptions::new())?;
        if let Some(permissions) = permissions {
            replacement.file.set_permissions(permissions)?;
        }
        Ok(replacement)
    }

    fn new(path: &Path, mut options: OpenOptions) -> io::Result<Self> {
        options.write(true).create_new(true);
        let mut tries = 0..TRIES;
        loop {
            let new = beside(path);
            match options.open(&new) {
                Ok(file) => {
                    let path = path.to_owned();
                    return Ok(Self { path, new, file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    tries.next().ok_or(error)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the other's place, on the disk, in one step: whoever reads it, and whoever is
    /// interrupted, finds the old file or the new one.
    ///
    /// # Errors
    ///
    /// If it cannot be synced or renamed.
    pub fn keep(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.new, &self.path)?;
        crate::sync_name(&self.path)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // Where it was kept there is none by this name any more.
        let _ = fs::remove_file(&self.new);
    }
}

/// A name beside this one.
fn beside(path: &Path) -> PathBuf {
    // The state is drawn at random for each.
    let drawn = RandomState::new().hash_one(std::process::id());
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{drawn:016x}.new"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let write = |text: &str, kept: bool| {
            let mut new = Replacement::private(&path).expect("it is made");
            new.file.write_all(text.as_bytes()).expect("it is written");
            if kept {
                new.keep().expect("it is kept");
            }
        };
        write("one", true);
        write("two", false);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "one");
        write("three", true);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "three");
        assert_eq!(fs::read_dir(folder.path()).expect("it is ours").count(), 1);
        assert!(!crate::is_shared(&path));
    }

    #[test]
    fn names_cannot_be_guessed() {
        let names = [0; 3].map(|_| beside(Path::new("file")));
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
    }
}
