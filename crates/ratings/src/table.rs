//! A CSV file, row by row, that takes any bytes.

use std::{
    borrow::Cow,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::{
    LoadError,
    lines::{Lines, RowError},
};

/// A file with a header that is as it should be.
pub(crate) struct Table<R> {
    path: PathBuf,
    lines: Lines<R>,
}

impl Table<File> {
    pub(crate) fn open(path: &Path, header: &'static str) -> Result<Self, LoadError> {
        let file = File::open(path).map_err(|source| LoadError::Open {
            path: path.to_owned(),
            source,
        })?;
        Self::new(path.to_owned(), file, header)
    }
}

impl<R: io::Read> Table<R> {
    pub(crate) fn new(path: PathBuf, reader: R, expected: &'static str) -> Result<Self, LoadError> {
        let lines = Lines::new(reader);
        let mut table = Self { path, lines };
        let line = table.next()?;
        let columns = table.lines.columns().unwrap_or_default();
        let found: Vec<_> = columns
            .iter()
            .map(|text| String::from_utf8_lossy(text))
            .collect();
        if line.is_some() && found.join(",").trim_end() == expected {
            return Ok(table);
        }
        let found = shown(String::from_utf8_lossy(table.lines.line()).trim_end());
        Err(LoadError::Header {
            path: table.path,
            expected,
            found,
        })
    }

    /// Goes to the next line that is not blank and gives its number.
    pub(crate) fn next(&mut self) -> Result<Option<u64>, LoadError> {
        loop {
            match self.lines.advance() {
                Ok(Some(_)) if self.lines.line().trim_ascii().is_empty() => {}
                Ok(line) => return Ok(line),
                Err(source) => {
                    return Err(LoadError::Read {
                        path: self.path.clone(),
                        source,
                    });
                }
            }
        }
    }

    /// The row's columns as text.
    pub(crate) fn columns<const N: usize>(&self) -> Result<[Cow<'_, str>; N], RowError> {
        texts(self.lines.columns()?)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// So many columns as text.
pub(crate) fn texts<const N: usize>(
    columns: Vec<Cow<'_, [u8]>>,
) -> Result<[Cow<'_, str>; N], RowError> {
    let wrong = |number| RowError::Columns(number, N);
    if columns.len() != N {
        return Err(wrong(columns.len()));
    }
    let texts: Vec<_> = columns.into_iter().map(text).collect::<Result<_, _>>()?;
    texts.try_into().map_err(|texts: Vec<_>| wrong(texts.len()))
}

fn text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, RowError> {
    let text = match bytes {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    text.ok_or(RowError::NotUtf8)
}

/// Text as a message may show it: on one line, and not endless.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(LONGEST)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
