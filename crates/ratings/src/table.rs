//! A CSV file, row by row, that takes any bytes.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use csv::ByteRecord;

use crate::LoadError;

/// A file with a header that is as it should be.
pub(crate) struct Table<R> {
    path: PathBuf,
    reader: csv::Reader<io::Chain<R, &'static [u8]>>,
    row: ByteRecord,
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
        // Without headers and flexible: the reader then never judges a row itself. That
        // every row ends with this one byte is what its line is told by; a carriage
        // return before it is a blank, which columns may have around them.
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(reader.chain(&b"\n"[..]));
        let mut table = Self {
            path,
            reader,
            row: ByteRecord::new(),
        };
        let line = table.next()?;
        let found: Vec<_> = table.row.iter().map(String::from_utf8_lossy).collect();
        let found = shown(found.join(",").trim_end());
        if line.is_some() && found.trim_start_matches('\u{feff}') == expected {
            return Ok(table);
        }
        Err(LoadError::Header {
            path: table.path,
            expected,
            found,
        })
    }

    /// Reads the next row that is not blank and gives the line at which it begins.
    pub(crate) fn next(&mut self) -> Result<Option<u64>, LoadError> {
        loop {
            match self.reader.read_byte_record(&mut self.row) {
                Ok(true) if self.is_blank() => {}
                Ok(true) => return Ok(Some(self.line())),
                Ok(false) => return Ok(None),
                Err(source) => {
                    return Err(LoadError::Read {
                        path: self.path.clone(),
                        source,
                    });
                }
            }
        }
    }

    fn is_blank(&self) -> bool {
        self.row.len() <= 1 && self.row.as_slice().trim_ascii().is_empty()
    }

    /// The line at which the row begins. The reader's own answer is where the row
    /// before it ended, too early by the blank lines between; counted back from the
    /// end of the row it is right, but for a quote that is never closed.
    fn line(&self) -> u64 {
        let within = self.row.as_slice().iter().filter(|&&byte| byte == b'\n');
        let after = self.reader.position().line();
        let counted = after.saturating_sub(1 + within.count() as u64);
        let ended = self.row.position().map_or(0, csv::Position::line);
        counted.max(ended)
    }

    /// The row's columns as text.
    pub(crate) fn columns<const N: usize>(&self) -> Result<[&str; N], RowError> {
        if self.row.len() != N {
            return Err(RowError::Columns(self.row.len(), N));
        }
        let mut columns = [""; N];
        for (column, bytes) in columns.iter_mut().zip(&self.row) {
            *column = text(bytes)?;
        }
        Ok(columns)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Why a row does not even have the right form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error("{0} columns instead of {1}")]
    Columns(usize, usize),
    #[error("not UTF-8")]
    NotUtf8,
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, RowError> {
    std::str::from_utf8(bytes).map_err(|_| RowError::NotUtf8)
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
