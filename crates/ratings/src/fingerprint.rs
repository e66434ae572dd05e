//! Digests: of loaded data, and of the value.

use crate::{
    Catalogue, Movie,
    rows::{Row, Rows},
    tags::Tags,
};

/// Stands for the movies, their ratings by user, and their tags; not for the times at
/// which ratings were given.
pub(crate) fn digest(catalogue: &Catalogue, tags: &Tags, rows: &Rows) -> u128 {
    let (starts, ratings) = by_movie(catalogue.len(), rows);
    let mut fnv = Fnv128::new();
    for (position, movie) in catalogue.iter().enumerate() {
        digest_movie(&mut fnv, movie);
        let given = &ratings[starts[position]..starts[position + 1]];
        fnv.number(given.len() as u32);
        for &(user, rating) in given {
            fnv.number(user);
            fnv.number(rating);
        }
    }
    // Data without tags keep the digest that they had before there were any.
    if !tags.is_empty() {
        for position in 0..catalogue.len() {
            for (tag, users) in tags.of(position) {
                fnv.number(position as u32);
                fnv.text(tag);
                fnv.number(users);
            }
        }
    }
    fnv.finish()
}

/// Where the ratings of each movie begin, and user and rating in ten-thousandths of
/// each, by user.
fn by_movie(catalogue: usize, rows: &Rows) -> (Vec<usize>, Vec<(u32, u32)>) {
    let mut starts = vec![0; catalogue + 1];
    let count = |row: &Row| starts[row.movie as usize + 1] += 1;
    rows.chunks().flatten().for_each(count);
    for position in 0..catalogue {
        starts[position + 1] += starts[position];
    }
    let mut next = starts.clone();
    let mut ratings = vec![(0, 0); rows.len()];
    rows.chunks().flatten().for_each(|row| {
        let place = &mut next[row.movie as usize];
        ratings[*place] = (row.user.0, row.rating.ten_thousandths());
        *place += 1;
    });
    (starts, ratings)
}

fn digest_movie(fnv: &mut Fnv128, movie: &Movie) {
    fnv.number(movie.id.0);
    fnv.text(&movie.title);
    fnv.number(movie.year.map_or(u32::MAX, u32::from));
    fnv.number(movie.genres.len() as u32);
    for genre in &movie.genres {
        fnv.text(genre);
    }
}

/// FNV-1a with 128 bits.
///
/// Tells data sets apart that differ by accident: another release, a row more. It
/// is no defence against someone who wants two different sets to look alike.
pub(crate) struct Fnv128(u128);

impl Fnv128 {
    // Parameters from the FNV specification, draft-eastlake-fnv.
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = (1 << 88) + 0x13b;

    pub(crate) const fn new() -> Self {
        Self(Self::OFFSET)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(Self::PRIME);
        }
    }

    /// Its four bytes, the lowest first. Those above the highest that is not zero only
    /// multiply, which is done for all at once.
    pub(crate) fn number(&mut self, number: u32) {
        const POWERS: [u128; 4] = {
            let mut powers = [Fnv128::PRIME; 4];
            let mut at = 1;
            while at < 4 {
                powers[at] = powers[at - 1].wrapping_mul(Fnv128::PRIME);
                at += 1;
            }
            powers
        };
        let [bytes @ .., last] = number.to_le_bytes();
        let zeros = (number.leading_zeros() / 8).min(3) as usize;
        if zeros == 0 {
            self.bytes(&bytes);
            self.bytes(&[last]);
            return;
        }
        self.bytes(&bytes[..3 - zeros]);
        self.0 = (self.0 ^ u128::from(bytes[3 - zeros])).wrapping_mul(POWERS[zeros]);
    }

    /// Prefixed with its length, so that `ab`, `c` differs from `a`, `bc`.
    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.bytes(text.as_bytes());
    }

    pub(crate) const fn finish(self) -> u128 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_vectors() {
        for (text, digest) in [
            ("", 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128),
            ("a", 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964),
            ("foobar", 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18),
        ] {
            let mut fnv = Fnv128::new();
            fnv.bytes(text.as_bytes());
            assert_eq!(fnv.finish(), digest, "{text:?}");
        }
    }

    #[test]
    fn a_number_is_its_four_bytes() {
        for number in [
            0,
            1,
            0xff,
            0x100,
            0xff00,
            0x1_0000,
            0xff_0001,
            0x100_0000,
            u32::MAX,
        ] {
            let (mut whole, mut bytes) = (Fnv128::new(), Fnv128::new());
            whole.number(number);
            bytes.bytes(&number.to_le_bytes());
            assert_eq!(whole.finish(), bytes.finish(), "{number:#x}");
        }
    }
}
