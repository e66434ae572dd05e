//! The generated gRPC types of Backfence and their conversions.
//!
//! The only crate that knows protobuf. Foreign bytes become types that cannot be
//! wrong here, once; a message that cannot be understood is [`Malformed`].

mod answer;
mod causality;
mod cluster;
mod offer;
mod peers;
mod reason;
mod state_reader;
mod status;
pub mod stored;
mod token;
mod update;
mod version;

use thiserror::Error;

pub use causality::{all, session_id, timestamp};
pub use cluster::ClusterId;
pub use offer::{offer, read_offer};
pub use peers::{read_state, state};
pub use prost::bytes::Bytes;
pub use reason::Reason;
pub use state_reader::StateReader;
pub use status::wanted;
pub use token::{Seal, sealed, session, token, unsealed};
pub use update::{LATER_KIND, read_update, update};
pub use version::Versions;

/// The generated types of package `backfence.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("backfence.v1");
}

/// The encoded descriptor set of `proto/`, for gRPC reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// Most bytes of a message from a client or a front end. A longer one is refused
/// by the decoder.
pub const MAX_REQUEST: usize = 64 << 10;

/// Most bytes of a message between replicas, the frame around records of
/// [`Limits::message_bytes`](backfence_gossip::Limits) included.
pub const MAX_GOSSIP: usize = 2 << 20;

/// The bytes of a message of `proto/`.
pub fn encode(message: &impl prost::Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// Reads a message of `proto/`.
///
/// # Errors
///
/// [`Malformed`] where the bytes are no such message.
pub fn decode<M: prost::Message + Default>(bytes: &[u8]) -> Result<M, Malformed> {
    M::decode(bytes).map_err(|_| Malformed("the bytes are no such message"))
}

/// How many bytes a message of `proto/` takes.
pub fn encoded_len(message: &impl prost::Message) -> usize {
    message.encoded_len()
}

/// A message that breaks the rules of `proto/`. Nothing was done with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);
