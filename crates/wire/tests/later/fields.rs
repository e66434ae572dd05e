//! Messages of any version, made field by field.

use prost::encoding::{WireType, encode_key, encode_varint};

/// Fields in their encoding, one after the other.
#[derive(Clone, Default, Debug)]
pub(crate) struct Fields(pub(crate) Vec<u8>);

impl Fields {
    pub(crate) fn number(mut self, field: u32, value: u64) -> Self {
        encode_key(field, WireType::Varint, &mut self.0);
        encode_varint(value, &mut self.0);
        self
    }

    pub(crate) fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        encode_key(field, WireType::LengthDelimited, &mut self.0);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend(bytes);
        self
    }

    pub(crate) fn fields(self, field: u32, fields: Self) -> Self {
        self.bytes(field, &fields.0)
    }
}
