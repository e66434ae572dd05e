//! Which movie is meant.

use std::io::Write;

use backfence_client::Movie;

use super::{Conversation, Stop, Why};
use crate::{
    answer::{Answer, Titled, several},
    editor::Wants,
    plain::parse_number,
    readings::Readings,
    request::resolve,
};

/// What somebody says to a numbered choice.
enum Choice {
    Number(usize),
    Title(String),
    None,
}

/// How a title with a number behind it is read.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// The number is a rating.
    Rated,
    /// It ends the title.
    Titled,
}

impl<W: Write> Conversation<'_, W> {
    /// The movie that is meant; `None` when it has been told that there is none. A
    /// blank title is asked for.
    pub(super) async fn movie(&mut self, title: String) -> Result<Option<Titled>, Stop> {
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
    pub(super) async fn settle(
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
    pub(super) async fn look_up(
        &mut self,
        title: &str,
    ) -> Result<Option<Result<Titled, Answer>>, Stop> {
        self.request(false, async |session| resolve(session, title).await)
            .await
    }

    /// Which reading is meant; `None` for none of them.
    pub(super) async fn which_reading(
        &mut self,
        readings: &Readings,
    ) -> Result<Option<Reading>, Stop> {
        self.say(&readings.sentence())?;
        for (number, meaning) in (1..).zip(readings.meanings()) {
            self.say(&format!("{number:>4}  {meaning}"))?;
        }
        let parse = |text: &str| match text {
            "1" => Ok(Some(Reading::Rated)),
            "2" => Ok(Some(Reading::Titled)),
            "" => Ok(None),
            _ => Err("type 1 or 2, or nothing for none".to_owned()),
        };
        self.prompt("Which one (1-2, Enter for none)? ", Wants::Else, parse)
            .await
    }

    /// Which of several movies is meant, as a title; `None` for none of them.
    async fn choose(&mut self, asked: &str, choices: &[Movie]) -> Result<Option<String>, Stop> {
        self.say(&several(asked))?;
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
}

fn parse_title(text: &str) -> Result<String, Why> {
    if text.is_empty() {
        return Err("the name is blank".to_owned());
    }
    Ok(text.to_owned())
}
