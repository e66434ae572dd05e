//! The conversation of the original, and what has been added to it.

mod bulk;
mod commands;
mod movie;
mod screen;

use std::{
    io::{self, Write},
    time::Duration,
};

use backfence_client::{Session, UserId};
use backfence_process::{Failure, OutputError};

use crate::{
    editor::Wants,
    guide,
    input::{Input, is_gone},
    output::loss,
    plain::parse_user,
    saved::SessionFile,
    servers::Servers,
    waiting::Interrupts,
};

/// How often a watched status is shown again.
pub(crate) const AGAIN: Duration = Duration::from_secs(1);

/// How a conversation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By `quit`.
    Quit,
    /// There was no more input.
    EndOfInput,
    /// Since the terminal went away.
    Interrupted,
}

/// What a conversation knows besides its session.
#[derive(Debug, Default)]
pub(crate) struct Setting {
    pub(crate) user: Option<UserId>,
    /// Those that were seen last, for Tab.
    pub(crate) servers: Servers,
    /// They have been here before.
    pub(crate) knows_menu: bool,
    pub(crate) colour: bool,
    pub(crate) file: Option<SessionFile>,
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
    let setting = Setting {
        user,
        ..Setting::default()
    };
    converse_in(session, setting, input, output).await
}

pub(crate) async fn converse_in<W: Write>(
    session: &mut Session,
    setting: Setting,
    input: Input,
    output: W,
) -> anyhow::Result<Ended> {
    let interrupts = match input.shows_prompts() {
        true => Some(Interrupts::listen()?),
        false => None,
    };
    let mut conversation = Conversation {
        session,
        setting,
        interrupts,
        input,
        output,
        in_steps: false,
        interrupted: 0,
    };
    let at_terminal = conversation.input.shows_prompts();
    let Err(stop) = conversation.hold().await;
    let ended = match stop {
        Stop::Ended(ended) => ended,
        // It is asked again in both places where it comes to that.
        Stop::Back => Ended::Interrupted,
        Stop::Output(error) if at_terminal && is_gone(&error) => Ended::Interrupted,
        Stop::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Err(OutputError::Closed.into());
        }
        Stop::Output(error) => return Err(OutputError::Failed(error).into()),
        Stop::Failed(failure) => return Err(failure.into()),
    };
    match conversation.say("Okay thanks for coming!") {
        // A terminal that went away may look like the end of input, until it is told.
        Err(Stop::Output(error)) if at_terminal && is_gone(&error) => Ok(Ended::Interrupted),
        Err(Stop::Output(_)) if ended == Ended::EndOfInput => Ok(ended),
        Err(Stop::Output(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(OutputError::Failed(error).into())
        }
        _ => Ok(ended),
    }
}

struct Conversation<'a, W> {
    session: &'a mut Session,
    setting: Setting,
    /// There where somebody sits at a terminal.
    interrupts: Option<Interrupts>,
    input: Input,
    output: W,
    /// The command asks for what it needs, in the sentences of the original.
    in_steps: bool,
    /// How often Ctrl-C came since something else was typed.
    interrupted: u32,
}

/// Why a conversation does not go on.
enum Stop {
    Ended(Ended),
    /// By Ctrl-C the command is given up; what to do is asked again.
    Back,
    Output(io::Error),
    Failed(Failure),
}

/// Why an answer to a prompt makes no sense.
type Why = String;

/// A line at the prompt: a command, and what follows it.
struct Said {
    command: &'static str,
    rest: String,
}

impl<W: Write> Conversation<'_, W> {
    async fn hold(&mut self) -> Result<std::convert::Infallible, Stop> {
        while self.setting.user.is_none() {
            let asked = self.prompt("Enter your user ID: ", Wants::Else, parse_user);
            let asked = asked.await;
            self.setting.user = self.unless_back(asked)?;
        }
        self.show_menu()?;
        loop {
            let prompt = "What would you like to do? ";
            let at_terminal = self.input.shows_prompts();
            let parse = |text: &str| {
                // Programs get the sentence of the original, and nothing else.
                let hint = |why| match at_terminal {
                    true => format!("{why}\n{}", hint(text)),
                    false => why,
                };
                parse_command(text).map_err(hint)
            };
            let said = self.prompt(prompt, Wants::Command, parse).await;
            let Some(said) = self.unless_back(said)? else {
                continue;
            };
            let obeyed = self.obey(&said).await;
            self.unless_back(obeyed)?;
            if let Some(sentence) = loss(&self.session.take_losses()) {
                self.say(&sentence)?;
            }
        }
    }
}

impl<W: Write> Conversation<'_, W> {
    /// `None` where Ctrl-C has given it up. The second in a row says how to leave.
    fn unless_back<T>(&mut self, done: Result<T, Stop>) -> Result<Option<T>, Stop> {
        let Err(Stop::Back) = done else {
            return done.map(Some);
        };
        // Nor does anybody want what was pasted with it.
        self.input.forget();
        self.interrupted += 1;
        if self.interrupted > 1 {
            self.say("To leave, type quit or press Ctrl-D")?;
        }
        Ok(None)
    }
}

/// What else could be done with a line that is no command.
fn hint(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    match guide::near(word) {
        Some(near) => format!("Did you mean {near}? Type help for all commands"),
        None => "Type help for all commands".to_owned(),
    }
}

fn parse_command(text: &str) -> Result<Said, Why> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let command = guide::command(word)
        .ok_or_else(|| "type find, view, average, rate, delete, change or quit".to_owned())?;
    Ok(Said {
        command,
        rest: rest.to_owned(),
    })
}
