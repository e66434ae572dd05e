//! The conversation of the original, and what has been added to it.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    time::Duration,
};

use anstyle::Style;
use backfence_client::{Error, Movie, Rating, Server, Session, UserId};
use backfence_process::{Exit, Failure, OutputError};
use clap::Parser as _;

use crate::{
    answer::{Answer, Titled},
    args::{Ask, Spoken, parse_number, parse_user},
    editor::Wants,
    guide,
    input::{Input, Line, is_gone},
    output::{failure, loss, safe},
    request::{About, Request, ask, resolve},
    saved::SessionFile,
    waiting::{Interrupts, Watched, watched},
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
    /// By Ctrl-C at a prompt, or since the terminal went away.
    Interrupted,
}

/// What a conversation knows besides its session.
#[derive(Debug, Default)]
pub(crate) struct Setting {
    pub(crate) user: Option<UserId>,
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
    };
    let at_terminal = conversation.input.shows_prompts();
    let Err(stop) = conversation.hold().await;
    let ended = match stop {
        Stop::Ended(ended) => ended,
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
}

/// Why a conversation does not go on.
enum Stop {
    Ended(Ended),
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

/// What somebody says to a numbered choice.
enum Choice {
    Number(usize),
    Title(String),
    None,
}

impl<W: Write> Conversation<'_, W> {
    async fn hold(&mut self) -> Result<std::convert::Infallible, Stop> {
        if self.setting.user.is_none() {
            let asked = self.prompt("Enter your user ID: ", Wants::Else, parse_user);
            self.setting.user = Some(asked.await?);
        }
        self.show_menu()?;
        loop {
            let prompt = "What would you like to do? ";
            let said = self.prompt(prompt, Wants::Command, parse_command).await?;
            self.obey(&said).await?;
            if let Some(sentence) = loss(&self.session.take_losses()) {
                self.say(&sentence)?;
            }
        }
    }

    async fn obey(&mut self, said: &Said) -> Result<(), Stop> {
        let Some(user) = self.setting.user else {
            return Ok(());
        };
        let title = guide::words(&said.rest).join(" ");
        match said.command {
            "find" => self.about_movie(title, About::Find).await,
            "view" => self.about_movie(title, About::View(user)).await,
            "average" => self.about_movie(title, About::Average).await,
            "delete" => self.about_movie(title, About::Delete(user)).await,
            "tags" => self.about_movie(title, About::Tags).await,
            "rate" if title.is_empty() => self.rate(user).await,
            "rate" => self.rate_at_once(user, &guide::words(&said.rest)).await,
            "change" if title.is_empty() => self.change().await,
            "help" => self.help(&title),
            "quit" if title.is_empty() => Err(Stop::Ended(Ended::Quit)),
            "quit" => self.say("INVALID: quit stands alone"),
            command => self.parse_and_ask(command, &said.rest).await,
        }
    }

    async fn about_movie(&mut self, title: String, about: About) -> Result<(), Stop> {
        match self.movie(title).await? {
            Some(titled) => self.do_about(titled, about).await,
            None => Ok(()),
        }
    }

    async fn do_about(&mut self, titled: Titled, about: About) -> Result<(), Stop> {
        let asked = self.request(about.changes(), async |session| {
            ask(session, titled, about).await
        });
        match asked.await? {
            Some(answer) => self.answer(answer),
            None => Ok(()),
        }
    }

    async fn rate(&mut self, user: UserId) -> Result<(), Stop> {
        match self.movie(String::new()).await? {
            Some(titled) => self.rate_titled(user, titled).await,
            None => Ok(()),
        }
    }

    async fn rate_titled(&mut self, user: UserId, titled: Titled) -> Result<(), Stop> {
        let parse = |text: &str| text.parse::<Rating>().map_err(|why| why.to_string());
        let rating = self
            .prompt("What rating (0-5)? ", Wants::Else, parse)
            .await?;
        self.do_about(titled, About::Rate(user, rating)).await
    }

    /// `Toy Story 4.5` is a title and a rating; `Toy Story` asks for the rating, as
    /// does `Blade Runner 2049`, whose number is no rating.
    async fn rate_at_once(&mut self, user: UserId, words: &[String]) -> Result<(), Stop> {
        let whole = words.join(" ");
        let Some((last, title)) = words.split_last().filter(|(_, title)| !title.is_empty()) else {
            return self.rate_whole(user, &whole).await;
        };
        let looks_like_one = last.starts_with(|c: char| c.is_ascii_digit() || "-.".contains(c));
        let rating = match last.parse::<Rating>() {
            Ok(rating) => rating,
            Err(_) if !looks_like_one => return self.rate_whole(user, &whole).await,
            Err(why) => {
                return match self.look_up(&whole).await? {
                    Some(Ok(titled)) => self.rate_titled(user, titled).await,
                    Some(Err(_)) => self.say(&format!("INVALID: {why}")),
                    None => Ok(()),
                };
            }
        };
        let Some(found) = self.look_up(&title.join(" ")).await? else {
            return Ok(());
        };
        // `Babylon 5` is no Babylon with a rating of 5.
        if matches!(found, Err(Answer::Unknown(..)))
            && let Some(Ok(titled)) = self.look_up(&whole).await?
        {
            return self.rate_titled(user, titled).await;
        }
        match self.settle(found, true).await? {
            Some(titled) => self.do_about(titled, About::Rate(user, rating)).await,
            None => Ok(()),
        }
    }

    /// All of it is the title.
    async fn rate_whole(&mut self, user: UserId, title: &str) -> Result<(), Stop> {
        match self.movie(title.to_owned()).await? {
            Some(titled) => self.rate_titled(user, titled).await,
            None => Ok(()),
        }
    }

    async fn change(&mut self) -> Result<(), Stop> {
        let asked = self.request(false, async |session| session.status().await);
        let Some(servers) = asked.await?.as_deref().map(numbers) else {
            return Ok(());
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
        let prompt = format!("Which server ({range})? ");
        let server = self.prompt(&prompt, Wants::Else, parse).await?;
        self.send(Request::Change(server)).await
    }

    /// What has options, as on the command line.
    async fn parse_and_ask(&mut self, command: &str, rest: &str) -> Result<(), Stop> {
        let words = [vec![command.to_owned()], guide::words(rest)].concat();
        let asked = match Spoken::try_parse_from(words) {
            Ok(Spoken { ask }) => ask,
            Err(error) => return self.say(&format!("INVALID: {}", reason(&error))),
        };
        if let Ask::Status { watch: true } = asked
            && self.interrupts.is_some()
        {
            return self.watch_status().await;
        }
        match asked.request(self.setting.user) {
            Ok(request) => self.send(request).await,
            Err(why) => self.say(&format!("INVALID: {why}")),
        }
    }

    async fn send(&mut self, request: Request) -> Result<(), Stop> {
        let changes = request.changes();
        let asked = self.request(changes, async |session| request.send(session).await);
        match asked.await? {
            Some(answer) => self.answer(answer),
            None => Ok(()),
        }
    }

    /// Until Ctrl-C, or something goes wrong.
    async fn watch_status(&mut self) -> Result<(), Stop> {
        loop {
            let asked = self.request(false, async |session| session.status().await);
            let Some(servers) = asked.await? else {
                return Ok(());
            };
            let table = Answer::Status(servers).text(true);
            self.write(&format!("\x1b[H\x1b[2J{table}Ctrl-C ends this\n"))?;
            let Some(interrupts) = &mut self.interrupts else {
                return Ok(());
            };
            if tokio::time::timeout(AGAIN, interrupts.next()).await.is_ok() {
                return Ok(());
            }
        }
    }

    /// The movie that is meant; `None` when it has been told that there is none. A
    /// blank title is asked for.
    async fn movie(&mut self, title: String) -> Result<Option<Titled>, Stop> {
        let at_once = !title.is_empty();
        let title = match at_once {
            true => title,
            false => {
                self.prompt("Which movie? ", Wants::Title, parse_title)
                    .await?
            }
        };
        match self.look_up(&title).await? {
            Some(found) => self.settle(found, at_once).await,
            None => Ok(None),
        }
    }

    /// The movie, of several the one that is chosen: at a terminal by its number, else
    /// by another title, unless the first one was given `at_once`.
    async fn settle(
        &mut self,
        mut found: Result<Titled, Answer>,
        at_once: bool,
    ) -> Result<Option<Titled>, Stop> {
        loop {
            let title = match found {
                Ok(titled) => return Ok(Some(titled)),
                Err(Answer::Ambiguous(asked, choices)) if self.interrupts.is_some() => {
                    self.choose(&asked, &choices).await?
                }
                Err(answer) => {
                    let again = matches!(answer, Answer::Ambiguous(..)) && !at_once;
                    self.answer(answer)?;
                    match again {
                        true => Some(
                            self.prompt("Which movie? ", Wants::Title, parse_title)
                                .await?,
                        ),
                        false => None,
                    }
                }
            };
            let Some(title) = title else {
                return Ok(None);
            };
            match self.look_up(&title).await? {
                Some(other) => found = other,
                None => return Ok(None),
            }
        }
    }

    /// `None` when it has been told what went wrong.
    async fn look_up(&mut self, title: &str) -> Result<Option<Result<Titled, Answer>>, Stop> {
        self.request(false, async |session| resolve(session, title).await)
            .await
    }

    /// Which of several movies is meant, as a title; `None` for none of them.
    async fn choose(&mut self, asked: &str, choices: &[Movie]) -> Result<Option<String>, Stop> {
        self.say(&format!("{asked} stands for several movies:"))?;
        for (number, movie) in (1..).zip(choices) {
            self.say(&format!("{number:>4}  {movie}, #{}", movie.id))?;
        }
        let parse = |text: &str| match parse_number(text).map(|number| number as usize) {
            Some(number) if (1..=choices.len()).contains(&number) => Ok(Choice::Number(number)),
            _ if text.is_empty() => Ok(Choice::None),
            _ => Ok(Choice::Title(text.to_owned())),
        };
        let prompt = format!("Which one (1-{}, Enter for none)? ", choices.len());
        Ok(match self.prompt(&prompt, Wants::Title, parse).await? {
            Choice::Number(number) => Some(format!("#{}", choices[number - 1].id)),
            Choice::Title(title) => Some(title),
            Choice::None => None,
        })
    }

    /// Does `work` with the session. Whoever sits at a terminal sees what is waited
    /// for, and may give it up. `None` when it has been told what went wrong.
    async fn request<T>(
        &mut self,
        changes: bool,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, Error>,
    ) -> Result<Option<T>, Stop> {
        if changes {
            self.save(1)?;
        }
        let ended = match &mut self.interrupts {
            Some(interrupts) => {
                let waiting = self.session.watch();
                let work = work(self.session);
                let ended = watched(work, waiting, interrupts, &mut self.output).await;
                ended.map_err(Stop::Output)?
            }
            None => Watched::Done(work(self.session).await),
        };
        self.save(0)?;
        match ended {
            Watched::Done(Ok(answer)) => return Ok(Some(answer)),
            Watched::Done(Err(error)) => self.say(&failure(error).to_string())?,
            Watched::GivenUp if changes => self.say("Given up; it may still be done")?,
            Watched::GivenUp => self.say("Given up")?,
        }
        Ok(None)
    }

    fn save(&self, ahead: u64) -> Result<(), Stop> {
        match &self.setting.file {
            Some(file) => file.save(self.session, ahead).map_err(Stop::Failed),
            None => Ok(()),
        }
    }

    /// Asks until the answer makes sense.
    async fn prompt<T>(
        &mut self,
        prompt: &str,
        wants: Wants,
        parse: impl Fn(&str) -> Result<T, Why>,
    ) -> Result<T, Stop> {
        loop {
            if !self.input.shows_prompts() {
                self.say(prompt.trim_end())?;
            }
            let parsed = match self.input.line(prompt, wants).await {
                Line::Text(text) => parse(text.trim()),
                Line::Malformed(why) => Err(why.to_owned()),
                Line::End => return Err(Stop::Ended(Ended::EndOfInput)),
                Line::Interrupted | Line::Gone => return Err(Stop::Ended(Ended::Interrupted)),
                Line::Failed(why) => {
                    let message = format!("cannot read from stdin: {why}");
                    return Err(Stop::Failed(Failure::new(Exit::Internal, message)));
                }
            };
            match parsed {
                Ok(value) => return Ok(value),
                Err(why) => self.say(&format!("INVALID: {why}"))?,
            }
        }
    }

    /// All of it the first time, and for programs always; to those who have been
    /// here before, one line.
    fn show_menu(&mut self) -> Result<(), Stop> {
        if self.setting.knows_menu {
            return self.write(&guide::short_menu());
        }
        let name = match self.setting.colour {
            true => Style::new().bold(),
            false => Style::new(),
        };
        let mut menu = String::new();
        for (command, what) in guide::COMMANDS {
            menu += &format!("  {name}{command:<8}{name:#} {what}\n");
        }
        if self.interrupts.is_some() {
            menu += &format!("  {name}{:<8}{name:#} everything else, and how\n", "help");
        }
        self.write(&menu)
    }

    fn help(&mut self, about: &str) -> Result<(), Stop> {
        match about {
            "" => self.write(&guide::help()),
            command => match guide::help_for(command) {
                Some(help) => self.write(&help),
                None => self.say(&format!(
                    "INVALID: there is no command {command}; type help"
                )),
            },
        }
    }

    fn answer(&mut self, answer: Answer) -> Result<(), Stop> {
        let at_terminal = self.input.shows_prompts();
        self.write(&answer.text(at_terminal))?;
        match answer.stars() {
            Some(stars) if at_terminal => self.say(&stars),
            _ => Ok(()),
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

fn parse_command(text: &str) -> Result<Said, Why> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let command = guide::command(word)
        .ok_or_else(|| "type find, view, average, rate, delete, change or quit".to_owned())?;
    Ok(Said {
        command,
        rest: rest.to_owned(),
    })
}

/// The first line of what the parser has to say.
pub(crate) fn reason(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().take_while(|line| !line.is_empty());
    let line: Vec<_> = lines.map(str::trim).collect();
    let line = line.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
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
