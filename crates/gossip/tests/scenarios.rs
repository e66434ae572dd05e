//! Scenario scripts: what the protocol does, line by line, with what came of it.
//!
//! Each file in `tests/scenarios` is a script. A line that begins in the first
//! column is a command; the indented lines after it are its expected trace. Run with
//! `UPDATE_TRACES=1` to write the traces anew, then read the difference.

mod script;

use std::{fs, path::Path};

#[test]
fn scenarios_go_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the folder of scenarios")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 10, "scenarios are missing");
    for path in paths {
        let written = fs::read_to_string(&path).expect("a scenario");
        let played = script::play(&written);
        if std::env::var_os("UPDATE_TRACES").is_some() {
            fs::write(&path, played).expect("the scenario can be written");
        } else {
            assert_eq!(played, written, "{} went otherwise", path.display());
        }
    }
}
