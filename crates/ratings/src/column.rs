//! Columns of numbers and texts, as bytes that may stand in a file.
//!
//! What is read from them may come from a damaged file, so nothing here panics:
//! what is not there is `None`, or blank.

use std::{fmt, ops::Range};

use bytes::Bytes;

use crate::sections::{Reader, Sections, Torn};

/// Whole numbers, each in the same few bytes, the lowest first.
#[derive(Clone, Default)]
pub(crate) struct Column {
    width: usize,
    bytes: Bytes,
}

impl Column {
    /// How many bytes each takes where none is greater than `most`.
    pub(crate) const fn width(most: u64) -> usize {
        match most {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xff_ffff => 3,
            0x100_0000..=0xffff_ffff => 4,
            _ => 8,
        }
    }

    /// A column of these numbers, none of which is greater than `most`.
    pub(crate) fn new(most: u64, numbers: impl IntoIterator<Item = u64>) -> Self {
        let numbers = numbers.into_iter();
        let mut packer = Packer::new(most, numbers.size_hint().0);
        numbers.for_each(|number| packer.push(number));
        packer.finish()
    }

    /// The same where the greatest has to be found first.
    pub(crate) fn of(numbers: &[u64]) -> Self {
        let most = numbers.iter().copied().max().unwrap_or(0);
        Self::new(most, numbers.iter().copied())
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.width.max(1)
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<u64> {
        let from = at.checked_mul(self.width)?;
        let bytes = self.bytes.get(from..from.checked_add(self.width)?)?;
        Some(match *bytes {
            [a] => a.into(),
            [a, b] => u16::from_le_bytes([a, b]).into(),
            [a, b, c] => u32::from_le_bytes([a, b, c, 0]).into(),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
            _ => u64::from_le_bytes(bytes.try_into().ok()?),
        })
    }

    /// The same for numbers that fit: others are as good as not there.
    #[inline]
    pub(crate) fn get_u32(&self, at: usize) -> Option<u32> {
        self.get(at)?.try_into().ok()
    }

    /// What lies between this number and the next, where the numbers say where things
    /// begin. Empty where they go backwards.
    pub(crate) fn between(&self, at: usize) -> Range<usize> {
        let bound = |at| self.get(at)?.try_into().ok();
        match (bound(at), at.checked_add(1).and_then(bound)) {
            (Some(from), Some(to)) if from <= to => from..to,
            _ => 0..0,
        }
    }

    /// The first place in the range whose number is not `before`, where all that are
    /// stand in front.
    pub(crate) fn partition(&self, range: Range<usize>, before: impl Fn(u64) -> bool) -> usize {
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Where the number stands in the range, which is sorted.
    pub(crate) fn find(&self, range: Range<usize>, number: u64) -> Option<usize> {
        let end = range.end;
        let at = self.partition(range, |other| other < number);
        (at < end && self.get(at) == Some(number)).then_some(at)
    }

    pub(crate) fn write(&self, sections: &mut Sections) {
        sections.push(self.width, self.bytes.clone());
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, Torn> {
        let (width, bytes) = reader.next()?;
        let fits = match width {
            0 => bytes.is_empty(),
            1..=4 | 8 => bytes.len() % width == 0,
            _ => false,
        };
        fits.then_some(Self { width, bytes }).ok_or(Torn)
    }
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Column({} of {} bytes)", self.len(), self.width)
    }
}

/// A column that grows.
pub(crate) struct Packer {
    width: usize,
    bytes: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(most: u64, numbers: usize) -> Self {
        let width = Column::width(most);
        Self {
            width,
            bytes: Vec::with_capacity(width * numbers),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, number: u64) {
        let bytes = number.to_le_bytes();
        // A copy whose length is known is a single move.
        match self.width {
            1 => self.bytes.extend_from_slice(&bytes[..1]),
            2 => self.bytes.extend_from_slice(&bytes[..2]),
            3 => self.bytes.extend_from_slice(&bytes[..3]),
            4 => self.bytes.extend_from_slice(&bytes[..4]),
            _ => self.bytes.extend_from_slice(&bytes),
        }
    }

    pub(crate) fn finish(self) -> Column {
        Column {
            width: self.width,
            bytes: self.bytes.into(),
        }
    }
}

/// Texts, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    /// Where each begins; at the end, where the last one ends.
    starts: Column,
    bytes: Bytes,
}

impl Texts {
    pub(crate) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut starts, mut bytes) = (vec![0], Vec::new());
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            starts.push(bytes.len() as u64);
        }
        Self {
            starts: Column::of(&starts),
            bytes: bytes.into(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The text at this place; blank where there is none.
    pub(crate) fn get(&self, at: usize) -> &str {
        std::str::from_utf8(self.bytes_of(at)).unwrap_or_default()
    }

    pub(crate) fn bytes_of(&self, at: usize) -> &[u8] {
        let range = self.starts.between(at);
        self.bytes.get(range).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Where this text stands, once or several times, among sorted ones.
    pub(crate) fn equal(&self, text: &str) -> Range<usize> {
        let partition = |before: &dyn Fn(&[u8]) -> bool| {
            let (mut low, mut high) = (0, self.len());
            while low < high {
                let middle = low + (high - low) / 2;
                if before(self.bytes_of(middle)) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        let text = text.as_bytes();
        partition(&|other| other < text)..partition(&|other| other <= text)
    }

    pub(crate) fn write(&self, sections: &mut Sections) {
        self.starts.write(sections);
        sections.push(1, self.bytes.clone());
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Self, Torn> {
        let starts = Column::read(reader)?;
        let (_, bytes) = reader.next()?;
        Ok(Self { starts, bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(shift in 0..64_u32, numbers in prop::collection::vec(any::<u64>(), 0..50)) {
            let mut numbers: Vec<_> = numbers.into_iter().map(|number| number >> shift).collect();
            let column = Column::of(&numbers);
            let back: Vec<_> = (0..column.len()).filter_map(|at| column.get(at)).collect();
            prop_assert_eq!(&back, &numbers);
            prop_assert_eq!(column.get(numbers.len()), None);
            numbers.sort_unstable();
            let sorted = Column::of(&numbers);
            for &number in &numbers {
                let at = sorted.find(0..numbers.len(), number);
                prop_assert_eq!(at.and_then(|at| sorted.get(at)), Some(number));
            }
        }

        #[test]
        fn texts_come_back(mut texts in prop::collection::vec("\\PC{0,5}", 0..20)) {
            texts.sort();
            let kept = Texts::new(texts.iter().map(String::as_str));
            prop_assert!(kept.iter().eq(texts.iter()));
            for text in &texts {
                let range = kept.equal(text);
                let expected = texts.iter().filter(|other| *other == text).count();
                prop_assert_eq!(range.len(), expected);
                prop_assert!(range.into_iter().all(|at| kept.get(at) == text));
            }
            prop_assert!(kept.equal("more than any of them").is_empty());
        }
    }
}
