//! The reasons of errors are those of the contract.

use std::{fs, path::Path};

use backfence_wire::Reason;

/// Name and code of each reason, as the comment in `frontend.proto` lists them.
fn listed() -> Vec<(String, String)> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/backfence/v1/frontend.proto");
    let contract = fs::read_to_string(path).expect("the contract");
    let (_, table) = contract.split_once("// reasons:\n").expect("a table");
    let lines = table.lines().map_while(|line| line.strip_prefix("//   "));
    // A line that goes on with the meaning is indented further.
    let rows = lines.filter(|line| !line.starts_with(' '));
    rows.map(|row| {
        let mut words = row.split_whitespace().map(str::to_owned);
        let mut word = || words.next().expect("a name, a code, a meaning");
        (word(), word())
    })
    .collect()
}

/// `DeadlineExceeded` as gRPC spells it: `DEADLINE_EXCEEDED`.
fn spelled(code: tonic::Code) -> String {
    let mut spelled = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !spelled.is_empty() {
            spelled.push('_');
        }
        spelled.push(letter.to_ascii_uppercase());
    }
    spelled
}

#[test]
fn reasons_and_codes_are_those_of_the_contract() {
    let known = Reason::ALL
        .iter()
        .map(|reason| (reason.to_string(), spelled(reason.code())));
    assert_eq!(known.collect::<Vec<_>>(), listed());
}

#[test]
fn each_is_read_as_it_is_written() {
    for &reason in Reason::ALL {
        assert_eq!(Reason::read(reason.as_str()), Some(reason));
    }
    for text in ["", "all_busy", "ALL_BUSY ", "SOMETHING_NEW"] {
        assert_eq!(Reason::read(text), None, "{text:?}");
    }
}
