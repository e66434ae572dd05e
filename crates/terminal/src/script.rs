//! Commands, one a line, from standard input.

use std::io::{BufReader, IsTerminal as _};

use backfence_client::{Session, UserId};
use backfence_process::{Exit, Failure};
use clap::Parser as _;

use crate::{
    answer::Answer,
    args::Format,
    ask::{Ask, Spoken},
    busy,
    editor::Wants,
    guide,
    input::{Input, Line},
    json, output,
    plain::reason,
    saved::SessionFile,
};

/// What answers look like, and where the session is kept.
pub(crate) struct Manner<'a> {
    pub(crate) user: Option<UserId>,
    pub(crate) format: Format,
    pub(crate) file: Option<&'a SessionFile>,
}

impl Manner<'_> {
    /// Asks one thing and prints the answer. Gives the code that it would end a
    /// program with.
    pub(crate) async fn ask(&self, session: &mut Session, ask: &Ask) -> anyhow::Result<Exit> {
        let request = ask.request(self.user)?;
        if let (true, Some(file)) = (request.changes(), self.file) {
            file.save(session, 1)?;
        }
        let answer = request.send(session).await;
        if let Err(error) = &answer
            && let Some(why) = busy::why(session, error).await
        {
            anstream::eprintln!("{why}");
        }
        if let Some(file) = self.file {
            file.save(session, 0)?;
        }
        if let Some(sentence) = output::loss(&session.take_losses()) {
            anstream::eprintln!("{sentence}");
        }
        show(self.format, answer.map_err(output::failure)?)
    }
}

/// Prints an answer on stdout. Gives the code that it would end a program with.
pub(crate) fn show(format: Format, answer: Answer) -> anyhow::Result<Exit> {
    match format {
        Format::Json => backfence_process::print(json::line(&answer) + "\n")?,
        format => {
            let text = answer.text(format == Format::Table);
            backfence_process::print(&text)?;
            if let Some(updated) = answer.updated() {
                backfence_process::print(updated + "\n")?;
            }
            if let (true, Some(stars)) = (std::io::stdout().is_terminal(), answer.stars()) {
                backfence_process::print(stars + "\n")?;
            }
        }
    }
    Ok(answer.exit())
}

/// Does the commands on standard input. Stops at the first that fails, unless it is
/// to keep going; the code is that of the first in any case.
pub(crate) async fn run(
    session: &mut Session,
    manner: &Manner<'_>,
    keep_going: bool,
) -> anyhow::Result<Exit> {
    let mut input = Input::lines(BufReader::new(std::io::stdin()));
    let mut first = Exit::Done;
    for number in 1_u64.. {
        let said = match input.line("", Wants::Command).await {
            Line::Text(text) | Line::Pasted(text) => Ok(text),
            Line::Malformed(why) => Err(why.to_owned()),
            Line::End | Line::Interrupted | Line::Gone => break,
            Line::Failed(why) => {
                let message = format!("cannot read from stdin: {why}");
                return Err(Failure::new(Exit::Internal, message).into());
            }
        };
        let done = match said.and_then(|line| parse(&line)) {
            Ok(None) => continue,
            Ok(Some(ask)) => manner.ask(session, &ask).await,
            Err(why) => Err(Failure::new(Exit::Usage, why).into()),
        };
        let code = match done {
            Ok(code) => code,
            Err(error) => tell(number, error)?,
        };
        if first == Exit::Done {
            first = code;
        }
        if code != Exit::Done && !keep_going {
            break;
        }
    }
    Ok(first)
}

/// `None` for a line without a command.
fn parse(line: &str) -> Result<Option<Ask>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut words = guide::plain_words(line);
    if let Some(command) = words.first_mut() {
        *command = command.to_lowercase();
    }
    match Spoken::try_parse_from(words) {
        Ok(Spoken { ask }) => Ok(Some(ask)),
        Err(error) => Err(reason(&error)),
    }
}

/// Says on stderr what went wrong in a line, and gives its code. What is no failure
/// of a request, such as a closed output, ends the script.
fn tell(line: u64, error: anyhow::Error) -> anyhow::Result<Exit> {
    match error.downcast::<Failure>() {
        Ok(failure) => {
            eprintln!("error: line {line}: {failure}");
            Ok(failure.code())
        }
        Err(error) => Err(error),
    }
}
