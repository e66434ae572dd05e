//! Only this crate knows protobuf, and no test is skipped in silence.

use std::{fs, path::Path};

/// The lines of a manifest that depend on a crate of prost, in whatever section.
fn on_prost(manifest: &str) -> Vec<&str> {
    let mut is_dependency = false;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            is_dependency = line.contains("dependencies");
        }
        // Also `[dependencies.prost]`, `tonic-prost` and `package = "prost"`.
        is_dependency && line.split('#').next().unwrap_or_default().contains("prost")
    });
    lines.collect()
}

#[test]
fn no_other_crate_depends_on_prost() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut found, mut own) = (Vec::new(), 0);
    for entry in fs::read_dir(crates).expect("the crates") {
        let folder = entry.expect("an entry").path();
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
            continue;
        };
        let lines = on_prost(&manifest);
        if manifest.contains("name = \"backfence-wire\"") {
            own = lines.len();
        } else {
            found.extend(
                lines
                    .iter()
                    .map(|line| format!("{}: {line}", folder.display())),
            );
        }
    }
    assert!(own > 0, "this crate's own dependencies are not found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What a test prints, its runner keeps back where it has passed. A test that is skipped has to
/// be seen.
#[test]
fn who_is_skipped_says_so_past_the_runner() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![crates];
    let (mut kept_back, mut told) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let words: String = text.split_whitespace().collect();
                told += words.matches("io::stderr(),\"SKIPPED").count();
                if words.contains("println!(\"SKIPPED") && path.iter().any(|part| part == "tests") {
                    kept_back.push(path);
                }
            }
        }
    }
    assert!(told > 10, "only {told} are found");
    kept_back.retain(|path| !path.ends_with("tidy.rs"));
    assert!(kept_back.is_empty(), "{kept_back:?} use print");
}

#[test]
fn each_way_to_depend_is_found() {
    let check = |manifest: &str, expected: usize| {
        assert_eq!(on_prost(manifest).len(), expected, "{manifest}");
    };
    check("[dependencies]\nprost.workspace = true", 1);
    check("[dev-dependencies]\ntonic-prost = \"0.14\"", 1);
    check("[build-dependencies]\nother = { package = \"prost\" }", 1);
    check("[target.'cfg(unix)'.dependencies]\nprost = \"0.14\"", 1);
    check("[dependencies.prost]\nworkspace = true", 1);
    check("[dependencies]\ntonic.workspace = true # not prost", 0);
    check("[dependencies]\n[package.metadata]\nprost = true", 0);
}
