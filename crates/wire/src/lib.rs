//! The generated gRPC types of Backfence and their conversions.

/// The generated types of package `backfence.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("backfence.v1");
}

/// The encoded descriptor set of `proto/`, for gRPC reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
