//! What may go to a terminal, and errors on their way there.

use std::collections::BTreeSet;

use backfence_client::Error;
use backfence_process::{Exit, Failure};

use crate::table;

/// Beyond the year 9999 there are no dates; in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// The same text for a terminal: characters that would act on it, or turn the
/// order of others round, are replaced.
pub(crate) fn safe(text: &str) -> String {
    let acts =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| {
            if acts(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// The line in as many as the terminal needs, parted at blanks. Without a terminal, or
/// where that does not know its width, it stays one.
pub(crate) fn fitting(line: &str) -> String {
    match table::width() {
        Some(columns) => parted(line, columns.into()),
        None => line.to_owned(),
    }
}

fn parted(line: &str, columns: usize) -> String {
    // No character is wider than two columns.
    let width = |word: &str| {
        word.chars()
            .map(|c| if c.is_ascii() { 1 } else { 2 })
            .sum::<usize>()
    };
    if width(line) <= columns {
        return line.to_owned();
    }
    let (mut text, mut used) = (String::new(), 0);
    for word in line.split_inclusive(' ') {
        let wide = width(word.trim_end());
        if used > 0 && used + wide > columns {
            text.truncate(text.trim_end().len());
            text.push('\n');
            used = 0;
        }
        text += word;
        used += width(word);
    }
    text
}

/// Five stars for people: `★★★★½`, in halves.
pub(crate) fn stars(rating: f64) -> String {
    let halves = (rating.clamp(0.0, 5.0) * 2.0).round() as usize;
    let (full, half) = (halves / 2, halves % 2);
    "★".repeat(full) + &"½".repeat(half) + &"☆".repeat(5 - full - half)
}

/// `1 rating`, `2 ratings`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

/// The number with its thousands apart: `19,880`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in milliseconds since 1970, in UTC: `2000-07-30 18:45:03 UTC`.
pub(crate) fn moment(milliseconds: u64) -> String {
    let seconds = (milliseconds / 1000).min(LAST_SECOND);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// The day of a time in seconds since 1970, in UTC: `2000-07-30`.
pub(crate) fn date(seconds: u64) -> String {
    let mut date = moment(seconds.min(LAST_SECOND) * 1000);
    date.truncate("2000-07-30".len());
    date
}

/// The same error with the code that a program ends with.
pub(crate) fn failure(error: Error) -> Failure {
    let code = match &error {
        Error::AllBusy | Error::ServerAway { .. } | Error::Unreachable { .. } | Error::NotTaken => {
            Exit::Unavailable
        }
        Error::Behind { .. }
        | Error::OutOfTime { .. }
        | Error::CopiesNotMet { .. }
        | Error::KnownToOne { .. } => Exit::OutOfTime,
        Error::OutcomeUnknown { .. } | Error::TooLate { .. } => Exit::OutcomeUnknown,
        Error::UnknownMovie | Error::UnknownServer { .. } => Exit::NotFound,
        Error::Invalid(_) | Error::Refused { .. } | Error::Unsupported { .. } => Exit::Refused,
        _ => Exit::Internal,
    };
    Failure::new(code, safe(&sentence(&error)))
}

/// What became of it, and what to do.
fn sentence(error: &Error) -> String {
    match error {
        Error::Refused { reason, .. } if reason == "UPDATE_ID_REUSED" => format!(
            "refused ({reason}): the update was not done, since another one was made under the \
             same number: this is an older copy of a session that has gone on since; begin \
             another one (`backfence session reset`)"
        ),
        _ => error.to_string(),
    }
}

/// What to say when servers have come back without something that the session had
/// seen, or will not come back; nothing when none has.
pub(crate) fn loss(servers: &BTreeSet<u32>) -> Option<String> {
    let names: Vec<_> = servers
        .iter()
        .map(|number| format!("server {number}"))
        .collect();
    (!names.is_empty()).then(|| {
        let names = names.join(" and ");
        format!(
            "Note: {names} restarted without its data or was retired; updates you had seen are lost"
        )
    })
}

#[cfg(test)]
mod tests {
    use backfence_client::{SessionId, UpdateId};

    use super::*;

    #[test]
    fn nothing_acts_on_the_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(safe(text), expected);
        check("Amélie 😀", "Amélie 😀");
        check("\u{1b}[2Jgone\r\n", "\u{fffd}[2Jgone\u{fffd}\u{fffd}");
        check("\u{9b}2J\u{202e}txt", "\u{fffd}2J\u{fffd}txt");
    }

    #[test]
    fn long_lines_are_parted_at_blanks() {
        let check = |line: &str, expected: &str| assert_eq!(parted(line, 10), expected);
        check("ten letter", "ten letter");
        check("one, two, three", "one, two,\nthree");
        check("elevenletters", "elevenletters");
        check("a elevenletters b", "a\nelevenletters\nb");
        check("  in 千と千尋の", "  in\n千と千尋の");
    }

    #[test]
    fn stars_are_in_halves() {
        let check = |rating: f64, expected: &str| assert_eq!(stars(rating), expected);
        check(0.0, "☆☆☆☆☆");
        check(0.5, "½☆☆☆☆");
        check(3.92, "★★★★☆");
        check(4.5, "★★★★½");
        check(5.0, "★★★★★");
    }

    #[test]
    fn numbers_are_grouped() {
        let check = |number: u64, expected: &str| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(999, "999");
        check(19_880, "19,880");
        check(1_000_000, "1,000,000");
    }

    #[test]
    fn moments_are_to_the_second() {
        assert_eq!(moment(964_982_703_999), "2000-07-30 18:45:03 UTC");
        assert_eq!(moment(u64::MAX), "9999-12-31 23:59:59 UTC");
    }

    #[test]
    fn dates_are_days() {
        assert_eq!(date(964_982_703), "2000-07-30");
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(u64::MAX), "9999-12-31");
    }

    #[test]
    fn errors_have_the_codes_of_the_table() {
        let check = |error: Error, code: Exit| assert_eq!(failure(error).code(), code);
        let update_id = UpdateId::new(SessionId(1), 1);
        check(Error::AllBusy, Exit::Unavailable);
        check(
            Error::Unreachable {
                tried: Vec::new(),
                last: String::new(),
            },
            Exit::Unavailable,
        );
        check(
            Error::Behind {
                server: 1,
                incarnation: 1,
                number: 1,
            },
            Exit::OutOfTime,
        );
        check(
            Error::OutOfTime {
                limit: Default::default(),
                asked: Vec::new(),
            },
            Exit::OutOfTime,
        );
        check(Error::OutcomeUnknown { update_id }, Exit::OutcomeUnknown);
        check(Error::TooLate { update_id }, Exit::OutcomeUnknown);
        check(Error::NotTaken, Exit::Unavailable);
        let copies = Error::CopiesNotMet {
            update_id,
            copies: 2,
            servers: vec![1],
        };
        check(copies, Exit::OutOfTime);
        check(Error::UnknownMovie, Exit::NotFound);
        check(Error::Invalid(String::new()), Exit::Refused);
    }

    #[test]
    fn a_loss_names_its_servers() {
        assert_eq!(loss(&BTreeSet::new()), None);
        let said = loss(&BTreeSet::from([3, 1])).expect("there is something to say");
        assert!(
            said.starts_with("Note: server 1 and server 3 restarted without"),
            "{said}"
        );
    }
}
