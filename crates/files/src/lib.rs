//! Files and folders that only their owner can look into, and files that take another's place
//! in one step.
//!
//! A file that others can read tells them what is in it, and one that they can open they can
//! lock. A name that others can guess they can take first, with a link to a file of ours. So
//! what is made here is private (0600, folders 0700), a file that is there already is made
//! private when it is opened, and what is new is made exclusively. Where permissions are not
//! those of Unix they stay as the system gives them.

mod replacement;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::Path,
};

pub use replacement::Replacement;

/// Options for a file that only its owner can read, where they make one.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Opens a file with these options, or makes it. It is private then.
///
/// # Errors
///
/// As of [`OpenOptions::open`]; also where the name is a link, or that of no plain file, and
/// where a file that others can look into belongs to somebody else.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    match options.create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let named = fs::symlink_metadata(path)?;
    if !named.is_file() {
        return Err(no_plain_file());
    }
    let file = options.create_new(false).open(path)?;
    if !is_same(&named, &file.metadata()?) {
        return Err(no_plain_file());
    }
    make_private(&file)?;
    Ok(file)
}

fn no_plain_file() -> io::Error {
    let why = "it is a link, or no plain file; remove it";
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Takes from others what they may do with this file.
///
/// # Errors
///
/// If they may do something, and the file belongs to somebody else.
pub fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata()?.permissions().mode();
        if mode & OTHERS != 0 {
            file.set_permissions(fs::Permissions::from_mode(mode & 0o700))?;
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Whether others than its owner can look into this file or folder, or change it. Where that
/// cannot be told they cannot.
pub fn is_shared(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).is_ok_and(|there| there.permissions().mode() & OTHERS != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// What the group and all others may do.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// Makes a private folder, with those above it that there are not yet, and has their names on
/// the disk. One that is there stays as it is.
///
/// # Errors
///
/// If it cannot be made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    make_folder(above(path))?;
    match make_new_folder(path) {
        // Another program has just made it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// Makes a private folder, and has its name on the disk.
///
/// # Errors
///
/// If it cannot be made, or something has the name.
pub fn make_new_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    sync_name(path)
}

/// Has the name of a file or folder on the disk: it is there after a crash only when the
/// folder that has it was synced.
///
/// # Errors
///
/// If that cannot be synced.
pub fn sync_name(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(above(path))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// The folder of a path.
fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}

/// Whether these are of one file.
#[cfg(unix)]
fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Nobody can tell.
#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        let there = fs::metadata(path).expect("it is there");
        there.permissions().mode() & 0o777
    }

    #[test]
    fn files_and_folders_are_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a/b");
        make_folder(&deep).expect("it is made");
        assert_eq!((mode(&deep), mode(above(&deep))), (0o700, 0o700));
        assert!(!is_shared(&deep));
        let path = deep.join("file");
        for wider in [None, Some(0o644), Some(0o666)] {
            if let Some(wider) = wider {
                fs::set_permissions(&path, fs::Permissions::from_mode(wider)).expect("it is ours");
                assert!(is_shared(&path));
            }
            open(&path, OpenOptions::new().append(true)).expect("it is ours");
            assert_eq!(mode(&path), 0o600, "{wider:?}");
        }
    }

    #[test]
    fn a_folder_that_is_there_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        make_folder(folder.path()).expect("it is there");
        assert_eq!(mode(folder.path()), 0o755);
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, "precious").expect("it is written");
        symlink(&victim, &link).expect("it is made");
        for target in [&link, &folder.path().to_owned()] {
            let error = open(target, OpenOptions::new().append(true)).expect_err("no plain file");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{target:?}");
        }
        symlink(
            folder.path().join("nowhere"),
            folder.path().join("dangling"),
        )
        .expect("it is made");
        open(
            &folder.path().join("dangling"),
            OpenOptions::new().append(true),
        )
        .expect_err("a link");
        assert_eq!(
            fs::read_to_string(&victim).expect("it is there"),
            "precious"
        );
    }
}
