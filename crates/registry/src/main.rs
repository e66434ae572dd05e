//! `backfence-registry`: see `--help`.

use std::process::ExitCode;

use backfence_process::{
    Environment, ListenArgs, LogArgs, NodeKeyArgs, announce, shutdown_on_signals,
};
use backfence_registry::Config;
use clap::Parser;

/// Tells the programs of a Backfence cluster where the others are.
///
/// Prints `REGISTRY READY http://ADDRESS` once it accepts connections. Exits with
/// 0 on Ctrl-C or SIGTERM. It stores nothing: after a restart all programs register
/// again by themselves.
#[derive(Parser)]
#[command(
    name = "backfence-registry",
    version,
    mut_arg("listen", |listen| listen.default_value("127.0.0.1:7400")),
    after_help = "Example:\n  backfence-registry --listen 127.0.0.1:7400"
)]
struct Args {
    #[command(flatten)]
    listen: ListenArgs,
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
        let listener = args.listen.bind().await?;
        announce(format_args!(
            "REGISTRY READY http://{}",
            listener.local_addr()?
        ));
        Ok(backfence_registry::run(listener, config, Environment::real(), shutdown).await?)
    })
}
