//! Licences and sources of all dependencies, and which there may not be, by the lists in
//! `deny.toml`. Where `cargo-deny` is installed, `cargo deny check` looks closer.

use std::io::Write as _;
use std::{fs, path::Path, process::Command};

use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The texts of a list in `deny.toml`, on one line or several.
fn list(toml: &str, section: &str, name: &str) -> Vec<String> {
    let (_, rest) = toml.split_once(section).expect("the section");
    let (_, rest) = rest.split_once(&format!("\n{name} = [")).expect("the list");
    let (list, _) = rest.split_once(']').expect("the end of the list");
    let texts = list.split('"').skip(1).step_by(2);
    texts.map(str::to_owned).collect()
}

/// Whether a licence expression of SPDX can be met with these: of what `OR` joins one, of what
/// `AND` joins all. In old ones `/` stands for `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ");
    let spaced = spaced.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let met = any_of(&mut rest, allowed);
    met && rest.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while let ["OR", rest @ ..] = words {
        *words = rest;
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while let ["AND", rest @ ..] = words {
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    let (name, rest) = match words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = any_of(words, allowed);
            let [")", rest @ ..] = words else {
                return false;
            };
            *words = rest;
            return met;
        }
        [name, "WITH", exception, rest @ ..] => (format!("{name} WITH {exception}"), rest),
        [name, rest @ ..] => ((*name).to_owned(), rest),
        [] => return false,
    };
    *words = rest;
    allowed.contains(&name)
}

#[test]
fn every_dependency_is_allowed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let toml = fs::read_to_string(root.join("deny.toml")).expect("deny.toml");
    let (licences, banned) = (
        list(&toml, "[licenses]", "allow"),
        list(&toml, "[bans]", "deny"),
    );
    let metadata = Command::new(env!("CARGO"))
        .current_dir(&root)
        .args(["metadata", "--format-version", "1", "--all-features"])
        .args(["--offline", "--locked"])
        .output()
        .expect("cargo runs");
    if !metadata.status.success() {
        let why = String::from_utf8_lossy(&metadata.stderr);
        // It wants those of other systems too, which a build has not fetched.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED every_dependency_is_allowed: run `cargo fetch` first; {why}"
        );
        return;
    }
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let mut faults = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence, &licences) {
            faults.push(format!("the licence of {name} is {licence}"));
        }
        if let Some(source) = package["source"].as_str()
            && source != CRATES_IO
        {
            faults.push(format!("{name} comes from {source}"));
        }
        if banned.iter().any(|banned| banned == name) {
            faults.push(format!("{name} is banned"));
        }
        let is_ours = package["source"].is_null();
        let dependencies = package["dependencies"].as_array().expect("a list");
        for dependency in dependencies.iter().filter(|_| is_ours) {
            if dependency["req"] == "*" && dependency["path"].is_null() {
                faults.push(format!("{name} depends on any {}", dependency["name"]));
            }
        }
    }
    assert!(packages.len() > 100, "only {} packages", packages.len());
    assert!(faults.is_empty(), "{}; see deny.toml", faults.join("\n"));
}

#[test]
fn licences_are_read() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    let check = |expression: &str, expected| {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    };
    check("MIT", true);
    check("GPL-3.0", false);
    check("GPL-3.0 OR MIT", true);
    check("GPL-3.0/MIT", true);
    check("GPL-3.0 AND MIT", false);
    check("MIT AND Zlib", true);
    check("GPL-3.0 AND MIT OR Zlib", true);
    check("(GPL-3.0 OR MIT) AND Zlib", true);
    check("(GPL-3.0 OR MIT) AND Unlicense", false);
    check("Apache-2.0 WITH LLVM-exception", true);
    check("Apache-2.0", false);
    check("MIT WITH LLVM-exception", false);
    check("none", false);
    check("(MIT", false);
    check("MIT Zlib", false);
    check("", false);
}
