//! Compiles `proto/` without protoc, and keeps the descriptor set for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let watched = root.join("backfence");
    println!("cargo:rerun-if-changed={}", watched.display());
    let descriptors = protox::compile(
        [
            "backfence/v1/registry.proto",
            "backfence/v1/frontend.proto",
            "backfence/v1/operator.proto",
            "backfence/v1/replica.proto",
        ],
        [&root],
    )?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), descriptors.encode_to_vec())?;
    let mut builder = tonic_prost_build::configure();
    // Taken out of the message that holds them without a copy.
    for field in [
        "Run.updates",
        "Run.Numbered.operation",
        "Update.operation",
        "Record.update",
        "ServeRequest.update",
        "ServeRequest.CopiedUpdate.update",
    ] {
        builder = builder.bytes(format!(".backfence.v1.{field}"));
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}
