//! Numbers and other words of a command, and what is wrong with them in plain sentences.

use std::ops::RangeInclusive;

use backfence_client::UserId;

use crate::guide;

/// What is wrong with a line at the prompt or in a script, as a sentence about that
/// line.
pub(crate) fn reason(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let about = |kind| said(kind).unwrap_or_default();
    // `--limit <LIMIT>` is --limit, `<SERVER>` is the server.
    let named = |argument: &str| {
        let word = argument.split_whitespace().next().unwrap_or_default();
        word.trim_matches(['<', '>', '[', ']', '.']).to_lowercase()
    };
    match (error.kind(), said(ContextKind::InvalidArg)) {
        (ErrorKind::InvalidSubcommand, _) => {
            unknown_command(&about(ContextKind::InvalidSubcommand))
        }
        (ErrorKind::ValueValidation, Some(argument)) => {
            let why = std::error::Error::source(error).map(ToString::to_string);
            let value = about(ContextKind::InvalidValue);
            format!("{} {value}: {}", named(&argument), why.unwrap_or_default())
        }
        (ErrorKind::InvalidValue, Some(argument)) => {
            let allowed = about(ContextKind::ValidValue);
            match about(ContextKind::InvalidValue).as_str() {
                "" => format!("{} needs a value", named(&argument)),
                value => format!("{} {value}: give one of {allowed}", named(&argument)),
            }
        }
        (ErrorKind::MissingRequiredArgument, Some(missing)) => {
            format!("give the {} as well", named(&missing))
        }
        (ErrorKind::TooFewValues, _) => "give a title and a rating".to_owned(),
        (ErrorKind::UnknownArgument, Some(option)) if option.starts_with('-') => {
            format!("there is no option {option}")
        }
        (ErrorKind::UnknownArgument, Some(word)) => format!("{word} is one word too many"),
        (ErrorKind::ArgumentConflict, Some(option)) => {
            format!("give {} only once", named(&option))
        }
        (ErrorKind::TooManyValues, Some(option)) => format!("{} takes no value", named(&option)),
        _ => "that cannot be understood".to_owned(),
    }
}

fn unknown_command(word: &str) -> String {
    match guide::near(word) {
        Some(near) => format!("there is no command {word}; did you mean {near}?"),
        None => format!("there is no command {word}"),
    }
}

/// Reads a number that is not too low and not too high.
pub(crate) fn within(
    allowed: RangeInclusive<u32>,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = parse_number(text).filter(|number| allowed.contains(number));
        let (least, most) = (allowed.start(), allowed.end());
        number.ok_or_else(|| match *most {
            u32::MAX => format!("give a number, {least} or more"),
            most => format!("give a number from {least} to {most}"),
        })
    }
}

pub(crate) fn parse_year(text: &str) -> Result<u16, String> {
    let year = parse_number(text).and_then(|year| u16::try_from(year).ok());
    year.filter(|&year| year <= 9999)
        .ok_or_else(|| "give a year, such as 1995".to_owned())
}

/// Reads a user id: digits, nothing else. `u32::from_str` would take `+1`.
pub(crate) fn parse_user(text: &str) -> Result<UserId, String> {
    parse_number(text)
        .map(UserId)
        .ok_or_else(|| format!("a user id is a number from 0 to {}", u32::MAX))
}

/// Reads a number of ASCII digits: `²` is a digit for Unicode, and no number.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}
