//! A session in a file, with real servers: one program reads what another has written,
//! through whichever front end, and what no front end has given out is not believed.
#![cfg(unix)]

#[allow(dead_code)]
mod house;

use std::{fs, path::PathBuf};

use backfence_cluster::{Cluster, Role};
use house::{program, run};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Two servers behind two front ends, and a folder with a session file.
struct Town {
    cluster: Cluster,
    folder: TempDir,
}

impl Town {
    fn new() -> Self {
        let builder = Cluster::builder().replicas(2).front_ends(2);
        Self {
            cluster: builder.start().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("mine")
    }

    /// One program through this front end: its code, and what it said on both.
    fn through(&self, front_end: u32, words: &[&str]) -> (i32, String) {
        let mut command = program();
        command
            .args(["--frontend", &self.cluster.front_end(front_end)])
            .args(["--user", "1", "--session", "mine"])
            .args(words)
            .current_dir(self.folder.path());
        let (code, stdout, stderr) = run(command, "");
        (code, stdout + &stderr)
    }

    fn views(&self, front_end: u32, rating: &str) {
        let expected = format!("The rating that user 1 gave to movie Toy Story was {rating}\n");
        let viewed = self.through(front_end, &["view", "Toy Story"]);
        assert_eq!(viewed, (0, expected));
    }

    /// Rewrites the token in the file.
    fn alter(&self, change: impl FnOnce(&str) -> String) {
        let text = fs::read_to_string(self.file()).unwrap();
        let mut saved: Value = serde_json::from_str(&text).unwrap();
        saved["token"] = json!(change(saved["token"].as_str().unwrap()));
        fs::write(self.file(), saved.to_string()).unwrap();
    }

    /// The session in the file is refused so, and one that begins is not.
    fn refuses(&self, front_end: u32, text: &str) {
        let (code, said) = self.through(front_end, &["rate", "Toy Story", "1"]);
        assert_eq!(code, 4, "{said}");
        for text in [text, "backfence session reset"] {
            assert!(said.contains(text), "{text} in {said}");
        }
        let (code, said) = self.through(front_end, &["session", "reset"]);
        assert!(code == 0 && said.contains("mine.old"), "{said}");
        let (code, said) = self.through(front_end, &["rate", "Toy Story", "3"]);
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn one_program_reads_what_another_has_written() {
    let mut town = Town::new();
    assert_eq!(town.cluster.terminate(Role::Replica(2)).unwrap(), Some(0));
    assert_eq!(town.through(1, &["rate", "Toy Story", "2.5"]).0, 0);
    town.views(2, "2.5");
    // A server that lacks it is the only one to answer.
    town.cluster.stop(Role::Replica(1)).unwrap();
    town.cluster.restart(Role::Replica(2)).unwrap();
    let (code, said) = town.through(2, &["--timeout", "500ms", "view", "Toy Story"]);
    assert!(code == 6 || code == 5, "{said}");
    let (code, said) = town.through(2, &["session", "reset"]);
    assert_eq!(code, 0, "{said}");
    town.views(2, "4.0");
    fs::rename(town.folder.path().join("mine.old"), town.file()).unwrap();
    town.cluster.cont(Role::Replica(1)).unwrap();
    town.views(2, "2.5");
}

/// What was done under its numbers since is compared, so it is not taken for done again.
#[test]
fn an_older_copy_of_a_session_is_told_so() {
    let town = Town::new();
    assert_eq!(town.through(1, &["rate", "Toy Story", "2"]).0, 0);
    let older = fs::read(town.file()).unwrap();
    assert_eq!(town.through(1, &["rate", "Toy Story", "3"]).0, 0);
    fs::write(town.file(), older).unwrap();
    town.refuses(1, "an older copy of a session");
    town.views(1, "3.0");
}

#[test]
fn a_past_that_no_front_end_has_told_is_refused() {
    let mut town = Town::new();
    assert_eq!(town.through(1, &["rate", "Toy Story", "2"]).0, 0);
    town.views(2, "2.0");
    // One hexadecimal digit of the code.
    let flip = |digit: &str| if digit == "0" { "1" } else { "0" };
    town.alter(|token| {
        let (most, last) = token.split_at(token.len() - 1);
        most.to_owned() + flip(last)
    });
    town.refuses(2, "its code is wrong");
    // Without its seal of 46 bytes.
    town.alter(|token| token[..token.len() - 92].to_owned());
    town.refuses(1, "is not protected");

    let other = town.folder.path().join("other.key");
    fs::write(&other, [9; 32]).unwrap();
    let with_other = |args: &mut Vec<String>| {
        let flag = args.iter().position(|arg| arg == "--cluster-key").unwrap();
        args[flag + 1] = other.display().to_string();
    };
    let front_end = Role::FrontEnd(2);
    town.cluster.restart_with(front_end, with_other).unwrap();
    town.cluster
        .wait_for_log(front_end, &["chmod 600"])
        .unwrap();
    town.refuses(2, "need the same --cluster-key");

    let without = |args: &mut Vec<String>| {
        let flag = args.iter().position(|arg| arg == "--cluster-key").unwrap();
        args.drain(flag..flag + 2);
        args.retain(|arg| arg != "--accept-keyless");
    };
    town.cluster.restart_with(front_end, without).unwrap();
    let warned = ["session tokens are not protected"];
    town.cluster.wait_for_log(front_end, &warned).unwrap();
    assert_eq!(town.through(2, &["rate", "Toy Story", "5"]).0, 0);
    town.refuses(1, "is not protected");
}
