//! The generated gRPC types of Backfence and their conversions.
//!
//! The only crate that knows protobuf. Foreign bytes become types that cannot be
//! wrong here, once; a message that cannot be understood is [`Malformed`].

mod causality;
mod cluster;
mod offer;
mod peers;
mod serve;
mod token;

use thiserror::Error;

pub use causality::{all, session_id, timestamp};
pub use cluster::ClusterId;
pub use offer::{offer, read_offer};
pub use peers::{cell, executed, read_state, state};
pub use token::{Seal, sealed, session, token, unsealed};

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

/// A message that breaks the rules of `proto/`. Nothing was done with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);
