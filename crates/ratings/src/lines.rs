//! A CSV file in which a row is a line.
//!
//! That is less than CSV allows, and more than these files need: no id, rating or title
//! has a line break in it. So a quote that is never closed spoils its own line only.

use std::{
    borrow::Cow,
    io::{self, BufRead as _, BufReader, Read},
};

/// The lines of a file, one at a time, of any bytes.
#[derive(Debug)]
pub struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

/// Why a line is not even a row of the right form.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RowError {
    /// It has so many columns instead of so many.
    #[error("{0} columns instead of {1}")]
    Columns(usize, usize),
    /// A column is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A quote opens a column, and none closes it before the line ends.
    #[error("a quote is not closed in this line")]
    Unclosed,
    /// It has more than [`Lines::LONGEST`] bytes.
    #[error("the line is longer than {LONGEST} bytes")]
    TooLong,
}

const LONGEST: usize = 64 << 10;

impl<R: Read> Lines<R> {
    /// The bytes that a line may have, without its end.
    pub const LONGEST: usize = LONGEST;

    /// Begins at the first line.
    pub fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(LONGEST, reader),
            line: Vec::new(),
            number: 0,
        }
    }

    /// Goes to the next line that is not empty and gives its number, from 1; `None` at
    /// the end of the file. A line ends with a line feed, or with that after a carriage
    /// return; a byte-order mark before the first is no part of it.
    ///
    /// # Errors
    ///
    /// What the reader says.
    pub fn advance(&mut self) -> io::Result<Option<u64>> {
        loop {
            self.line.clear();
            // With its end, so that one that is whole is told from one that goes on.
            let most = LONGEST + 2;
            let mut start = (&mut self.reader).take(most as u64);
            if start.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.line.last() != Some(&b'\n') && self.line.len() == most {
                self.reader.skip_until(b'\n')?;
            }
            let line = without_end(&self.line).len();
            self.line.truncate(line);
            let mark = "\u{feff}".as_bytes();
            if self.number == 1 && self.line.starts_with(mark) {
                self.line.drain(..mark.len());
            }
            if !self.line.is_empty() {
                return Ok(Some(self.number));
            }
        }
    }

    /// The line without its end; the beginning of one that is too long.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The columns of the line, without their quotes.
    ///
    /// # Errors
    ///
    /// [`RowError::Unclosed`] and [`RowError::TooLong`].
    pub fn columns(&self) -> Result<Vec<Cow<'_, [u8]>>, RowError> {
        columns(&self.line)
    }
}

/// The line without its end.
pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The columns of a line without its end.
pub(crate) fn columns(line: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, RowError> {
    if line.len() > LONGEST {
        return Err(RowError::TooLong);
    }
    let (mut columns, mut rest) = (Vec::new(), line);
    loop {
        let (column, after) = match rest.strip_prefix(b"\"") {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (column, after) = to_comma(rest);
                (Cow::Borrowed(column), after)
            }
        };
        columns.push(column);
        match after.split_first() {
            Some((_, more)) => rest = more,
            None => return Ok(columns),
        }
    }
}

/// The column behind an opening quote, and what stands after it. Two quotes are one;
/// what stands between the closing quote and the comma belongs to the column.
fn unquote(mut rest: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), RowError> {
    let mut column = Vec::new();
    loop {
        let quote = rest.iter().position(|&byte| byte == b'"');
        let quote = quote.ok_or(RowError::Unclosed)?;
        column.extend_from_slice(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix(b"\"") {
            Some(more) => rest = more,
            None => break,
        }
        column.push(b'"');
    }
    let (more, after) = to_comma(rest);
    column.extend_from_slice(more);
    Ok((Cow::Owned(column), after))
}

fn to_comma(bytes: &[u8]) -> (&[u8], &[u8]) {
    let comma = bytes.iter().position(|&byte| byte == b',');
    bytes.split_at(comma.unwrap_or(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the lines, and their columns with bars between.
    fn check(text: &str, expected: &[(u64, Result<&str, RowError>)]) {
        let (mut lines, mut found) = (Lines::new(text.as_bytes()), Vec::new());
        while let Some(number) = lines.advance().expect("memory is readable") {
            let columns = lines.columns().map(|columns| columns.join(&b'|'));
            let text = columns.map(|bytes| String::from_utf8(bytes).expect("it was text"));
            found.push((number, text));
        }
        let expected: Vec<_> = expected
            .iter()
            .map(|(number, text)| (*number, text.clone().map(str::to_owned)))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_row_is_a_line() {
        check("", &[]);
        check("\n\r\n", &[]);
        check(
            "a,b\r\n\n,\n c",
            &[(1, Ok("a|b")), (3, Ok("|")), (4, Ok(" c"))],
        );
        check(
            "\u{feff}a\n\u{feff}b",
            &[(1, Ok("a")), (2, Ok("\u{feff}b"))],
        );
        check(
            "\"a, \"\"b\"\"\",c\r\n\"\",\"d\" e,f \"g\"",
            &[(1, Ok("a, \"b\"|c")), (2, Ok("|d e|f \"g\""))],
        );
        let unclosed = || Err(RowError::Unclosed);
        check(
            "1,\"a\nb\",2\n\"\"\"\n3",
            &[
                (1, unclosed()),
                (2, Ok("b\"|2")),
                (3, unclosed()),
                (4, Ok("3")),
            ],
        );
    }

    #[test]
    fn a_line_has_a_limit() {
        let most = "x".repeat(LONGEST);
        for end in ["", "\n", "\r\n"] {
            let next = if end.is_empty() {
                None
            } else {
                Some((2, Ok("y")))
            };
            let text = format!("{end}y");
            let text = if next.is_some() { text } else { String::new() };
            let rest: Vec<_> = next.into_iter().collect();
            let whole = [&[(1, Ok(most.as_str()))], rest.as_slice()].concat();
            check(&format!("{most}{text}"), &whole);
            let long = [&[(1, Err(RowError::TooLong))], rest.as_slice()].concat();
            check(&format!("{most}x{text}"), &long);
            check(&format!("{most}{most}{text}"), &long);
        }
    }
}
