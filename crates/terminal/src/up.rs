//! A whole cluster on this machine, and a client in front of it.

mod folder;
mod server;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

use backfence_process::{Environment, Exit, Failure, announce};

use self::{
    folder::{Data, Folder},
    server::{Running, Server},
};
use crate::{Args, signals::terminable, state::StateDir};

/// What is to be started.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Up {
    /// The folder with movies.csv and ratings.csv, and tags.csv if there is one.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "data",
        overrides_with = "data"
    )]
    data: PathBuf,
    /// How many servers.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=999))]
    replicas: u32,
    /// How often a server declines a request as over-loaded, by chance, as the servers of
    /// the original do, from 0 to 1. The next server then gets it.
    #[arg(long, value_name = "P", default_value_t = 0.2, value_parser = probability)]
    overload_probability: f64,
    /// The registry's port; the front end takes the next one.
    #[arg(long, value_name = "PORT", default_value_t = 7400, value_parser = clap::value_parser!(u16).range(1..=65534))]
    port: u16,
    /// The folder for ratings and logs. [default: ~/.local/state/backfence]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Start with a new folder; the old one is kept.
    #[arg(long, conflicts_with = "state")]
    fresh: bool,
    /// Run without a client until Ctrl-C.
    #[arg(long)]
    pub(crate) no_client: bool,
    /// Restart programs that end by themselves.
    #[arg(long)]
    restart: bool,
}

fn probability(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok();
    let valid = parsed.filter(|p| (0.0..=1.0).contains(p));
    valid.ok_or_else(|| "it goes from 0 to 1".to_owned())
}

/// Starts everything, holds a conversation, and stops what was started when that ends.
///
/// # Errors
///
/// A [`Failure`] where something cannot be started, and all that a client ends with.
pub(crate) async fn up(mut args: Args, up: &Up) -> anyhow::Result<Exit> {
    let data = Data::read(&up.data)?;
    refuse_taken(up.port)?;
    refuse_taken(up.port + 1)?;
    let folder = match (&up.state, StateDir::of_user()) {
        (Some(path), _) => Folder::open(path)?,
        (None, Some(state)) if up.fresh => Folder::fresh(state.path())?,
        (None, Some(state)) => Folder::open(state.path())?,
        (None, None) => {
            let sentence = "there is no home folder to keep ratings in; name one with --state DIR";
            return Err(Failure::new(Exit::Usage, sentence).into());
        }
    };
    folder.keep(&data, up.replicas)?;
    say(&format!(
        "Ratings and logs are in {}",
        folder.path().display()
    ));
    let key = folder.key(&Environment::real())?;
    args.key.cluster_key = Some(PathBuf::from(&key));
    let places = [up.port, up.port + 1].map(|port| format!("127.0.0.1:{port}"));
    // For other clients of this user. Without a home they have to name it.
    let _lent = StateDir::of_user()
        .map(|state| state.lend(Path::new(&key), &places.each_ref().map(String::as_str)))
        .transpose()?;
    let mut running = Running::new(up.restart);
    let ended = terminable(async {
        start(up, &data, &folder, &key, &mut running).await?;
        serve(args, up, &mut running).await
    })
    .await;
    running.stop().await;
    ended
}

/// Starts the programs, and waits until they are ready. Ctrl-C gives up.
async fn start(
    up: &Up,
    data: &Data,
    folder: &Folder,
    key: &str,
    running: &mut Running,
) -> anyhow::Result<()> {
    let registry = format!("127.0.0.1:{}", up.port);
    let url = format!("http://{registry}");
    let front_end = format!("127.0.0.1:{}", up.port + 1);
    let probability = up.overload_probability.to_string();
    let server = |name: &str, program, ready, args: &[&str]| {
        Server::new(folder.path(), name, program, ready, args)
    };
    let work = async {
        let args = ["--listen", &registry, "--cluster-key", key];
        let first = server("registry", "backfence-registry", "REGISTRY READY", &args)?;
        running.start(first)?;
        running.ready().await?;
        for number in 1..=up.replicas {
            let name = format!("server{number}");
            let directory = folder.path().join(&name);
            let base = folder.path().join("base");
            let args = [
                ["--server", &number.to_string()],
                ["--cluster-key", key],
                ["--registry", &url],
                ["--listen", "127.0.0.1:0"],
                ["--movies", &data.file("movies.csv")],
                ["--ratings", &data.file("ratings.csv")],
                ["--overload-probability", &probability],
                ["--data-dir", &directory.display().to_string()],
                ["--base-dir", &base.display().to_string()],
            ];
            let args = args.as_flattened();
            running.start(server(&name, "backfence-replica", "SERVER READY", args)?)?;
        }
        let args = [
            ["--registry", &url],
            ["--listen", &front_end],
            ["--cluster-key", key],
        ];
        let ready = "CLIENT CAN NOW CONNECT";
        let args = args.as_flattened();
        running.start(server("frontend", "backfence-frontend", ready, args)?)?;
        running.ready().await
    };
    tokio::select! {
        biased;
        listened = tokio::signal::ctrl_c() => {
            listened?;
            Err(Failure::new(Exit::Interrupted, "interrupted before all was started").into())
        }
        ready = work => ready,
    }?;
    // All servers read the same files, so the first tells what they left out of them.
    folder.skipped().iter().for_each(|row| say(row));
    Ok(())
}

/// Says how others connect, and goes on until the client ends, or Ctrl-C.
async fn serve(mut args: Args, up: &Up, running: &mut Running) -> anyhow::Result<Exit> {
    let registry = format!("http://127.0.0.1:{}", up.port);
    let servers = match up.replicas {
        1 => "1 server".to_owned(),
        many => format!("{many} servers"),
    };
    let program = std::env::current_exe()?;
    say(&format!(
        "{servers} and a front end are ready. For another client, in another terminal:"
    ));
    say(&format!("    {} --registry {registry}", program.display()));
    announce("CLIENT CAN NOW CONNECT");
    if up.no_client {
        say("Ctrl-C stops everything.");
        return tokio::select! {
            listened = tokio::signal::ctrl_c() => Ok(listened.map(|()| Exit::Done)?),
            failure = running.watch() => Err(failure.into()),
        };
    }
    args.registry = registry.parse()?;
    args.front_ends = Vec::new();
    tokio::select! {
        ended = crate::converse_as(&args) => ended,
        failure = running.watch() => Err(failure.into()),
    }
}

fn refuse_taken(port: u16) -> Result<(), Failure> {
    // What is not there any more is no reason to refuse: the servers listen in the same way.
    TcpListener::bind(("127.0.0.1", port))
        .map(drop)
        .map_err(|_| {
            let sentence = format!(
                "port {port} is in use; choose another with --port (it and the next one are needed)"
            );
            Failure::new(Exit::Unavailable, sentence)
        })
}

fn say(line: &str) {
    anstream::eprintln!("{line}");
}
