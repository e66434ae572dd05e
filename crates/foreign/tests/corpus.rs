//! The fuzz targets' corpus, and drawn changes of it, under the stable compiler.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use backfence_foreign::TARGETS;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Changes of each file of the corpus.
const CHANGES: usize = 60;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = folder().join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Some bytes set, taken out, put in or cut off.
fn changed(bytes: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..4) {
            0 if at < bytes.len() => bytes[at] = random.random(),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            _ => bytes.insert(
                at,
                [0, 0xff, b',', b'\n', random.random()][random.random_range(0..5)],
            ),
        }
    }
    bytes
}

#[test]
fn the_corpus_and_changes_of_it_harm_nothing() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        let mut random = StdRng::seed_from_u64(1);
        for bytes in &corpus {
            let changes = (0..CHANGES).map(|_| changed(bytes, &mut random));
            for bytes in std::iter::once(bytes.clone()).chain(changes) {
                let ran = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
                assert!(ran.is_ok(), "{name} panics at: {}", bytes.escape_ascii());
            }
        }
    }
}

#[test]
fn every_target_can_be_fuzzed() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let file = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(
            file.contains(&format!("backfence_foreign::{name}(")),
            "{name}"
        );
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
