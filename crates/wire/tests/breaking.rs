//! Nothing that a release has fixed of the protos has changed since: they are only added to.

mod released;

use std::io::Write as _;
use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::Path,
    process::{Command, Output},
};

use prost_reflect::{DescriptorPool, EnumDescriptor, Kind, MessageDescriptor, ServiceDescriptor};

#[test]
fn what_each_release_had_is_there() {
    let now = facts(&released::current());
    for (path, then) in released() {
        let gone: Vec<_> = then.difference(&now).collect();
        assert!(gone.is_empty(), "{path} has, and proto/ lacks, {gone:#?}");
    }
}

/// The descriptor set of the release in work is not forgotten.
#[test]
fn the_newest_release_has_all_that_there_is() {
    let (path, then) = released().pop().expect("there is one");
    let now = facts(&released::current());
    let added: Vec<_> = now.difference(&then).collect();
    assert!(
        added.is_empty(),
        "{path} lacks {added:#?}: read the head of tests/golden.rs",
    );
}

#[test]
fn each_kind_of_fact_is_noted() {
    let now = facts(&released::current());
    for fact in [
        "file backfence/v1/replica.proto",
        "message backfence.v1.Run.Numbered in backfence/v1/replica.proto",
        "backfence.v1.Timestamp.entries = 1: list of backfence.v1.Timestamp.Entry",
        "backfence.v1.Movie.year = 3: optional uint32 in _year",
        "backfence.v1.PeerMessage.offer = 2: optional backfence.v1.Offer in body",
        "backfence.v1.State.Executed.Reply reserves 3..4",
        "backfence.v1.DECLINED_OFFLINE = 1 of backfence.v1.Declined",
        "backfence.v1.Replica.Gossip: stream of backfence.v1.PeerMessage to stream of backfence.v1.PeerMessage",
    ] {
        assert!(now.contains(fact), "{fact:?} is not in {now:#?}");
    }
}

#[test]
fn buf_finds_no_breaking_change() {
    for (_, path) in released::files(&released::descriptors()) {
        let against = path.to_str().expect("a path in UTF-8");
        let Some(said) = buf(&["breaking", ".", "--against", against]) else {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED breaking::buf_finds_no_breaking_change: buf is not installed \
                 (npm install -g @bufbuild/buf)"
            );
            return;
        };
        assert!(said.status.success(), "{against}: {said:#?}");
    }
}

#[test]
fn buf_finds_no_fault_of_style() {
    let Some(said) = buf(&["lint", "."]) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED breaking::buf_finds_no_fault_of_style: buf is not installed \
             (npm install -g @bufbuild/buf)"
        );
        return;
    };
    assert!(said.status.success(), "{said:#?}");
}

/// Runs buf on the protos; `None` where it is not installed.
fn buf(arguments: &[&str]) -> Option<Output> {
    let protos = released::descriptors().join("..");
    let run = Command::new("buf")
        .current_dir(protos)
        .args(arguments)
        .output();
    match run {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        run => Some(run.expect("buf can be run")),
    }
}

/// What each release has fixed, the oldest first.
fn released() -> Vec<(String, BTreeSet<String>)> {
    let files = released::files(&released::descriptors()).into_iter();
    let read = |path: &Path| {
        let bytes = fs::read(path).expect("the file is there");
        facts(&DescriptorPool::decode(&*bytes).expect("a descriptor set"))
    };
    let files = files.map(|(_, path)| (path.display().to_string(), read(&path)));
    files.collect()
}

/// All that bytes, JSON and generated code depend on, each in a line.
fn facts(pool: &DescriptorPool) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    facts.extend(pool.files().map(|file| format!("file {}", file.name())));
    pool.all_messages()
        .for_each(|message| note_message(&message, &mut facts));
    pool.all_enums().for_each(|of| note_enum(&of, &mut facts));
    pool.services()
        .for_each(|service| note_service(&service, &mut facts));
    facts
}

fn note_message(message: &MessageDescriptor, facts: &mut BTreeSet<String>) {
    let name = message.full_name();
    let file = message.parent_file();
    facts.insert(format!("message {name} in {}", file.name()));
    for range in message.reserved_ranges() {
        facts.insert(format!("{name} reserves {}..{}", range.start, range.end));
    }
    for field in message.fields() {
        let cardinality = match () {
            () if field.is_list() => "list of ",
            () if field.supports_presence() => "optional ",
            () => "",
        };
        let kind = match field.kind() {
            Kind::Message(of) => of.full_name().to_owned(),
            Kind::Enum(of) => of.full_name().to_owned(),
            scalar => format!("{scalar:?}"),
        };
        let choice = field.containing_oneof();
        let choice = choice.map_or(String::new(), |oneof| format!(" in {}", oneof.name()));
        let (field, number) = (field.full_name(), field.number());
        facts.insert(format!("{field} = {number}: {cardinality}{kind}{choice}"));
    }
}

fn note_enum(of: &EnumDescriptor, facts: &mut BTreeSet<String>) {
    let name = of.full_name();
    facts.insert(format!("enum {name} in {}", of.parent_file().name()));
    for value in of.values() {
        let (value, number) = (value.full_name(), value.number());
        facts.insert(format!("{value} = {number} of {name}"));
    }
}

fn note_service(service: &ServiceDescriptor, facts: &mut BTreeSet<String>) {
    for method in service.methods() {
        let stream = |is_stream: bool| if is_stream { "stream of " } else { "" };
        facts.insert(format!(
            "{}: {}{} to {}{}",
            method.full_name(),
            stream(method.is_client_streaming()),
            method.input().full_name(),
            stream(method.is_server_streaming()),
            method.output().full_name(),
        ));
    }
}
