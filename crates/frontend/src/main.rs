//! The program `backfence-frontend`.

use backfence_frontend::{Config, run};
use backfence_process::{
    Address, Environment, ListenArgs, LogArgs, Name, NodeKeyArgs, shutdown_on_signals,
};
use clap::Parser;

/// The front end of Backfence: clients connect to it, and it sends each request to
/// a server that can serve it.
///
/// Prints CLIENT CAN NOW CONNECT when a server has answered.
#[derive(Parser)]
#[command(
    name = "backfence-frontend",
    version,
    after_help = "Example:\n  backfence-frontend --registry http://127.0.0.1:7400 --listen 127.0.0.1:7401"
)]
struct Args {
    /// Where the registry is.
    #[arg(
        long,
        env = "BACKFENCE_REGISTRY",
        default_value = "http://127.0.0.1:7400",
        value_name = "URL"
    )]
    registry: Address,
    #[command(flatten)]
    listen: ListenArgs,
    /// The address at which clients reach it, if not the one it listens on.
    #[arg(long, env = "BACKFENCE_ADVERTISE", value_name = "ADDR")]
    advertise: Option<Address>,
    /// The name to register. Without it FRONTEND, or the first of FRONTEND2, FRONTEND3, ...
    /// that is free.
    #[arg(long, env = "BACKFENCE_NAME", value_name = "NAME", value_parser = name)]
    name: Option<Name>,
    #[command(flatten)]
    key: NodeKeyArgs,
    #[command(flatten)]
    log: LogArgs,
}

fn name(text: &str) -> Result<Name, String> {
    let name = Name::new(text.to_owned()).map_err(|error| error.to_string())?;
    match text.starts_with(Name::SERVERS) {
        true => Err(format!(
            "names that begin with {} are for servers",
            Name::SERVERS
        )),
        false => Ok(name),
    }
}

fn main() -> std::process::ExitCode {
    backfence_process::main(async |args: Args| {
        args.log.init();
        let cluster_key = args.key.read()?;
        let listener = args.listen.bind().await?;
        let config = Config {
            registry: args.registry,
            name: args.name,
            advertise: args.advertise,
            cluster_key,
            accept_keyless: args.key.accept_keyless,
        };
        run(
            listener,
            config,
            Environment::real(),
            shutdown_on_signals()?,
        )
        .await
    })
}
