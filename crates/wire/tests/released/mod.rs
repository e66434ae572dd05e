//! What releases have fixed of the wire: of each a golden file, `tests/golden/VERSION.txt`,
//! and a descriptor set, `proto/released/VERSION.binpb`.
//!
//! The release in work is the greatest of these versions and of the package's.
//! `UPDATE_GOLDEN=1` writes the two files of that one, and never those of a version before.
//! So the package gets its next version right after a release.

#![allow(dead_code, reason = "each test uses its own part")]

pub(crate) mod messages;
pub(crate) mod sample;

use std::{
    fs,
    path::{Path, PathBuf},
};

use backfence_wire::DESCRIPTOR;
use prost_reflect::{DescriptorPool, prost::Message as _, prost_types::FileDescriptorSet};

/// A version, such as 0.2.0.
pub(crate) type Version = [u64; 3];

/// Reads a version.
pub(crate) fn version(text: &str) -> Version {
    let numbers: Option<Vec<_>> = text.split('.').map(|part| part.parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
    numbers.unwrap_or_else(|| panic!("{text} is no version"))
}

/// The files of a folder by the release that they are of, the oldest first.
pub(crate) fn files(folder: &Path) -> Vec<(Version, PathBuf)> {
    let entries = fs::read_dir(folder).expect("the folder is committed");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths
        .map(|path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            (version(stem.expect("a name in UTF-8")), path)
        })
        .collect();
    files.sort();
    files
}

/// The release in work.
pub(crate) fn in_work() -> Version {
    let newest = files(&golden()).pop().map(|(version, _)| version);
    let own = version(env!("CARGO_PKG_VERSION"));
    newest.map_or(own, |newest| newest.max(own))
}

/// The folder of golden files.
pub(crate) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The folder of descriptor sets.
pub(crate) fn descriptors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/released")
}

/// The protos as they are.
pub(crate) fn current() -> DescriptorPool {
    DescriptorPool::decode(DESCRIPTOR).expect("our own descriptor set")
}

/// The descriptor set of the protos as they are, without their comments.
pub(crate) fn current_set() -> Vec<u8> {
    let mut set = FileDescriptorSet::decode(DESCRIPTOR).expect("our own descriptor set");
    for file in &mut set.file {
        file.source_code_info = None;
    }
    set.encode_to_vec()
}
