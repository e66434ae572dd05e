//! Conversations with a front end in memory: what goes in, and what comes out.

#[path = "../../client/tests/fake/mod.rs"]
#[allow(dead_code)]
mod fake;

use std::{io, time::Duration};

use backfence_client::{Client, Session, Source, UserId};
use backfence_process::Environment;
use backfence_terminal::{Ended, Input, converse};
use fake::{Fake, Fault, Shared, fail, said, world};
use proptest::prelude::*;
use tonic::Code;

const MENU: &str = "  find     a movie's year and genres
  view     your rating of a movie
  average  the average rating of a movie
  rate     rate a movie, or change your rating
  delete   remove your rating of a movie
  change   take a server offline, or back (for testing)
  quit     leave
";
/// What the prompts for anything but a user ask.
const PROMPTS: [&str; 5] = [
    "What would you like to do?",
    "Which movie?",
    "What rating (0-5)?",
    "Which server (1-3)?",
    "Search for what?",
];

async fn session(fake: &Fake) -> Session {
    let source = Source::FrontEnds(vec![fake.address.clone()]);
    let client = Client::connect(&Environment::real(), source).await.unwrap();
    client.with_limit(Duration::from_secs(20)).session()
}

async fn hold(session: &mut Session, user: Option<u32>, input: &[u8]) -> (String, Ended) {
    let mut output = anstream::StripStream::new(Vec::new());
    let input = Input::lines(io::Cursor::new(input.to_vec()));
    let ended = converse(session, user.map(UserId), input, &mut output).await;
    (
        String::from_utf8(output.into_inner()).unwrap(),
        ended.unwrap(),
    )
}

/// What is said besides prompts and menu when user 1 sends `input` to `world`.
async fn said_to(world: &Shared, input: &str) -> Vec<String> {
    let fake = Fake::start(world).await;
    let (output, _) = hold(&mut session(&fake).await, Some(1), input.as_bytes()).await;
    let answers = output.strip_prefix(MENU).expect("the menu comes first");
    let lines = answers.lines().filter(|line| !PROMPTS.contains(line));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_original_word_for_word() {
    let fake = Fake::start(&world()).await;
    let input = "one\n1\nfind\nToy Story\nVIEW\ntoy story\naverage\nToy Story\nrate\nToy Story\n\
                 2.5\nView\nToy Story\ndelete\nToy Story\nview\nToy Story\nchange\n1\nchange\n1\n\
                 quit\n";
    let (output, ended) = hold(&mut session(&fake).await, None, input.as_bytes()).await;
    let expected = format!(
        "Enter your user ID:
INVALID: a user id is a number from 0 to 4294967295
Enter your user ID:
{MENU}What would you like to do?
Which movie?
Toy Story was made in (1995) and has the genres Adventure|Animation|Children|Comedy|Fantasy
What would you like to do?
Which movie?
The rating that user 1 gave to movie Toy Story was 4.0
What would you like to do?
Which movie?
3.75 is the average rating for Toy Story
What would you like to do?
Which movie?
What rating (0-5)?
Your update has been sent
What would you like to do?
Which movie?
The rating that user 1 gave to movie Toy Story was 2.5
What would you like to do?
Which movie?
Your update has been sent
What would you like to do?
Which movie?
User has not rated that movie
What would you like to do?
Which server (1-3)?
Server status changed from online to offline
What would you like to do?
Which server (1-3)?
Server status changed from offline to online
What would you like to do?
Okay thanks for coming!
"
    );
    assert_eq!(output, expected);
    assert_eq!(ended, Ended::Quit);
}

#[tokio::test]
async fn answers() {
    let check = async |input: &str, expected: &[&str]| {
        let mut found = said_to(&world(), input).await;
        assert_eq!(found.pop().as_deref(), Some("Okay thanks for coming!"));
        assert_eq!(found, expected, "{input:?}");
    };
    check("find\nNowhere\n", &["Nowhere is not in our database yet"]).await;
    check(
        "view\n  toi story\n",
        &[
            "toi story is not in our database yet",
            "Did you mean: Toy Story (1995)?",
        ],
    )
    .await;
    check(
        "find\n5\x1b[2J\n",
        &["5\u{fffd}[2J is not in our database yet"],
    )
    .await;
    check(
        "find\nBabylon 5\nfind\nunlisted\n",
        &[
            "Babylon 5 has no year in our data and has the genres Sci-Fi",
            "Unlisted was made in (2001) and has the genres (no genres listed)",
        ],
    )
    .await;
    let invalid = "INVALID: type find, view, average, rate, delete, change or quit";
    check("fnid\n\nquit\n", &[invalid, invalid]).await;
    check(
        "find\n \n\nToy Story\n",
        &[
            "INVALID: the name is blank",
            "INVALID: the name is blank",
            "Toy Story was made in (1995) and has the genres Adventure|Animation|Children|Comedy|Fantasy",
        ],
    )
    .await;
    check(
        "rate\nToy Story\n6\n-1\nfour\n4.12345\n\n4.1234\nview\nToy Story\n",
        &[
            "INVALID: ratings go from 0 to 5",
            "INVALID: ratings go from 0 to 5",
            "INVALID: a rating is a plain number from 0 to 5, such as 4 or 4.5",
            "INVALID: a rating has at most four decimals",
            "INVALID: a rating is a plain number from 0 to 5, such as 4 or 4.5",
            "Your update has been sent",
            "The rating that user 1 gave to movie Toy Story was 4.1234",
        ],
    )
    .await;
    check(
        "change\n0\n4\none\n3\n",
        &[
            "INVALID: the servers are 1-3",
            "INVALID: the servers are 1-3",
            "INVALID: the servers are 1-3",
            "Server status changed from online to offline",
        ],
    )
    .await;
    check(
        "change\n1\nchange\n2\nview\nToy Story\nchange\n3\nview\nToy Story\nchange\n2\nview\nToy Story\n",
        &[
            "Server status changed from online to offline",
            "Server status changed from online to offline",
            "The rating that user 1 gave to movie Toy Story was 4.0",
            "Server status changed from online to offline",
            "All servers are currently busy, please try again later",
            "Server status changed from offline to online",
            "The rating that user 1 gave to movie Toy Story was 4.0",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_title_of_several_is_asked_for_again() {
    let found = said_to(
        &world(),
        "rate\nhamlet\nhamlet (1996)\n3\nview\n#4\naverage\n#9\n",
    )
    .await;
    let expected = [
        "Several movies match \"hamlet\":",
        "  Hamlet (1990), #3",
        "  Hamlet (1996), #4",
        "Name one with its year, or by its number with the #",
        "Your update has been sent",
        "The rating that user 1 gave to movie Hamlet (1996) was 3.0",
        "Emma (1996) (#9) has no ratings yet",
        "Okay thanks for coming!",
    ];
    assert_eq!(found, expected);
}

/// A blank text is asked for again; options may follow it.
#[tokio::test]
async fn a_bare_search_asks_for_the_text() {
    let asked = said_to(&world(), "search\n\nhamlet --year 1996\n").await;
    let at_once = said_to(&world(), "search hamlet --year 1996\n").await;
    assert_eq!(asked[0], "INVALID: the text is blank");
    assert_eq!(asked[1..], at_once);
    assert!(asked[2].contains("#4"), "{asked:?}");
}

#[tokio::test]
async fn b14_a_movie_whose_ratings_are_deleted_has_no_average() {
    let found = said_to(
        &world(),
        "rate\nUnrated\n2\naverage\nunrated\ndelete\nUnrated\naverage\nunrated\nview\nUnrated\n",
    )
    .await;
    let expected = [
        "Your update has been sent",
        "2.0 is the average rating for Unrated",
        "Your update has been sent",
        "Unrated has no ratings yet",
        "User has not rated that movie",
        "Okay thanks for coming!",
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn b31_any_letter_case_finds_a_movie() {
    for title in ["the matrix", "MATRIX, THE", "Matrix, The (1999)", "matrix"] {
        let found = said_to(&world(), &format!("FIND\n{title}\n")).await;
        let expected = "Matrix, The was made in (1999) and has the genres Action";
        assert_eq!(found[0], expected, "{title:?}");
    }
}

#[tokio::test]
async fn b32_what_looks_like_a_digit_is_no_number() {
    let fake = Fake::start(&world()).await;
    let input = "²\n١\n+1\n4294967296\n7\nrate\nToy Story\n²\n٣\n3\nchange\n²\n1\nquit\n";
    let (output, ended) = hold(&mut session(&fake).await, None, input.as_bytes()).await;
    let invalid = output.lines().filter(|line| line.starts_with("INVALID"));
    assert_eq!((invalid.count(), ended), (7, Ended::Quit), "{output}");
    assert!(output.contains("\nYour update has been sent\n"));
}

#[tokio::test]
async fn b32_input_may_end_at_every_prompt() {
    let fake = Fake::start(&world()).await;
    for input in [
        "",
        "x",
        "1\n",
        "1\nview\n",
        "1\nview\nHamlet\n",
        "1\nrate\nToy Story\n",
        "1\nrate\nToy Story\n9\n",
        "1\nchange\n",
        "1\nchange\n9\n",
    ] {
        let (output, ended) = hold(&mut session(&fake).await, None, input.as_bytes()).await;
        assert_eq!(ended, Ended::EndOfInput, "{input:?}");
        assert!(
            output.ends_with("?\nOkay thanks for coming!\n") || input.len() < 2,
            "{output}"
        );
    }
}

#[tokio::test]
async fn b32_bytes_that_are_no_text_are_invalid() {
    let fake = Fake::start(&world()).await;
    let mut input = b"\xff\n1\n\xc3\x28\nview\n\xf0\x9f\n".to_vec();
    input.extend(vec![b'x'; 1 << 20]);
    input.extend(b"\nToy Story\nquit");
    let (output, ended) = hold(&mut session(&fake).await, None, &input).await;
    let invalid: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("INV"))
        .collect();
    let not_text = "INVALID: the line is not UTF-8";
    let too_long = "INVALID: the line is longer than 4096 bytes";
    assert_eq!(invalid, [not_text, not_text, not_text, too_long]);
    assert!(output.contains("was 4.0\n"), "{output}");
    assert_eq!(ended, Ended::Quit);
}

/// Whatever goes wrong far away is a sentence, and the conversation goes on.
#[tokio::test]
async fn b33_no_remote_error_ends_the_conversation() {
    let behind = [("server", "2"), ("incarnation", "77"), ("number", "5")];
    for (status, sentence) in [
        (
            said(Code::Unavailable, "ALL_BUSY", &[]),
            "All servers are currently busy, please try again later",
        ),
        (
            said(Code::ResourceExhausted, "LOG_FULL", &[]),
            "refused (LOG_FULL): the fake says LOG_FULL",
        ),
        (
            said(Code::NotFound, "UNKNOWN_MOVIE", &[]),
            "there is no movie with that id; find one by its title first",
        ),
        (
            said(Code::InvalidArgument, "INVALID", &[]),
            "the request is invalid: the fake says INVALID",
        ),
        (
            tonic::Status::internal("\x1b[31mboo"),
            "the front end at http://127.0.0.1:",
        ),
        (
            said(Code::DeadlineExceeded, "BEHIND", &behind[..1]),
            "the front end at http://127.0.0.1:",
        ),
    ] {
        let world = world();
        let fake = Fake::start(&world).await;
        let mut session = session(&fake).await;
        session.find("toy story").await.unwrap();
        fail(&world, [Fault::Say(status)]);
        let input = b"view\nToy Story\nview\nToy Story\nquit\n";
        let (output, ended) = hold(&mut session, Some(1), input).await;
        let lines: Vec<_> = output.lines().skip(MENU.lines().count()).collect();
        assert!(lines[2].starts_with(sentence), "{output}");
        assert!(!output.contains('\x1b'));
        assert_eq!(
            lines[5],
            "The rating that user 1 gave to movie Toy Story was 4.0"
        );
        assert_eq!(ended, Ended::Quit);
    }
}

#[tokio::test]
async fn b33_a_front_end_that_goes_away_is_told_and_not_fatal() {
    // Its connections are tasks, which end with their runtime.
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    let started = elsewhere.spawn(async { Fake::start(&world()).await });
    let fake = started.await.unwrap();
    let mut session = {
        let source = Source::FrontEnds(vec![fake.address.clone()]);
        let client = Client::connect(&Environment::real(), source).await.unwrap();
        client.with_limit(Duration::from_millis(300)).session()
    };
    session.find("toy story").await.unwrap();
    elsewhere.shutdown_background();
    let input = b"view\nToy Story\nrate\nToy Story\nchange\nquit\n";
    let (output, ended) = hold(&mut session, Some(1), input).await;
    assert_eq!(ended, Ended::Quit, "{output}");
    let lines: Vec<_> = output.lines().skip(MENU.lines().count()).collect();
    assert_eq!(lines.len(), 10, "{output}");
    for line in [lines[2], lines[5], lines[7]] {
        assert!(
            line.starts_with("no ") && line.ends_with("try again"),
            "{output}"
        );
    }
}

/// A reader that goes away ends it with the error that a program is silent about.
#[tokio::test]
async fn a_closed_output_ends_it_quietly() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let fake = Fake::start(&world()).await;
    let input = Input::lines(io::Cursor::new(b"1\n".to_vec()));
    let ended = converse(&mut session(&fake).await, None, input, Closed).await;
    let error = ended.unwrap_err();
    let error = error.downcast_ref::<backfence_process::OutputError>();
    assert!(matches!(
        error,
        Some(backfence_process::OutputError::Closed)
    ));
}

fn lines() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "find",
        "view",
        "average",
        "rate",
        "delete",
        "change",
        "toy story",
        "hamlet",
        "#3",
        "4.5",
        "2",
        "99999999999",
        "",
        "²",
    ]);
    let line = prop_oneof![
        4 => word.prop_map(|word| word.as_bytes().to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..40),
        1 => any::<String>().prop_map(String::into_bytes),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join(&b'\n'))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_input_crashes_it(input in lines()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let output = runtime.block_on(async {
            let fake = Fake::start(&world()).await;
            hold(&mut session(&fake).await, None, &input).await.0
        });
        prop_assert!(output.ends_with("Okay thanks for coming!\n"));
        prop_assert!(output.chars().all(|c| c == '\n' || !c.is_control()));
        prop_assert!(!output.contains("gave a wrong answer"), "{}", output);
    }
}
