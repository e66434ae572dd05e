//! Lines that somebody types, or a program sends.

use std::{
    collections::VecDeque,
    io::{self, BufRead, IsTerminal as _, Read as _},
};

use rustyline::error::{ReadlineError, Signal};
use tokio::sync::mpsc;

use crate::editor::{Editing, Editor, Wants};

/// Most bytes of a line, its end not counted. A longer one is malformed; what
/// comes after its end is read as the next.
const LONGEST: usize = 4096;

/// Where lines come from. They are read on a thread of their own, one when it is
/// asked for, since reading blocks.
#[derive(Debug)]
pub struct Input {
    prompts: std::sync::mpsc::Sender<(String, Wants)>,
    lines: mpsc::Receiver<Line>,
    /// The rest of what was pasted at once.
    pasted: VecDeque<Line>,
    shows_prompts: bool,
}

/// What came of reading a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Line {
    Text(String),
    /// It was pasted with the line before: nobody has seen it behind this prompt.
    Pasted(String),
    /// It cannot be used, for this reason.
    Malformed(&'static str),
    End,
    /// Ctrl-C.
    Interrupted,
    /// There is no terminal any more.
    Gone,
    /// The source of lines has failed, for this reason.
    Failed(String),
}

impl Input {
    /// The lines of stdin, with editing and history where a person sits there.
    pub(crate) fn stdin(editing: Editing) -> Self {
        if Self::is_a_person()
            && let Ok(mut editor) = Editor::new(editing)
        {
            return Self::start(true, move |prompt, wants| edit(&mut editor, prompt, wants));
        }
        Self::lines(io::BufReader::new(io::stdin()))
    }

    /// Whether lines come from somebody at a terminal.
    pub(crate) fn is_a_person() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// The lines of any reader.
    pub fn lines(mut reader: impl BufRead + Send + 'static) -> Self {
        let mut is_first = true;
        Self::start(false, move |_, _| {
            match (read(&mut reader), std::mem::take(&mut is_first)) {
                // Some programs write one before the text.
                (Line::Text(text), true) => match text.strip_prefix('\u{feff}') {
                    Some(rest) => Line::Text(rest.to_owned()),
                    None => Line::Text(text),
                },
                (line, _) => line,
            }
        })
    }

    fn start(
        shows_prompts: bool,
        mut next: impl FnMut(&str, Wants) -> Line + Send + 'static,
    ) -> Self {
        let (prompts, asked) = std::sync::mpsc::channel::<(String, Wants)>();
        let (answers, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for (prompt, wants) in asked {
                if answers.blocking_send(next(&prompt, wants)).is_err() {
                    return;
                }
            }
        });
        Self {
            prompts,
            lines,
            pasted: VecDeque::new(),
            shows_prompts,
        }
    }

    /// Whether it shows prompts itself.
    pub(crate) fn shows_prompts(&self) -> bool {
        self.shows_prompts
    }

    /// The next line. What it `wants` decides how Tab completes it.
    pub(crate) async fn line(&mut self, prompt: &str, wants: Wants) -> Line {
        if let Some(line) = self.pasted.pop_front() {
            return line;
        }
        // The thread ends only when this is dropped, or by a panic.
        let ended = || Line::Failed("the thread that reads lines has ended".to_owned());
        if self.prompts.send((prompt.to_owned(), wants)).is_err() {
            return ended();
        }
        match self.lines.recv().await.unwrap_or_else(ended) {
            Line::Text(text) if self.shows_prompts => {
                let (first, rest) = part(&text);
                self.pasted = rest;
                first
            }
            line => line,
        }
    }

    /// Drops the rest of what was pasted.
    pub(crate) fn forget(&mut self) {
        self.pasted.clear();
    }
}

fn edit(editor: &mut Editor, prompt: &str, wants: Wants) -> Line {
    loop {
        return match editor.line(prompt, wants) {
            Ok(text) => {
                let whole = text.lines().filter(|line| line.len() <= LONGEST);
                whole.for_each(|line| editor.remember(line));
                Line::Text(text)
            }
            Err(ReadlineError::Eof) => Line::End,
            // A key, or a signal from elsewhere: the editor has left the terminal as
            // it found it in both cases.
            Err(ReadlineError::Interrupted | ReadlineError::Signal(Signal::Interrupt)) => {
                Line::Interrupted
            }
            // The window has changed its size.
            Err(ReadlineError::Signal(_)) => continue,
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => NOT_TEXT,
            Err(ReadlineError::Io(error)) if is_gone(&error) => Line::Gone,
            #[cfg(unix)]
            Err(ReadlineError::Errno(error)) if is_gone(&error.into()) => Line::Gone,
            Err(error) => Line::Failed(error.to_string()),
        };
    }
}

/// The first line of what was edited, and those that were pasted with it.
fn part(text: &str) -> (Line, VecDeque<Line>) {
    let line = |text: &str, whole: fn(String) -> Line| match text.len() {
        0..=LONGEST => whole(text.to_owned()),
        _ => TOO_LONG,
    };
    let mut lines = text.lines();
    let first = line(lines.next().unwrap_or_default(), Line::Text);
    (first, lines.map(|text| line(text, Line::Pasted)).collect())
}

/// Whether there is no terminal any more.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    #[cfg(unix)]
    let gone = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    #[cfg(not(unix))]
    let gone = error.kind() == io::ErrorKind::BrokenPipe;
    gone
}

const NOT_TEXT: Line = Line::Malformed("the line is not UTF-8");
const TOO_LONG: Line = Line::Malformed("the line is longer than 4096 bytes");

fn read(reader: &mut impl BufRead) -> Line {
    let (bytes, whole) = match take_line(reader) {
        Ok(None) => return Line::End,
        Ok(Some(line)) => line,
        Err(error) => return Line::Failed(error.to_string()),
    };
    if !whole {
        return TOO_LONG;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Line::Text(text),
        Err(_) => NOT_TEXT,
    }
}

/// The next line without its end, and whether that is all of it: of one that is too
/// long the rest is read and dropped.
fn take_line(reader: &mut impl BufRead) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut line = Vec::new();
    let mut part = Vec::new();
    let mut whole = true;
    loop {
        part.clear();
        let read = reader.take(LONGEST as u64).read_until(b'\n', &mut part)?;
        if read == 0 && line.is_empty() {
            return Ok(None);
        }
        let ended = read == 0 || part.ends_with(b"\n");
        if line.len() + part.len() <= LONGEST + 1 {
            line.extend_from_slice(&part);
        } else {
            whole = false;
        }
        if ended {
            break;
        }
    }
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    whole &= line.len() <= LONGEST;
    Ok(Some((line, whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_is_parted_into_lines() {
        let check = |text: &str, first: Line, rest: &[Line]| {
            assert_eq!(part(text), (first, rest.iter().cloned().collect()));
        };
        let text = |text: &str| Line::Text(text.to_owned());
        let pasted = |text: &str| Line::Pasted(text.to_owned());
        check("", text(""), &[]);
        check("a", text("a"), &[]);
        check("a\n", text("a"), &[]);
        check(
            "a\nb\n\nc",
            text("a"),
            &[pasted("b"), pasted(""), pasted("c")],
        );
        let long = "x".repeat(LONGEST + 1);
        check(
            &format!("a\n{long}\nb"),
            text("a"),
            &[TOO_LONG, pasted("b")],
        );
    }

    #[test]
    fn lines_are_bounded_and_checked() {
        let check = |bytes: &[u8], expected: &[Line]| {
            let mut reader = io::BufReader::with_capacity(7, bytes);
            for line in expected {
                assert_eq!(read(&mut reader), *line, "{bytes:?}");
            }
            assert_eq!(read(&mut reader), Line::End);
        };
        let text = |text: &str| Line::Text(text.to_owned());
        check(b"", &[]);
        check(b"a", &[text("a")]);
        check(b"a\r\n\nb\n", &[text("a"), text(""), text("b")]);
        check(b"\xff\xfe\nb", &[NOT_TEXT, text("b")]);
        for length in [
            LONGEST - 1,
            LONGEST,
            LONGEST + 1,
            2 * LONGEST,
            3 * LONGEST + 1,
        ] {
            let long = "x".repeat(length);
            let expected = if length <= LONGEST {
                text(&long)
            } else {
                TOO_LONG
            };
            check(
                format!("{long}\nb\n").as_bytes(),
                &[expected.clone(), text("b")],
            );
            check(long.as_bytes(), &[expected]);
        }
    }
}
