//! What each command does.

use std::{collections::BTreeSet, io::Write};

use backfence_client::{Rating, Server, UserId};
use clap::{Parser as _, error::ErrorKind};

use super::{AGAIN, Conversation, Ended, Said, Stop, movie::Reading};
use crate::{
    answer::{Answer, Titled},
    ask::{Ask, Spoken},
    editor::Wants,
    guide,
    plain::{parse_number, reason},
    readings::{Given, movies},
    request::{About, Request, ask},
};

impl<W: Write> Conversation<'_, W> {
    pub(super) async fn obey(&mut self, said: &Said) -> Result<(), Stop> {
        let Some(user) = self.setting.user else {
            return Ok(());
        };
        let title = guide::words(&said.rest).join(" ");
        self.in_steps = title.is_empty();
        match said.command {
            "find" => self.about_movie(title, About::Find).await,
            "view" => self.about_movie(title, About::View(user)).await,
            "average" => self.about_movie(title, About::Average).await,
            "delete" => self.about_movie(title, About::Delete(user)).await,
            "tags" => self.about_movie(title, About::Tags).await,
            "rate" if title.is_empty() => self.rate(user).await,
            "rate" => self.rate_at_once(user, &guide::words(&said.rest)).await,
            "search" if title.is_empty() => self.search().await,
            "change" if title.is_empty() => self.change().await,
            "import" => self.import(title).await,
            "export" => self.export(title).await,
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
        let given = Given::new(title, last, rating);
        let Some(rated) = self.look_up(&given.title).await? else {
            return Ok(());
        };
        let Some(whole) = given.whole() else {
            return self.settle_and_rate(user, rated, Some(rating)).await;
        };
        let Some(titled) = self.look_up(&whole).await? else {
            return Ok(());
        };
        match given.readings(movies(&rated), movies(&titled)) {
            Some(readings) if self.interrupts.is_some() => {
                match self.which_reading(&readings).await? {
                    Some(Reading::Rated) => self.settle_and_rate(user, rated, Some(rating)).await,
                    Some(Reading::Titled) => self.settle_and_rate(user, titled, None).await,
                    None => Ok(()),
                }
            }
            Some(readings) => self.answer(Answer::TwoReadings(readings)),
            // `Babylon 5` is no Babylon with a rating of 5.
            None if unknown(&rated) && !unknown(&titled) => {
                self.settle_and_rate(user, titled, None).await
            }
            None => self.settle_and_rate(user, rated, Some(rating)).await,
        }
    }

    /// Without a rating it is asked for.
    async fn settle_and_rate(
        &mut self,
        user: UserId,
        found: Result<Titled, Answer>,
        rating: Option<Rating>,
    ) -> Result<(), Stop> {
        match (self.settle(found, true).await?, rating) {
            (Some(titled), Some(rating)) => self.do_about(titled, About::Rate(user, rating)).await,
            (Some(titled), None) => self.rate_titled(user, titled).await,
            (None, _) => Ok(()),
        }
    }

    /// All of it is the title.
    async fn rate_whole(&mut self, user: UserId, title: &str) -> Result<(), Stop> {
        match self.movie(title.to_owned()).await? {
            Some(titled) => self.rate_titled(user, titled).await,
            None => Ok(()),
        }
    }

    /// Options may follow the text, as after the command.
    async fn search(&mut self) -> Result<(), Stop> {
        let parse = |text: &str| match text {
            "" => Err("the text is blank".to_owned()),
            text => Ok(text.to_owned()),
        };
        let text = self
            .prompt("Search for what? ", Wants::Title, parse)
            .await?;
        self.parse_and_ask("search", &text).await
    }

    /// One of those that there are.
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
        let server = self.prompt(&prompt, Wants::Server, parse).await?;
        self.send(Request::Change(server, None)).await
    }

    /// A command that lacks something asks for it; `None` where it is too much.
    async fn missing(&mut self, command: &str) -> Result<Option<String>, Stop> {
        let number = |text: &str| match parse_number(text) {
            Some(_) => Ok(text.to_owned()),
            None => Err("give a number".to_owned()),
        };
        let (prompt, wants) = match command {
            "user" => ("Which user? ", Wants::Else),
            "log" | "gossip" | "retire" | "change" => ("Which server? ", Wants::Server),
            _ => return Ok(None),
        };
        self.prompt(prompt, wants, number).await.map(Some)
    }

    /// What has options, as on the command line.
    async fn parse_and_ask(&mut self, command: &str, rest: &str) -> Result<(), Stop> {
        let words = [vec![command.to_owned()], guide::words(rest)].concat();
        let asked = match Spoken::try_parse_from(words) {
            Ok(Spoken { ask }) => ask,
            Err(error) => {
                if error.kind() == ErrorKind::MissingRequiredArgument
                    && let Some(given) = self.missing(command).await?
                {
                    // What is given before options is no value of one.
                    let rest = format!("{given} {rest}");
                    return Box::pin(self.parse_and_ask(command, &rest)).await;
                }
                let why = reason(&error);
                return self.say(&format!("INVALID: {why}; help {command} shows more"));
            }
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
}

fn unknown(found: &Result<Titled, Answer>) -> bool {
    matches!(found, Err(Answer::Unknown(..)))
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
