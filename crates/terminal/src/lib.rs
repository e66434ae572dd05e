//! The Backfence terminal client.
//!
//! Without a command it holds the conversation of the system that this one ports:
//! it asks for a user, then what to do, until `quit`. With one it prints the answer
//! and ends with a code that says what became of it. All that it asks goes through
//! one [`Session`].

mod answer;
mod args;
mod converse;
mod input;
mod json;
mod output;
mod request;
mod table;

use std::io::IsTerminal as _;

use backfence_client::{Client, ConnectError, Session, Source};
use backfence_process::{Environment, Exit, Failure};

pub use args::Args;
pub use converse::{Ended, converse};
pub use input::Input;

/// Does what the command line asks. Says which code to end with when the answer is
/// not an error, and yet not what was hoped for.
///
/// # Errors
///
/// Anything that goes wrong, with the code to end with in its chain of causes.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    args.log.init();
    tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            let sentence = "interrupted; what was asked for may still be done";
            Err(Failure::new(Exit::Interrupted, sentence).into())
        }
        ended = serve(args) => ended,
    }
}

async fn serve(args: Args) -> anyhow::Result<Exit> {
    match &args.command {
        Some(command) => {
            let request = command.request(args.user)?;
            let mut session = connect(&args).await?;
            let answer = request.send(&mut session).await.map_err(output::failure)?;
            if args.json {
                backfence_process::print(format_args!("{}\n", json::line(&answer)))?;
            } else {
                backfence_process::print(answer.text(std::io::stdout().is_terminal()))?;
            }
            Ok(answer.exit())
        }
        None if args.json => {
            let sentence = "--json goes with a command, such as: backfence --json find Toy Story";
            Err(Failure::new(Exit::Usage, sentence).into())
        }
        None => {
            let mut session = connect(&args).await?;
            let input = Input::stdin();
            let output = anstream::AutoStream::auto(std::io::stdout());
            match converse(&mut session, args.user, input, output).await? {
                Ended::Quit | Ended::EndOfInput => Ok(Exit::Done),
                Ended::Interrupted => Ok(Exit::Interrupted),
            }
        }
    }
}

async fn connect(args: &Args) -> anyhow::Result<Session> {
    let source = if args.front_ends.is_empty() {
        Source::Registry(args.registry.clone())
    } else {
        Source::FrontEnds(args.front_ends.clone())
    };
    match Client::connect(&Environment::real(), source).await {
        Ok(client) => Ok(client.session()),
        Err(ConnectError::Discovery(error)) => Err(error.into()),
        Err(error) => Err(Failure::new(Exit::Unavailable, error.to_string()).into()),
    }
}
