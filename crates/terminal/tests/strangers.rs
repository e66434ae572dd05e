//! Who answers is of another version, or no front end at all: a sentence says what to
//! do, and the session goes on.

#[allow(dead_code)]
mod house;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use house::{
    House,
    fake::{Fault, fail, said},
    program, run,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, service::Routes, transport::Server};

/// The same with each of them: one command in the shell, and at the prompt.
fn check(address: &str, words: &[&str], code: i32, sentence: &str) {
    let with = |words: &[&str], input: &str| {
        let mut command = program();
        command.args(["--frontend", address, "--user", "1", "--timeout", "1s"]);
        command.args(words);
        run(command, input)
    };
    let (found, stdout, stderr) = with(words, "");
    assert_eq!((found, stdout.as_str()), (code, ""), "{words:?}: {stderr}");
    assert!(
        stderr.starts_with("error: ") && stderr.contains(sentence),
        "{words:?}: {stderr}"
    );
    let (found, stdout, stderr) = with(&[], &format!("{}\nquit\n", words.join(" ")));
    assert_eq!((found, stderr.as_str()), (0, ""), "{words:?}");
    assert!(stdout.contains(sentence), "{words:?}: {stdout}");
    assert!(
        stdout.ends_with("Okay thanks for coming!\n"),
        "{words:?}: {stdout}"
    );
}

const ALL: [&[&str]; 13] = [
    &["find", "toy", "story"],
    &["rate", "toy", "story", "3"],
    &["search", "toy"],
    &["ratings"],
    &["top"],
    &["status"],
    &["change", "1", "offline"],
    &["members"],
    &["digest"],
    &["log", "1"],
    &["gossip", "1"],
    &["at-risk"],
    &["retire", "1"],
];

#[test]
fn an_older_server_knows_no_such_request() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = Server::builder().add_routes(Routes::default());
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    });
    let sentence =
        format!("the front end at http://{address} does not know this request: it is of an older");
    for words in ALL {
        check(&address, words, 4, &sentence);
    }
}

/// Everything that a reply should have is missing.
#[test]
fn a_wrong_answer_is_told() {
    for words in ALL {
        let house = House::new();
        fail(&house.world, (0..20).map(|_| Fault::Blank));
        let address = house.fake.address.to_string();
        if ["status", "members", "digest", "gossip", "at-risk", "retire"].contains(&words[0]) {
            // No server is no wrong answer, nor is one that was not retired yet.
            assert_eq!(house.run(words, "").0, 0);
            continue;
        }
        let sentence = format!("the front end at http://{address} gave a wrong answer: ");
        check(&address, words, 1, &sentence);
    }
}

/// What a newer one refuses for a reason that did not exist yet.
#[test]
fn a_reason_of_the_future_is_shown() {
    let house = House::new();
    let future = || Fault::Say(said(Code::FailedPrecondition, "OUT_OF_POPCORN", &[]));
    fail(&house.world, (0..20).map(|_| future()));
    let sentence = "refused (OUT_OF_POPCORN): the fake says OUT_OF_POPCORN";
    check(
        &house.fake.address.to_string(),
        &["find", "toy story"],
        4,
        sentence,
    );
}

/// Something else listens there, and answers as a web server of old, or never.
#[test]
fn what_is_no_front_end_is_told() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..],
        b"",
        b"\0\xff\0",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // It may be gone again.
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer);
            }
        });
        let sentence = format!("no answer has come in 1s from http://{address}; try again");
        check(&address, &["find", "toy story"], 6, &sentence);
    }
}
