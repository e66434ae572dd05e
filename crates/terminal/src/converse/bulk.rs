//! Ratings from a file and to a file.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use super::{Conversation, Stop};
use crate::{
    editor::Wants,
    export,
    import::{self, AGAIN_TO_CONTINUE, SESSIONS},
    output::counted,
    waiting::{Watched, unless_interrupted, watched},
};

impl<W: Write> Conversation<'_, W> {
    pub(super) async fn import(&mut self, file: String) -> Result<(), Stop> {
        let path = self.path(file).await?;
        let client = self.session.client().clone();
        // It shows by itself how far it is.
        let work = import::import(&client, &path, SESSIONS.into());
        let done = match &mut self.interrupts {
            Some(interrupts) => unless_interrupted(work, interrupts).await,
            None => Some(work.await),
        };
        match done {
            Some(Ok(count)) => self.say(&count.to_string()),
            Some(Err(error)) => self.say(&format!("{error:#}")),
            None => self.say(AGAIN_TO_CONTINUE),
        }
    }

    pub(super) async fn export(&mut self, file: String) -> Result<(), Stop> {
        let path = self.path(file).await?;
        let work = export::export(self.session, Some(&path));
        let done = match &mut self.interrupts {
            Some(interrupts) => {
                let what = || "all ratings".to_owned();
                let ended = watched(work, what, interrupts, &mut self.output).await;
                ended.map_err(Stop::Output)?
            }
            None => Watched::Done(work.await),
        };
        match done {
            Watched::Done(Ok(ratings)) => {
                let ratings = counted(ratings, "rating");
                self.say(&format!("Wrote {ratings} to {}", path.display()))
            }
            Watched::Done(Err(error)) => self.say(&format!("{error:#}")),
            Watched::GivenUp => self.say("Given up; the file is as it was"),
        }
    }

    async fn path(&mut self, file: String) -> Result<PathBuf, Stop> {
        let parse = |text: &str| match text {
            "" => Err("the name is blank".to_owned()),
            text => Ok(text.to_owned()),
        };
        let file = match file.as_str() {
            "" => self.prompt("Which file? ", Wants::File, parse).await?,
            _ => file,
        };
        Ok(at_home(&file))
    }
}

/// `~/mine.csv` as a shell has it.
fn at_home(file: &str) -> PathBuf {
    match (file.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(file),
    }
}
