//! The conversation of the original.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use anstyle::Style;
use backfence_client::{Error, Rating, Server, Session, UserId};
use backfence_process::{Exit, Failure, OutputError};

use crate::{
    answer::{Answer, Titled},
    args::{parse_number, parse_user},
    input::{Input, Line},
    output::{failure, safe},
    request::{About, Request, ask, resolve},
};

const COMMANDS: [(&str, &str); 7] = [
    ("find", "a movie's year and genres"),
    ("view", "your rating of a movie"),
    ("average", "the average rating of a movie"),
    ("rate", "rate a movie, or change your rating"),
    ("delete", "take your rating of a movie back"),
    ("change", "take a server offline, or back (for testing)"),
    ("quit", "leave"),
];

/// How a conversation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By `quit`.
    Quit,
    /// There was no more input.
    EndOfInput,
    /// By Ctrl-C at a prompt.
    Interrupted,
}

/// Asks for a user, unless one is given, and then what to do, until there is an
/// end. Whatever goes wrong with a request is a sentence, and the conversation
/// goes on. Where the input shows no prompts, each stands on a line of its own.
///
/// # Errors
///
/// When the output takes no more, or the input cannot be read.
pub async fn converse<W: Write>(
    session: &mut Session,
    user: Option<UserId>,
    input: Input,
    output: W,
) -> anyhow::Result<Ended> {
    let mut conversation = Conversation {
        session,
        input,
        output,
    };
    let Err(stop) = conversation.hold(user).await;
    let ended = match stop {
        Stop::Ended(ended) => ended,
        Stop::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Err(OutputError::Closed.into());
        }
        Stop::Output(error) => return Err(OutputError::Failed(error).into()),
        Stop::Input(why) => {
            let message = format!("cannot read from stdin: {why}");
            return Err(Failure::new(Exit::Internal, message).into());
        }
    };
    match conversation.say("Okay thanks for coming!") {
        Err(Stop::Output(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(OutputError::Failed(error).into())
        }
        _ => Ok(ended),
    }
}

struct Conversation<'a, W> {
    session: &'a mut Session,
    input: Input,
    output: W,
}

/// Why a conversation does not go on.
enum Stop {
    Ended(Ended),
    Output(io::Error),
    Input(String),
}

/// Why an answer to a prompt makes no sense.
type Why = String;

impl<W: Write> Conversation<'_, W> {
    async fn hold(&mut self, user: Option<UserId>) -> Result<std::convert::Infallible, Stop> {
        let user = match user {
            Some(user) => user,
            None => self.prompt("Enter your user ID: ", parse_user).await?,
        };
        self.show_menu()?;
        loop {
            let command = self.prompt("What would you like to do? ", parse_command);
            match command.await? {
                "find" => self.about_movie(About::Find).await?,
                "view" => self.about_movie(About::View(user)).await?,
                "average" => self.about_movie(About::Average).await?,
                "delete" => self.about_movie(About::Delete(user)).await?,
                "rate" => self.rate(user).await?,
                "change" => self.change().await?,
                _ => return Err(Stop::Ended(Ended::Quit)),
            }
        }
    }

    async fn about_movie(&mut self, about: About) -> Result<(), Stop> {
        let Some(titled) = self.movie().await? else {
            return Ok(());
        };
        let answer = ask(self.session, titled, about).await;
        self.answer(answer)
    }

    async fn rate(&mut self, user: UserId) -> Result<(), Stop> {
        let Some(titled) = self.movie().await? else {
            return Ok(());
        };
        let parse = |text: &str| text.parse::<Rating>().map_err(|why| why.to_string());
        let rating = self.prompt("What rating (0-5)? ", parse).await?;
        let answer = ask(self.session, titled, About::Rate(user, rating)).await;
        self.answer(answer)
    }

    async fn change(&mut self) -> Result<(), Stop> {
        let servers = match self.session.status().await {
            Ok(servers) => numbers(&servers),
            Err(error) => return self.answer(Err(error)),
        };
        if servers.is_empty() {
            return self.say("No server is known yet, please try again later");
        }
        let range = range(&servers);
        let parse = |text: &str| {
            parse_number(text)
                .filter(|number| servers.contains(number))
                .ok_or_else(|| format!("the servers are {range}"))
        };
        let server = self
            .prompt(&format!("Which server ({range})? "), parse)
            .await?;
        let answer = Request::Change(server).send(self.session).await;
        self.answer(answer)
    }

    /// The movie that is meant; `None` when it has been told that there is none. A
    /// title of several is asked for again.
    async fn movie(&mut self) -> Result<Option<Titled>, Stop> {
        loop {
            let title = self.prompt("Which movie? ", parse_title).await?;
            match resolve(self.session, &title).await {
                Ok(Ok(titled)) => return Ok(Some(titled)),
                Ok(Err(answer @ Answer::Ambiguous(..))) => self.answer(Ok(answer))?,
                Ok(Err(answer)) => {
                    self.answer(Ok(answer))?;
                    return Ok(None);
                }
                Err(error) => {
                    self.answer(Err(error))?;
                    return Ok(None);
                }
            }
        }
    }

    /// Asks until the answer makes sense.
    async fn prompt<T>(
        &mut self,
        prompt: &str,
        parse: impl Fn(&str) -> Result<T, Why>,
    ) -> Result<T, Stop> {
        loop {
            if !self.input.shows_prompts() {
                self.say(prompt.trim_end())?;
            }
            let parsed = match self.input.line(prompt).await {
                Line::Text(text) => parse(text.trim()),
                Line::Malformed(why) => Err(why.to_owned()),
                Line::End => return Err(Stop::Ended(Ended::EndOfInput)),
                Line::Interrupted => return Err(Stop::Ended(Ended::Interrupted)),
                Line::Failed(why) => return Err(Stop::Input(why)),
            };
            match parsed {
                Ok(value) => return Ok(value),
                Err(why) => self.say(&format!("INVALID: {why}"))?,
            }
        }
    }

    fn show_menu(&mut self) -> Result<(), Stop> {
        let name = Style::new().bold();
        for (command, what) in COMMANDS {
            let line = writeln!(self.output, "  {name}{command:<8}{name:#} {what}");
            line.map_err(Stop::Output)?;
        }
        self.output.flush().map_err(Stop::Output)
    }

    fn answer(&mut self, answer: Result<Answer, Error>) -> Result<(), Stop> {
        match answer {
            Ok(answer) => self.write(&answer.text(self.input.shows_prompts())),
            Err(error) => self.say(&failure(error).to_string()),
        }
    }

    fn say(&mut self, sentence: &str) -> Result<(), Stop> {
        self.write(&(safe(sentence) + "\n"))
    }

    fn write(&mut self, text: &str) -> Result<(), Stop> {
        self.output
            .write_all(text.as_bytes())
            .and_then(|()| self.output.flush())
            .map_err(Stop::Output)
    }
}

fn parse_command(text: &str) -> Result<&'static str, Why> {
    let known = COMMANDS.iter().map(|&(command, _)| command);
    known
        .into_iter()
        .find(|command| command.eq_ignore_ascii_case(text))
        .ok_or_else(|| "type find, view, average, rate, delete, change or quit".to_owned())
}

fn parse_title(text: &str) -> Result<String, Why> {
    if text.is_empty() {
        return Err("the name is blank".to_owned());
    }
    Ok(text.to_owned())
}

/// In order, each once.
fn numbers(servers: &[Server]) -> Vec<u32> {
    let numbers: BTreeSet<_> = servers.iter().map(|server| server.server).collect();
    numbers.into_iter().collect()
}

/// `1-3`, or `1, 3` where one between is missing.
fn range(numbers: &[u32]) -> String {
    match numbers {
        [first, .., last] if (last - first) as usize + 1 == numbers.len() => {
            format!("{first}-{last}")
        }
        _ => {
            let all: Vec<_> = numbers.iter().map(u32::to_string).collect();
            all.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_leave_nothing_out() {
        let check = |numbers: &[u32], expected: &str| assert_eq!(range(numbers), expected);
        check(&[1, 2, 3], "1-3");
        check(&[1], "1");
        check(&[1, 3], "1, 3");
        check(&[2, 3], "2-3");
    }
}
