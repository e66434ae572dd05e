//! `backfence-registry`: see `--help`.

use std::process::ExitCode;

use backfence_process::{
    Address, Environment, LogArgs, NodeKeyArgs, announce, bind, shutdown_on_signals,
};
use backfence_registry::Config;
use clap::Parser;

/// Tells the programs of a Backfence cluster where the others are.
///
/// Prints `REGISTRY READY http://ADDRESS` once it accepts connections. Ends with
/// 0 at Ctrl-C or SIGTERM. It keeps nothing: after a restart everybody registers
/// again by itself.
#[derive(Parser)]
#[command(
    name = "backfence-registry",
    version,
    after_help = "Example:\n  backfence-registry --listen 127.0.0.1:7400"
)]
struct Args {
    /// The address to listen on; port 0 takes a free one.
    #[arg(
        long,
        env = "BACKFENCE_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:7400"
    )]
    listen: Address,
    #[command(flatten)]
    key: NodeKeyArgs,
    #[command(flatten)]
    log: LogArgs,
}

fn main() -> ExitCode {
    backfence_process::main(async |args: Args| {
        args.log.init();
        let shutdown = shutdown_on_signals()?;
        let config = Config {
            cluster_key: args.key.read()?,
            accept_keyless: args.key.accept_keyless,
        };
        let listener = bind(&args.listen).await?;
        announce(format_args!(
            "REGISTRY READY http://{}",
            listener.local_addr()?
        ));
        Ok(backfence_registry::run(listener, config, Environment::real(), shutdown).await?)
    })
}
