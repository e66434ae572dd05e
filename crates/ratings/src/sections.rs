//! What a base consists of, in the order in which its parts are written and read.

use bytes::Bytes;

/// Parts that follow one another, each of numbers of some width.
#[derive(Default)]
pub(crate) struct Sections(pub(crate) Vec<Section>);

/// One part.
pub(crate) struct Section {
    /// Bytes of one number.
    pub(crate) width: usize,
    pub(crate) bytes: Bytes,
}

impl Sections {
    pub(crate) fn push(&mut self, width: usize, bytes: Bytes) {
        self.0.push(Section { width, bytes });
    }

    pub(crate) fn reader(self) -> Reader {
        Reader(self.0.into_iter())
    }
}

/// Gives the parts in the order in which they were written.
pub(crate) struct Reader(std::vec::IntoIter<Section>);

impl Reader {
    pub(crate) fn next(&mut self) -> Result<(usize, Bytes), Torn> {
        let section = self.0.next().ok_or(Torn)?;
        Ok((section.width, section.bytes))
    }
}

/// The parts are not what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("its parts do not fit together")]
pub(crate) struct Torn;
