//! Digests: of loaded data, and of the value.

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

    pub(crate) fn number(&mut self, number: u32) {
        self.bytes(&number.to_le_bytes());
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
}
