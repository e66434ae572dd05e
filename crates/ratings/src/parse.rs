//! A ratings file, read by all processors at once.
//!
//! The file is cut into blocks of bytes. Who takes a block reads the lines that begin
//! in it, which is sound since a line break always ends a row. What is no plain file, or
//! begins otherwise, is left to the reader that goes from front to back.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::{
    BadRow, LoadError, Rating, Skipped, UserId,
    lines::{columns, without_end},
    load::{Positions, Reason, rating_row},
    rows::{Block, Row},
    table,
};

/// Bytes of a block.
const BLOCK: u64 = 4 << 20;
/// A line that goes on for longer behind its block is left to the other reader.
const BEYOND: u64 = 64 << 10;

/// What is told of the bytes that were read, and how many there are.
pub(crate) type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// What was read.
pub(crate) struct Parsed {
    /// In the order of the file, each sorted.
    pub(crate) blocks: Vec<Block>,
    pub(crate) skipped: Skipped,
}

/// Reads the file, or gives `None` where only the other reader can.
pub(crate) fn parse(
    path: &Path,
    header: &str,
    positions: &Positions,
    strict: bool,
    progress: Progress<'_>,
) -> Result<Option<Parsed>, LoadError> {
    let cannot = |source: io::Error| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let Some((length, begins)) = plain_file(path, header).map_err(cannot)? else {
        return Ok(None);
    };
    let shared = Shared {
        path,
        positions,
        length,
        begins,
        next: AtomicU64::new(0),
        read: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        done: Mutex::default(),
        strict,
        progress,
    };
    let workers = thread::available_parallelism().map_or(1, |number| number.get() as u64);
    let workers = workers.min(length.div_ceil(BLOCK));
    let outcome = thread::scope(|scope| {
        let others: Vec<_> = (1..workers)
            .map(|_| scope.spawn(|| shared.work()))
            .collect();
        let own = shared.work();
        let others = others
            .into_iter()
            .map(|other| other.join().expect("it does not panic"));
        others.fold(own, |all, other| Ok(all? && other?))
    });
    if !outcome.map_err(cannot)? {
        return Ok(None);
    }
    shared.gather().map(Some)
}

/// The length of the file and where its first row begins, if it is a file that begins
/// with just the header.
fn plain_file(path: &Path, header: &str) -> io::Result<Option<(u64, u64)>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut start = Vec::new();
    file.take(header.len() as u64 + 16)
        .read_to_end(&mut start)?;
    let line = start.iter().position(|&byte| byte == b'\n');
    let plain = line.filter(|&end| {
        let line = start[..end].trim_ascii_end();
        line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line) == header.as_bytes()
    });
    Ok(plain.map(|end| (metadata.len(), end as u64 + 1)))
}

struct Shared<'a> {
    path: &'a Path,
    positions: &'a Positions,
    length: u64,
    /// Where the first row begins.
    begins: u64,
    /// The next block that nobody has taken.
    next: AtomicU64,
    read: AtomicU64,
    /// Somebody cannot go on, so nobody has to.
    stop: AtomicBool,
    done: Mutex<Vec<(u64, Read)>>,
    strict: bool,
    progress: Progress<'a>,
}

/// A block that was read.
#[derive(Default)]
struct Read {
    block: Block,
    lines: u64,
    skipped: u64,
    /// The first of them, with their lines in the block.
    first: Vec<(u64, Reason)>,
}

impl Shared<'_> {
    /// Takes blocks until there is none. False where the file is not for this reader.
    fn work(&self) -> io::Result<bool> {
        let outcome = self.blocks();
        if !matches!(outcome, Ok(true)) {
            self.stop.store(true, Ordering::Relaxed);
        }
        outcome
    }

    fn blocks(&self) -> io::Result<bool> {
        let mut file = File::open(self.path)?;
        let mut bytes = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let (from, to) = (number * BLOCK, ((number + 1) * BLOCK).min(self.length));
            if from >= self.length {
                break;
            }
            let Some(lines) = self.lines(&mut file, from, to, &mut bytes)? else {
                return Ok(false);
            };
            let mut read = self.rows(lines);
            read.block.sort();
            self.done
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((number, read));
            let read = self.read.fetch_add(to - from, Ordering::Relaxed) + to - from;
            (self.progress)(read, self.length);
        }
        Ok(true)
    }

    /// The lines that begin in this range, or `None` if one is too long.
    fn lines<'b>(
        &self,
        file: &mut File,
        from: u64,
        to: u64,
        bytes: &'b mut Vec<u8>,
    ) -> io::Result<Option<&'b [u8]>> {
        // With the byte before, which tells whether a line begins here.
        let from = from.max(self.begins) - 1;
        if from + 1 >= to {
            return Ok(Some(&[]));
        }
        bytes.clear();
        file.seek(SeekFrom::Start(from))?;
        let whole = file.take(to - from).read_to_end(bytes)? as u64 == to - from;
        if !whole {
            return Err(io::Error::other("it became shorter meanwhile"));
        }
        if bytes.last() != Some(&b'\n') {
            let end = bytes.len();
            file.take(BEYOND).read_to_end(bytes)?;
            match bytes[end..].iter().position(|&byte| byte == b'\n') {
                Some(line) => bytes.truncate(end + line + 1),
                None if to + ((bytes.len() - end) as u64) < self.length => return Ok(None),
                None => {}
            }
        }
        let begins = bytes.iter().position(|&byte| byte == b'\n');
        let first = begins.map_or(bytes.len(), |at| at + 1);
        Ok(Some(&bytes[first..]))
    }

    /// The rows of whole lines.
    fn rows(&self, mut bytes: &[u8]) -> Read {
        let mut read = Read::default();
        read.block.rows.reserve(bytes.len() / 24);
        while !bytes.is_empty() {
            let line = read.lines as u32;
            read.lines += 1;
            if let Some((mut row, rest)) = plain_row(bytes)
                && let Some(movie) = self.positions.find(row.movie)
            {
                (row.movie, row.line) = (movie, line);
                read.block.rows.push(row);
                bytes = rest;
                continue;
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let (text, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            bytes = rest;
            match self.other_row(text) {
                Ok(Some((user, movie, rating, timestamp))) => read.block.rows.push(Row {
                    user,
                    movie,
                    timestamp,
                    line,
                    rating,
                }),
                Ok(None) => {}
                Err(reason) => {
                    read.skipped += 1;
                    if read.first.len() < Skipped::SHOWN {
                        read.first.push((line.into(), reason));
                    }
                }
            }
        }
        read
    }

    /// A line that is not as MovieLens writes it; `None` where it is blank.
    #[cold]
    fn other_row(&self, line: &[u8]) -> Result<Option<(UserId, u32, Rating, u32)>, Reason> {
        let line = without_end(line);
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let row = table::texts(columns(line)?)?;
        rating_row(&row, self.positions).map(Some)
    }

    fn gather(self) -> Result<Parsed, LoadError> {
        let mut done = self
            .done
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(number, _)| *number);
        let mut skipped = Skipped::default();
        // The header is the first.
        let mut line = 2;
        let mut blocks = Vec::with_capacity(done.len());
        for (_, read) in done {
            skipped.count += read.skipped;
            for (within, reason) in read.first {
                let row = BadRow {
                    file: self.path.to_owned(),
                    line: line + within,
                    reason: reason.to_string(),
                };
                if self.strict {
                    return Err(LoadError::Row(row));
                }
                if skipped.first.len() < Skipped::SHOWN {
                    skipped.first.push(row);
                }
            }
            let mut block = read.block;
            block.first_line = line;
            line += read.lines;
            blocks.push(block);
        }
        Ok(Parsed { blocks, skipped })
    }
}

/// A row of digits as MovieLens writes it, `1,2,4.5,1112486027`, and what stands after
/// it; its movie is an id still. `None` for what takes a closer look.
#[inline]
fn plain_row(bytes: &[u8]) -> Option<(Row, &[u8])> {
    let (user, bytes) = digits(bytes)?;
    let (movie, bytes) = digits(after(bytes, b',')?)?;
    let (whole, half, bytes) = match after(bytes, b',')? {
        [whole @ b'0'..=b'5', b'.', half @ (b'0' | b'5'), rest @ ..] => (whole, half, rest),
        _ => return None,
    };
    let rating = u32::from(whole - b'0') * 10_000 + u32::from(half - b'0') * 1_000;
    let (timestamp, bytes) = digits(after(bytes, b',')?)?;
    let bytes = after(bytes, b'\r').unwrap_or(bytes);
    let row = Row {
        user: UserId(user.try_into().ok()?),
        movie: movie.try_into().ok()?,
        timestamp: timestamp.try_into().ok()?,
        line: 0,
        rating: Rating::from_ten_thousandths(rating)?,
    };
    Some((row, after(bytes, b'\n')?))
}

#[inline]
fn after(bytes: &[u8], byte: u8) -> Option<&[u8]> {
    match bytes {
        [first, rest @ ..] if *first == byte => Some(rest),
        _ => None,
    }
}

/// One to eighteen digits.
#[inline]
fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(19) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (at > 0).then_some((number, &bytes[at..]));
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
    }
    None
}
