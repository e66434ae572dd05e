//! Every message of the wire is what it was in each release.
//!
//! A golden file has lines of the name of a message, a blank, and the bytes of a sample in
//! hexadecimal digits, `-` where there are none; of a message with a choice of fields, a
//! line for each. What a release has written is read by all that follow, and written again
//! without a change.
//!
//! When a message or a field is added: add a message to `released/messages.rs`, see that
//! the package has the version of the release in work, and not of one that is out, and run
//!
//! ```sh
//! UPDATE_GOLDEN=1 cargo test -p backfence-wire --test golden
//! ```
//!
//! This writes the golden file and the descriptor set of the release in work, anew or for
//! the first time. Commit both. The files of releases before stay as they are.

mod released;

use std::{env, fmt::Write as _, fs, path::PathBuf, sync::Once};

use prost_reflect::{DynamicMessage, prost::Message as _};
use released::{messages::MESSAGES, sample::samples};

const PACKAGE: &str = "backfence.v1.";

#[test]
fn what_each_release_wrote_is_read_and_written_again() {
    for (_, path) in golden() {
        let file = path.display();
        let text = fs::read_to_string(&path).expect("the file is there");
        assert!(text.ends_with('\n'), "{file} is empty, or cut short");
        for line in text.lines() {
            let (name, bytes) = read(line);
            let Some(name) = name.strip_prefix(PACKAGE) else {
                panic!("{file}: {name} is of another package");
            };
            let (_, again) = MESSAGES
                .iter()
                .find(|(listed, _)| *listed == name)
                .unwrap_or_else(|| panic!("{file}: released/messages.rs lacks {name}"));
            assert_eq!(again(&bytes), Ok(bytes), "{file}: {name}");
        }
    }
}

#[test]
fn the_newest_release_has_the_messages_of_the_protos() {
    let (_, path) = golden().pop().expect("there is one");
    let text = fs::read_to_string(&path).expect("the file is there");
    let mut written = text.lines();
    for line in lines() {
        assert_eq!(
            written.next(),
            Some(&*line),
            "{} is of other protos: read the head of {}",
            path.display(),
            file!(),
        );
    }
    assert_eq!(written.next(), None, "{} has more", path.display());
}

#[test]
fn every_message_is_listed() {
    let current = released::current();
    let mut messages: Vec<_> = current.all_messages().collect();
    messages.retain(|message| message.package_name() == PACKAGE.trim_end_matches('.'));
    let mut messages: Vec<_> = messages.iter().map(|one| one.full_name()).collect();
    messages.sort_unstable();
    let mut listed: Vec<_> = MESSAGES
        .iter()
        .map(|(name, _)| format!("{PACKAGE}{name}"))
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, messages);
}

/// The golden files, the oldest first; that of the release in work is written where that
/// is asked for.
fn golden() -> Vec<(released::Version, PathBuf)> {
    static WRITTEN: Once = Once::new();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        WRITTEN.call_once(|| {
            let [major, minor, patch] = released::in_work();
            let version = format!("{major}.{minor}.{patch}");
            let text: String = lines().flat_map(|line| [line, "\n".to_owned()]).collect();
            let golden = released::golden().join(format!("{version}.txt"));
            let descriptors = released::descriptors().join(format!("{version}.binpb"));
            fs::write(golden, text).expect("the golden file can be written");
            fs::write(descriptors, released::current_set()).expect("so can the set");
        });
    }
    released::files(&released::golden())
}

/// The lines of a golden file of the protos as they are.
fn lines() -> impl Iterator<Item = String> {
    let current = released::current();
    MESSAGES.iter().flat_map(move |(name, again)| {
        let name = format!("{PACKAGE}{name}");
        let message = current.get_message_by_name(&name);
        let message = message.unwrap_or_else(|| panic!("there is no {name}"));
        let line = |sample: DynamicMessage| {
            // Fields are in prost's order, which is not that of their numbers everywhere.
            let bytes = again(&sample.encode_to_vec()).expect("a sample is a message");
            let read = DynamicMessage::decode(message.clone(), &*bytes);
            assert_eq!(read.as_ref(), Ok(&sample), "{name}");
            write(&name, &bytes)
        };
        samples(&message).into_iter().map(line).collect::<Vec<_>>()
    })
}

fn write(name: &str, bytes: &[u8]) -> String {
    let mut line = format!("{name} ");
    if bytes.is_empty() {
        line.push('-');
    }
    for byte in bytes {
        write!(line, "{byte:02x}").expect("a string takes it");
    }
    line
}

fn read(line: &str) -> (&str, Vec<u8>) {
    let (name, digits) = line.split_once(' ').expect("a name and bytes");
    let digits = if digits == "-" { "" } else { digits };
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        panic!("{name}: a digit is missing");
    };
    let byte = |pair: &[u8; 2]| {
        let pair = std::str::from_utf8(pair).expect("digits are ASCII");
        u8::from_str_radix(pair, 16).expect("hexadecimal digits")
    };
    (name, pairs.iter().map(byte).collect())
}
