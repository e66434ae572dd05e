//! A base in a file.
//!
//! The parts of the base follow one another; then comes a description of them in JSON,
//! and at the very end where that begins and what it hashes to. The end is written
//! last, and the file gets its name only when all of it is on the disk. So what has
//! the name and the end is whole, unless the disk has lost something since: the parts
//! that are read at start are hashed then, the ratings themselves only on demand.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    BadRow, Base, Loaded, Skipped,
    sections::{Section, Sections},
    sources::Sources,
};

/// The last bytes of every file. The digit is the version of the format, and of the rules
/// by which rows are read and titles are folded.
const MAGIC: &[u8; 8] = b"BFbase2\n";
/// The length of the description, what it hashes to, and the magic.
const END: usize = 24;
/// Longer parts are hashed only on demand. Only the ratings have such.
const LONG: usize = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Description {
    sources: Sources,
    fingerprint: String,
    skipped: u64,
    first_skipped: Vec<BadRow>,
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    from: usize,
    to: usize,
    width: usize,
    hash: u64,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("there is none yet")]
    Missing,
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is no base of this version of the program, or was cut short")]
    Foreign,
    #[error("it is damaged")]
    Damaged,
    #[error("{0}")]
    Stale(&'static str),
}

/// Writes the file, whole, on the disk, and under its name, or not at all.
///
/// `sources` is asked last: it may still be at work when the parts are being written.
pub(crate) fn write(
    path: &Path,
    loaded: &Loaded,
    sources: impl FnOnce() -> io::Result<Sources>,
) -> io::Result<()> {
    let new = path.with_extension("new");
    let written = write_new(&new, loaded, sources).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // It would only take room. It is overwritten next time anyway.
        let _ = fs::remove_file(&new);
    }
    written?;
    backfence_files::sync_name(path)
}

fn write_new(
    new: &Path,
    loaded: &Loaded,
    sources: impl FnOnce() -> io::Result<Sources>,
) -> io::Result<()> {
    // A crash may have left one, which nobody may write to.
    let _ = fs::remove_file(new);
    // In a folder that others can look into, it is theirs too.
    let mut options = match new.parent().is_some_and(backfence_files::is_shared) {
        true => File::options(),
        false => backfence_files::private(),
    };
    let file = options.read(true).write(true).create_new(true).open(new)?;
    let mut out = BufWriter::with_capacity(1 << 20, &file);
    let mut parts = Vec::new();
    let mut from = 0;
    for Section { width, bytes } in loaded.base.write().0 {
        out.write_all(&bytes)?;
        parts.push(Part {
            from,
            to: from + bytes.len(),
            width,
            hash: xxh3_64(&bytes),
        });
        from += bytes.len();
    }
    let description = serde_json::to_vec(&Description {
        sources: sources()?,
        fingerprint: loaded.base.fingerprint(),
        skipped: loaded.skipped.count,
        first_skipped: loaded.skipped.first.clone(),
        parts,
    })?;
    out.write_all(&description)?;
    out.write_all(&(description.len() as u64).to_le_bytes())?;
    out.write_all(&xxh3_64(&description).to_le_bytes())?;
    out.write_all(MAGIC)?;
    out.flush()?;
    let mut permissions = file.metadata()?.permissions();
    // Elsewhere such a file could not be replaced.
    permissions.set_readonly(cfg!(unix));
    file.set_permissions(permissions)?;
    file.sync_all()
}

/// Maps the file, if it was made of these sources; with `verify` all of it is hashed.
pub(crate) fn open(path: &Path, sources: &Sources, verify: bool) -> Result<Loaded, Unusable> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unusable::Missing,
        _ => error.into(),
    })?;
    let bytes = backfence_mapped::map(&file)?;
    let description = describe(&bytes).ok_or(Unusable::Foreign)?;
    description
        .sources
        .check(sources)
        .map_err(Unusable::Stale)?;
    let mut sections = Sections::default();
    for part in &description.parts {
        let within = part.from <= part.to && part.to <= bytes.len();
        let section = within.then(|| bytes.slice(part.from..part.to));
        let section = section.ok_or(Unusable::Damaged)?;
        if (verify || section.len() <= LONG) && xxh3_64(&section) != part.hash {
            return Err(Unusable::Damaged);
        }
        sections.push(part.width, section);
    }
    let fingerprint = u128::from_str_radix(&description.fingerprint, 16);
    let fingerprint = fingerprint.map_err(|_| Unusable::Damaged)?;
    Ok(Loaded {
        base: Base::restore(sections, fingerprint).map_err(|_| Unusable::Damaged)?,
        skipped: Skipped {
            count: description.skipped,
            first: description.first_skipped,
        },
    })
}

fn describe(bytes: &Bytes) -> Option<Description> {
    let (rest, end) = bytes.split_at_checked(bytes.len().checked_sub(END)?)?;
    let (numbers, magic) = end.split_at(END - MAGIC.len());
    if magic != MAGIC {
        return None;
    }
    let number = |at: usize| {
        Some(u64::from_le_bytes(
            numbers.get(at..at + 8)?.try_into().ok()?,
        ))
    };
    let length = usize::try_from(number(0)?).ok()?;
    let description = rest.get(rest.len().checked_sub(length)?..)?;
    if xxh3_64(description) != number(8)? {
        return None;
    }
    serde_json::from_slice(description).ok()
}
