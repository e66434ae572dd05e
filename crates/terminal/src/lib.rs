//! The Backfence terminal client.
//!
//! Without a command it holds the conversation of the system that this one ports:
//! it asks for a user, then what to do, until `quit`. With one it prints the answer
//! and ends with a code that says what became of it. All that it asks goes through
//! one [`Session`].

mod answer;
mod args;
mod ask;
mod busy;
mod converse;
mod editor;
mod export;
mod generate;
mod guide;
mod health;
mod import;
mod input;
mod json;
mod output;
mod plain;
mod readings;
mod request;
mod saved;
mod script;
mod servers;
mod signals;
mod state;
mod table;
mod titles;
mod up;
mod waiting;

use std::{io::IsTerminal as _, sync::Mutex};

use backfence_client::{Client, ConnectError, Session, SessionId, Source};
use backfence_process::{ClusterKey, Environment, Exit, Failure, KeyError};

pub use args::Args;
pub use converse::{Ended, converse};
pub use input::Input;
pub use titles::Titles;

use crate::{
    answer::Answer,
    args::{Command, Format},
    ask::Ask,
    converse::{AGAIN, Setting, converse_in},
    editor::Editing,
    request::Request,
    saved::SessionFile,
    script::Manner,
    servers::Servers,
    signals::{interrupted, interruptible, terminable},
    state::StateDir,
    waiting::{Interrupts, Watched, watched},
};

/// Does what the command line asks. Says which code to end with when the answer is
/// not an error, and yet not what was hoped for.
///
/// # Errors
///
/// Anything that goes wrong, with the code to end with in its chain of causes.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    log(&args);
    if args.no_color {
        anstream::ColorChoice::Never.write_global();
    }
    match &args.command {
        None if args.json || args.answers == Some(Format::Json) => {
            let sentence = "--json goes with a command, such as: backfence --json find Toy Story";
            Err(Failure::new(Exit::Usage, sentence).into())
        }
        None => converse_as(&args).await,
        Some(Command::Up(what)) => {
            let what = what.clone();
            up::up(args, &what).await
        }
        Some(Command::Completions { shell }) => {
            generate::completions(*shell)?;
            Ok(Exit::Done)
        }
        Some(Command::Man { output }) => {
            generate::man(output.as_deref())?;
            Ok(Exit::Done)
        }
        Some(command) => {
            let ended = interruptible(serve(&args, command)).await;
            ended.unwrap_or_else(|| match command {
                // It has no other end.
                Command::Ask(Ask::Status { watch: true }) => Ok(Exit::Done),
                Command::Import { .. } => interrupted(import::AGAIN_TO_CONTINUE),
                Command::Ask(ask) if ask.changes() => {
                    interrupted("Interrupted; the change may still take effect")
                }
                Command::Script { .. } => {
                    interrupted("Interrupted; the last command may still take effect")
                }
                _ => interrupted("Interrupted"),
            })
        }
    }
}

/// Whoever sits at the prompt gets no lines of a log between the answers: they go to a
/// file. Without a home there is none, and they go nowhere.
fn log(args: &Args) {
    let converses = match &args.command {
        None => true,
        Some(Command::Up(up)) => !up.no_client,
        Some(_) => false,
    };
    if !converses || !Input::is_a_person() || !std::io::stderr().is_terminal() {
        return args.log.init();
    }
    match StateDir::of_user().map(|state| state.log()) {
        Some(Ok(file)) => args.log.init_into(Mutex::new(file), false),
        _ => args.log.init_into(std::io::sink, false),
    }
}

/// Asks what to do until `quit`.
async fn converse_as(args: &Args) -> anyhow::Result<Exit> {
    if Input::is_a_person() {
        return terminable(talk(args)).await;
    }
    let ended = interruptible(talk(args)).await;
    ended.unwrap_or_else(|| interrupted("Interrupted; the last command may still take effect"))
}

async fn serve(args: &Args, command: &Command) -> anyhow::Result<Exit> {
    if let Command::Ask(ask) = command {
        // What makes no sense is said before anybody is asked.
        if ask.request(args.user)? == Request::Reset {
            return reset(args);
        }
    }
    let (client, file) = (connect(args).await?, session_file(args)?);
    let mut session = open(&client, file.as_ref())?;
    let manner = Manner {
        user: args.user,
        format: args.format(),
        file: file.as_ref(),
    };
    match command {
        Command::Ask(Ask::Status { watch: true }) => watch(&mut session, &manner).await,
        Command::Ask(ask) => manner.ask(&mut session, ask).await,
        Command::Script { keep_going } => script::run(&mut session, &manner, *keep_going).await,
        Command::Export { output } => {
            export::export(&mut session, output.as_deref()).await?;
            Ok(Exit::Done)
        }
        Command::Import { file, sessions } => {
            let count = import::import(&client, file, (*sessions).into()).await?;
            import::report(count, manner.format)
        }
        Command::Completions { .. } | Command::Man { .. } | Command::Up(_) => Ok(Exit::Done),
    }
}

/// Asks nobody: it is to work where nobody answers, and where the file is torn.
fn reset(args: &Args) -> anyhow::Result<Exit> {
    let Some(file) = session_file(args)? else {
        let sentence = "which session? Pass --session FILE: without it each call begins another";
        return Err(Failure::new(Exit::Usage, sentence).into());
    };
    // Drawn for programs of 0.2: to others it means nothing before a front end has begun it.
    let session = SessionId(Environment::real().random_u128());
    if let Some(kept) = file.reset(session)? {
        anstream::eprintln!("The last one is kept in {}", kept.display());
    }
    script::show(args.format(), Answer::Reset)
}

/// Shows the servers every second, until it is interrupted.
async fn watch(session: &mut Session, manner: &Manner<'_>) -> anyhow::Result<Exit> {
    loop {
        if manner.format == Format::Table && std::io::stdout().is_terminal() {
            backfence_process::print("\x1b[H\x1b[2J")?;
        }
        manner.ask(session, &Ask::Status { watch: true }).await?;
        tokio::time::sleep(AGAIN).await;
    }
}

async fn talk(args: &Args) -> anyhow::Result<Exit> {
    let (client, file) = (connect_in_sight(args).await?, session_file(args)?);
    let mut session = open(&client, file.as_ref())?;
    let state = StateDir::of_user().filter(|_| Input::is_a_person());
    let place = place(args);
    let editing = editing(args, state.as_ref());
    let servers = editing.servers.clone();
    if Input::is_a_person() {
        let (titles, servers) = (editing.titles.clone(), servers.clone());
        let client = client.clone();
        // In the background: the first prompt does not wait for it.
        tokio::spawn(async move {
            titles.fetch(&client).await;
            servers.follow(&client).await;
        });
    }
    let setting = Setting {
        user: args.user,
        colour: editing.colour,
        servers,
        knows_menu: state.as_ref().is_some_and(|state| state.knows(&place)),
        file,
    };
    let input = Input::stdin(editing);
    let output = match moves_cursor() {
        true => anstream::AutoStream::always(std::io::stdout()),
        false => anstream::AutoStream::auto(std::io::stdout()),
    };
    let ended = converse_in(&mut session, setting, input, output).await?;
    if let (Some(state), Ended::Quit | Ended::EndOfInput) = (state, ended) {
        state.remember(&place);
    }
    match ended {
        Ended::Quit | Ended::EndOfInput => Ok(Exit::Done),
        Ended::Interrupted => Ok(Exit::Interrupted),
    }
}

/// Whoever sits at a terminal sees what is waited for.
async fn connect_in_sight(args: &Args) -> anyhow::Result<Client> {
    if !moves_cursor() {
        return connect(args).await;
    }
    let mut interrupts = Interrupts::listen()?;
    let registry = || format!("the registry at http://{}", args.registry);
    let mut screen = std::io::stdout();
    match watched(connect(args), registry, &mut interrupts, &mut screen).await? {
        Watched::Done(client) => client,
        Watched::GivenUp => Err(Failure::new(Exit::Interrupted, "Interrupted").into()),
    }
}

/// Whether lines can be taken back from the screen, which is no matter of colours.
fn moves_cursor() -> bool {
    Input::is_a_person() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn editing(args: &Args, state: Option<&StateDir>) -> Editing {
    let history = state.filter(|_| !args.no_history).and_then(|state| {
        let history = state.history();
        history
            .inspect_err(|error| tracing::debug!(%error, "no history is kept"))
            .ok()
    });
    let colour = anstream::AutoStream::choice(&std::io::stdout());
    Editing {
        history,
        titles: Titles::default(),
        servers: Servers::default(),
        colour: colour != anstream::ColorChoice::Never,
    }
}

/// What somebody who comes back is known by.
fn place(args: &Args) -> String {
    match args.front_ends.first() {
        Some(front_end) => front_end.to_string(),
        None => args.registry.to_string(),
    }
}

fn session_file(args: &Args) -> Result<Option<SessionFile>, Failure> {
    args.session.as_deref().map(SessionFile::take).transpose()
}

fn open(client: &Client, file: Option<&SessionFile>) -> Result<Session, Failure> {
    match file {
        Some(file) => file.open(client),
        None => Ok(client.session()),
    }
}

/// The key that is named, or else the one that a cluster of this user's has left for
/// whoever asks there.
fn cluster_key(args: &Args) -> Result<Option<ClusterKey>, KeyError> {
    if args.key.cluster_key.is_some() {
        return args.key.read();
    }
    let file = StateDir::of_user().and_then(|state| state.key(&place(args)));
    let key = file.as_deref().map(ClusterKey::read).transpose();
    // Most of what is asked needs none.
    Ok(key.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        None
    }))
}

async fn connect(args: &Args) -> anyhow::Result<Client> {
    let source = if args.front_ends.is_empty() {
        Source::Registry(args.registry.clone())
    } else {
        Source::FrontEnds(args.front_ends.clone())
    };
    let key = cluster_key(args)?;
    let environment = Environment::real();
    let connected = match args.timeout {
        Some(limit) => Client::connect_within(&environment, source, limit).await,
        None => Client::connect(&environment, source).await,
    };
    match connected {
        Ok(client) => {
            let limit = args.timeout.unwrap_or_else(|| client.limit());
            let client = client.with_limit(limit).with_copies(args.copies);
            Ok(match key {
                Some(key) => client.with_cluster_key(key),
                None => client,
            })
        }
        Err(ConnectError::Discovery(error)) => Err(error.into()),
        Err(error) => Err(Failure::new(Exit::Unavailable, error.to_string()).into()),
    }
}
