//! The rows of a file of ratings.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use anyhow::Context as _;
use backfence_client::{MovieId, Rating, UserId};
use backfence_process::{Exit, Failure};

use crate::output::safe;

/// A rating to give, and its place in the file, from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) user: UserId,
    pub(super) movie: MovieId,
    pub(super) rating: Rating,
}

/// Opens the file behind its header.
pub(super) fn reader(file: &Path) -> anyhow::Result<csv::Reader<File>> {
    let opened = csv::ReaderBuilder::new().flexible(true).from_path(file);
    let mut reader = opened.with_context(|| format!("cannot read {}", file.display()))?;
    let header = reader.byte_headers().map(|header| {
        let header: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
        header.join(",")
    });
    let header = header.with_context(|| format!("cannot read {}", file.display()))?;
    if header
        .trim_start_matches('\u{feff}')
        .starts_with("userId,movieId,rating")
    {
        return Ok(reader);
    }
    let shown: String = safe(&header).chars().take(60).collect();
    let message = format!(
        "{} begins with `{shown}` instead of `userId,movieId,rating`; is it the right file?",
        file.display()
    );
    Err(Failure::new(Exit::Usage, message).into())
}

/// What tells this file from another, and how many lines it has.
pub(super) fn digest(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    // FNV-1a: it guards against accidents.
    let (mut hash, mut length, mut lines) = (0xcbf2_9ce4_8422_2325_u64, 0_u64, 0_u64);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in &buffer[..read] {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            lines += u64::from(byte == b'\n');
        }
        length += read as u64;
    }
    Ok((format!("{length} {hash:016x}"), lines.saturating_sub(1)))
}

impl Row {
    /// Reads a row. Says why where that makes no sense.
    pub(super) fn read(number: u64, record: &csv::ByteRecord) -> Result<Self, String> {
        let column = |at: usize, name: &str| {
            let text = record.get(at).ok_or_else(|| format!("it has no {name}"))?;
            let text = std::str::from_utf8(text).map_err(|_| format!("{name} is not UTF-8"))?;
            Ok::<_, String>(text.trim())
        };
        let id = |at, name: &str| {
            let text = column(at, name)?;
            let number = crate::plain::parse_number(text).filter(|_| !text.is_empty());
            number.ok_or_else(|| format!("{name} {:?} is no number", safe(text)))
        };
        let rating = column(2, "rating")?;
        Ok(Self {
            number,
            user: UserId(id(0, "userId")?),
            movie: MovieId(id(1, "movieId")?),
            rating: rating
                .parse()
                .map_err(|why| format!("rating {:?}: {why}", safe(rating)))?,
        })
    }

    /// Which of so many sessions gives it: the same for all rows of one user and movie.
    pub(super) fn place(&self, sessions: usize) -> usize {
        // Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4): the same in
        // every run and every version.
        let key = u64::from(self.user.0) << 32 | u64::from(self.movie.0);
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        (mixed % sessions as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_or_named() {
        let check = |columns: &[&str], expected: Result<(u32, u32, &str), &str>| {
            let read = Row::read(0, &csv::ByteRecord::from(columns.to_vec()));
            let found = read.map(|row| (row.user.0, row.movie.0, row.rating.to_string()));
            let expected = expected.map(|(user, movie, rating)| (user, movie, rating.to_owned()));
            assert_eq!(found, expected.map_err(str::to_owned), "{columns:?}");
        };
        check(&["1", "2", "4.5"], Ok((1, 2, "4.5")));
        check(&[" 1", "2 ", "4", "964982703", "more"], Ok((1, 2, "4.0")));
        check(&["1", "2"], Err("it has no rating"));
        check(&["", "2", "3"], Err("userId \"\" is no number"));
        check(&["1", "+2", "3"], Err("movieId \"+2\" is no number"));
        check(
            &["1", "2", "6"],
            Err("rating \"6\": a rating lies from 0 to 5"),
        );
    }

    #[test]
    fn sessions_get_about_equal_shares() {
        let mut shares = [0; 32];
        for user in 0..100 {
            for movie in 0..100 {
                let row = Row {
                    number: 0,
                    user: UserId(user),
                    movie: MovieId(movie),
                    rating: Rating::MAX,
                };
                shares[row.place(shares.len())] += 1;
            }
        }
        assert!(
            shares.iter().all(|&share| (200..450).contains(&share)),
            "{shares:?}"
        );
    }
}
