//! Files that never change, mapped into memory.
//!
//! The one place of the workspace with `unsafe`: no crate maps a file without it,
//! since nothing keeps a file from being changed under the mapping.

use std::{fs::File, io};

use bytes::Bytes;
use memmap2::Mmap;

/// The contents of the file, without reading it: pages come when they are touched,
/// and all processes that map the file share them.
///
/// The file has to be one that nobody writes to or cuts short from now on; it may be
/// removed, or another put in its place by a rename. Where somebody does cut it short,
/// the process is ended by a signal (`SIGBUS`) when it touches what is gone.
///
/// # Errors
///
/// If the system cannot map it.
#[allow(unsafe_code)]
pub fn map(file: &File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the bytes must not change while they are borrowed. The callers map only
    // files that they have made read-only and put in place whole by a rename, and that
    // no part of this project writes to afterwards. Every bit pattern is a valid byte,
    // and nothing is assumed of the contents.
    let mapping = unsafe { Mmap::map(file) }?;
    Ok(Bytes::from_owner(mapping))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::map;

    #[test]
    fn the_contents_are_there_and_outlive_the_name() {
        for contents in [&b""[..], b"some bytes"] {
            let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
            file.write_all(contents).expect("it is written");
            let mapped = map(file.as_file()).expect("it is mapped");
            drop(file);
            assert_eq!(mapped, contents);
        }
    }
}
