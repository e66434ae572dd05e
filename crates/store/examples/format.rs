//! Writes the small store that stands for the current format in the tests, once the format
//! has changed:
//!
//! `cargo run -p backfence-store --example format -- crates/store/tests/formats/N`
//!
//! The file is the same each time. What it holds is described by
//! `tests/support/sample.rs`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{env, error::Error, fs, path::Path};

use backfence_store::Store;
use redb::Database;
use support::{SERVER, base, directory::FILE, sample};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).ok_or("say into which folder")?;
    let to = Path::new(&folder).join(FILE);
    if to.exists() {
        return Err(format!("{} is there already", to.display()).into());
    }
    let directory = tempfile::tempdir()?;
    let (mut store, _) = Store::open(directory.path(), SERVER, base(sample::RATED))?;
    sample::write(&mut store)?;
    drop(store);
    let from = directory.path().join(FILE);
    // Whatever room a database holds in advance is not worth keeping.
    Database::open(&from)?.compact()?;
    fs::create_dir_all(&folder)?;
    fs::copy(from, &to)?;
    println!("{}: {} bytes", to.display(), to.metadata()?.len());
    Ok(())
}
