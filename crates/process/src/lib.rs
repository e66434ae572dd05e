//! What every Backfence program does alike: logs, shutdown, serving, discovery.
//!
//! A server is a library function `run(listener, config, environment, shutdown)`
//! behind a `main` of a few lines. It gets everything from outside: where it
//! accepts connections ([`Listener`]), how it connects, what time it is and what
//! is random ([`Environment`]), and when to stop ([`CancellationToken`]). Inside
//! it nothing opens a socket, asks the system's clock or draws a random number by
//! another way, and time that passes is [`tokio::time`]'s. So the same code runs
//! over real sockets and in a simulated network.
//!
//! ```no_run
//! use backfence_process::{
//!     CancellationToken, Discovery, Environment, Health, ListenArgs, Listener, LogArgs, Name, Wanted,
//!     advertised, announce, serve, shutdown_on_signals,
//! };
//! use clap::Parser;
//! use tonic::service::Routes;
//!
//! /// Says hello.
//! #[derive(Parser)]
//! struct Args {
//!     #[command(flatten)]
//!     listen: ListenArgs,
//!     #[command(flatten)]
//!     log: LogArgs,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     backfence_process::main(async |args: Args| {
//!         args.log.init();
//!         let listener = args.listen.bind().await?;
//!         run(listener, Environment::real(), shutdown_on_signals()?).await
//!     })
//! }
//!
//! async fn run<L: Listener>(
//!     listener: L,
//!     environment: Environment,
//!     shutdown: CancellationToken,
//! ) -> anyhow::Result<()> {
//!     let address = advertised(None, listener.local_addr()?)?;
//!     let health = Health::new(&["backfence.v1.Hello"]).await;
//!     let discovery = Discovery::new(&environment, "127.0.0.1:7400".parse()?);
//!     // The registry asks at the address who is there.
//!     let routes = Routes::new(discovery.presence());
//!     let serving = tokio::spawn(serve(listener, routes, health.clone(), shutdown.clone()));
//!     let wanted = Wanted::Numbered(Name::new("HELLO")?);
//!     let registration = discovery.register(wanted, address).await?;
//!     health.ready().await;
//!     announce(format_args!("{} READY", registration.name()));
//!     let ended = tokio::select! {
//!         error = registration.lost() => Err(error.into()),
//!         () = shutdown.cancelled() => Ok(()),
//!     };
//!     shutdown.cancel();
//!     registration.leave().await;
//!     serving.await??;
//!     ended
//! }
//! ```

mod address;
mod call;
mod callers;
mod calls;
mod claim;
mod cluster_key;
mod connection;
mod discovery;
mod environment;
mod exit;
mod follow;
mod health;
mod listener;
mod logging;
mod name;
mod output;
mod places;
mod presence;
mod proof;
mod registration;
mod role;
mod secret;
mod serve;
mod session_digest;
mod shutdown;

pub use address::{Address, InvalidAddress, advertised};
pub use call::{Backoff, is_unreachable, within};
pub use callers::Client;
pub use claim::{ClaimKey, Claimed};
pub use cluster_key::{ClusterKey, Domain, KeyArgs, KeyError, KeyName, NodeKeyArgs, Subkey};
pub use discovery::{Discovery, DiscoveryError, Entry, InvalidEntry, Wanted};
pub use environment::{Connecting, Connector, Environment, Io};
pub use exit::{Exit, Failure, main};
pub use health::Health;
pub use listener::{BindError, ListenArgs, Listener, bind, is_loopback};
pub use logging::{LogArgs, LogFormat, LogLevel};
pub use name::{InvalidName, Name};
pub use output::{OutputError, announce, print};
pub use places::Places;
pub use proof::{Answer, Callee, Caller, NodeKey, Nonce, Owed, Rpc, Unproved};
pub use registration::Registration;
pub use role::{BadToken, Connection, Role, authorization, role};
pub use secret::{InvalidSecret, Secret};
pub use serve::{DRAIN, ServeError, serve};
pub use session_digest::SessionDigests;
pub use shutdown::shutdown_on_signals;
pub use tokio_util::sync::CancellationToken;
