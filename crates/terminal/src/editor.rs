//! Editing a line: history, completion, hints.

use std::{borrow::Cow, path::PathBuf};

use rustyline::{
    Context, ExternalPrinter, Helper, Result,
    completion::{Completer, FilenameCompleter},
    config::Configurer as _,
    highlight::Highlighter,
    hint::Hinter,
    history::DefaultHistory,
    validate::Validator,
};

use crate::{guide, servers::Servers, titles::Titles};

/// Lines that the history keeps.
const HISTORY: usize = 1000;
/// Titles that Tab offers.
const OFFERED: usize = 50;
/// Letters of a title before one is hinted at.
const TELLING: usize = 2;

/// What the next line is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wants {
    /// A command, with what belongs to it.
    Command,
    /// A title.
    Title,
    /// The number of a server. It is not kept for the next time.
    Server,
    /// The name of a file. It is not kept either.
    File,
    /// Something that is not completed, and not kept either.
    Else,
}

/// How lines are edited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Editing {
    /// Where lines are kept for the next time.
    pub(crate) history: Option<PathBuf>,
    pub(crate) titles: Titles,
    pub(crate) servers: Servers,
    pub(crate) colour: bool,
}

/// A line editor.
pub(crate) struct Editor {
    lines: rustyline::Editor<Assistant, DefaultHistory>,
    history: Option<PathBuf>,
    /// Nothing is printed with it: while it is there the editor waits for signals as
    /// well as for keys. Else one that another thread gets would go unseen.
    _printer: Option<Box<dyn ExternalPrinter + Send>>,
}

impl Editor {
    pub(crate) fn new(editing: Editing) -> Result<Self> {
        let config = rustyline::Config::builder()
            .completion_type(rustyline::CompletionType::List)
            .max_history_size(HISTORY)?
            .build();
        let mut lines = rustyline::Editor::with_config(config)?;
        lines.set_color_mode(match editing.colour {
            true => rustyline::ColorMode::Enabled,
            false => rustyline::ColorMode::Disabled,
        });
        if let Some(history) = &editing.history {
            // It is not there the first time.
            let _ = lines.load_history(history);
        }
        lines.set_helper(Some(Assistant {
            titles: editing.titles,
            servers: editing.servers,
            wants: Wants::Else,
            colour: editing.colour,
        }));
        let printer = lines.create_external_printer();
        Ok(Self {
            _printer: printer.ok().map(|printer| Box::new(printer) as _),
            lines,
            history: editing.history,
        })
    }

    /// Reads a line.
    pub(crate) fn line(&mut self, prompt: &str, wants: Wants) -> Result<String> {
        if let Some(assistant) = self.lines.helper_mut() {
            assistant.wants = wants;
        }
        self.lines.readline(prompt)
    }

    /// Keeps a line, here and, in a file that only its owner reads, for the next time.
    pub(crate) fn remember(&mut self, line: &str) {
        let wanted = self
            .lines
            .helper()
            .is_some_and(|helper| matches!(helper.wants, Wants::Command | Wants::Title));
        if !wanted || line.trim().is_empty() {
            return;
        }
        // Without its history it is as good.
        let _ = self.lines.add_history_entry(line);
        if let Some(history) = &self.history {
            let _ = self.lines.append_history(history);
        }
    }
}

/// Knows what could be meant by a line that is not finished.
struct Assistant {
    titles: Titles,
    servers: Servers,
    wants: Wants,
    colour: bool,
}

impl Assistant {
    /// Where the title begins in the line, if one is wanted there.
    fn title_at(&self, line: &str) -> Option<usize> {
        match self.wants {
            Wants::Title => Some(0),
            Wants::Command => {
                let (command, rest) = line.split_once(' ')?;
                let takes = guide::takes_title(command);
                takes.then(|| line.len() - rest.trim_start().len())
            }
            _ => None,
        }
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        let begun = &line[..pos];
        if let Some(at) = self.title_at(begun) {
            return Ok((at, self.titles.complete(&begun[at..], OFFERED)));
        }
        let servers = || self.servers.numbers();
        let words = match self.wants {
            Wants::File => return files(line, pos),
            Wants::Command if guide::takes_file(begun) => return files(line, pos),
            Wants::Command => guide::offers(begun, servers),
            Wants::Server => servers().iter().map(u32::to_string).collect(),
            Wants::Title | Wants::Else => Vec::new(),
        };
        let at = begun.rfind(' ').map_or(0, |blank| blank + 1);
        let word = begun[at..].to_lowercase();
        let found = words
            .into_iter()
            .filter(|offer| offer.to_lowercase().starts_with(&word));
        Ok((at, found.map(|offer| offer + " ").collect()))
    }
}

fn files(line: &str, pos: usize) -> Result<(usize, Vec<String>)> {
    let (at, found) = FilenameCompleter::new().complete_path(line, pos)?;
    Ok((at, found.into_iter().map(|file| file.replacement).collect()))
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        if pos < line.len() {
            return None;
        }
        if let Some(at) = self.title_at(line) {
            let begun = &line[at..];
            if begun.chars().count() < TELLING {
                return None;
            }
            let title = self.titles.complete(begun, 1).pop()?;
            // A hint can only go on with what is typed.
            return title
                .strip_prefix(begun)
                .filter(|rest| !rest.is_empty())
                .map(str::to_owned);
        }
        match self.wants {
            Wants::Command => guide::usage(line),
            _ => None,
        }
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.colour {
            let dim = anstyle::Style::new().dimmed();
            Cow::Owned(format!("{dim}{hint}{dim:#}"))
        } else {
            Cow::Borrowed(hint)
        }
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}
