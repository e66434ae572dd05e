//! What is shown, and what is asked.

use std::io::Write;

use anstyle::Style;
use backfence_client::{Error, Session};
use backfence_process::{Exit, Failure};

use super::{Conversation, Ended, Stop, Why};
use crate::{
    answer::Answer,
    busy,
    editor::Wants,
    guide,
    input::Line,
    output::{failure, fitting, safe},
    waiting::{Watched, watched},
};

impl<W: Write> Conversation<'_, W> {
    /// Does `work` with the session. Whoever sits at a terminal sees what is waited
    /// for, and may give it up. `None` when it has been told what went wrong.
    pub(super) async fn request<T>(
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
                let waiting = || waiting.borrow().to_string();
                let work = work(self.session);
                let ended = watched(work, waiting, interrupts, &mut self.output).await;
                ended.map_err(Stop::Output)?
            }
            None => Watched::Done(work(self.session).await),
        };
        self.save(0)?;
        match ended {
            Watched::Done(Ok(answer)) => return Ok(Some(answer)),
            Watched::Done(Err(error)) => {
                // Programs get the sentence of the original, and nothing else.
                let why = match self.interrupts {
                    Some(_) => busy::why(self.session, &error).await,
                    None => None,
                };
                self.say(&failure(error).to_string())?;
                if let Some(why) = why {
                    self.say(&why)?;
                }
            }
            Watched::GivenUp => {
                // Nor does anybody want what was pasted with it.
                self.input.forget();
                self.say(match changes {
                    true => "Given up; it may still take effect",
                    false => "Given up",
                })?;
            }
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
    pub(super) async fn prompt<T>(
        &mut self,
        prompt: &str,
        wants: Wants,
        parse: impl Fn(&str) -> Result<T, Why>,
    ) -> Result<T, Stop> {
        loop {
            if !self.input.shows_prompts() {
                self.say(prompt.trim_end())?;
            }
            let line = self.input.line(prompt, wants).await;
            if line != Line::Interrupted {
                self.interrupted = 0;
            }
            let parsed = match line {
                Line::Text(text) => parse(text.trim()),
                Line::Pasted(text) => {
                    self.write(&format!("{prompt}{}\n", safe(&text)))?;
                    parse(text.trim())
                }
                Line::Malformed(why) => Err(why.to_owned()),
                Line::End => return Err(Stop::Ended(Ended::EndOfInput)),
                Line::Interrupted => return Err(Stop::Back),
                Line::Gone => return Err(Stop::Ended(Ended::Interrupted)),
                Line::Failed(why) => {
                    let message = format!("cannot read from stdin: {why}");
                    return Err(Stop::Failed(Failure::new(Exit::Internal, message)));
                }
            };
            match parsed {
                Ok(value) => return Ok(value),
                Err(why) => {
                    for line in format!("INVALID: {why}").lines() {
                        self.say(line)?;
                    }
                }
            }
        }
    }

    /// All of it the first time, and for programs always; to those who have been
    /// here before, one line.
    pub(super) fn show_menu(&mut self) -> Result<(), Stop> {
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

    pub(super) fn help(&mut self, about: &str) -> Result<(), Stop> {
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

    pub(super) fn answer(&mut self, answer: Answer) -> Result<(), Stop> {
        let at_terminal = self.input.shows_prompts();
        if let Answer::Status(servers) = &answer {
            self.setting.servers.set(servers);
        }
        // The original shows all digits.
        let whole = self.in_steps && matches!(answer, Answer::Average(..));
        self.write(&answer.text(at_terminal && !whole))?;
        if let (false, Some(updated)) = (self.in_steps, answer.updated()) {
            self.say(&updated)?;
        }
        match answer.stars() {
            Some(stars) if at_terminal => match answer.rounded() {
                Some(average) if whole => self.say(&format!("{stars} {average}")),
                _ => self.say(&stars),
            },
            _ => Ok(()),
        }
    }

    pub(super) fn say(&mut self, sentence: &str) -> Result<(), Stop> {
        let line = safe(sentence) + "\n";
        match self.input.shows_prompts() {
            true => self.write(&fitting(&line)),
            false => self.write(&line),
        }
    }

    pub(super) fn write(&mut self, text: &str) -> Result<(), Stop> {
        self.output
            .write_all(text.as_bytes())
            .and_then(|()| self.output.flush())
            .map_err(Stop::Output)
    }
}
