//! The limit that the wire sets: two servers that do nothing but pass a view on and
//! answer it, with messages of our sizes.
//!
//! Each runs in a process of its own, as ours do, so that the kernel has the same
//! work to do.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};
use backfence_wire::v1::{
    front_end_client::FrontEndClient, front_end_server::FrontEndServer,
    replica_server::ReplicaServer,
};
use clap::ValueEnum;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::hop::{Back, Front, Link};

/// How the front reaches the back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Hop {
    /// Not at all: the back is called by the clients.
    None,
    /// One long-lived stream, requests and replies matched by number.
    Stream,
    /// A call for each request.
    Unary,
}

/// The bare front.
#[derive(Debug, clap::Args)]
pub(crate) struct FrontArgs {
    /// The URL of the back.
    back: String,
    /// How to reach it.
    #[arg(value_enum)]
    hop: Hop,
}

/// The two servers, running. They are killed when this is dropped.
pub(crate) struct Bare {
    back: Running,
    front: Option<Running>,
}

struct Running {
    child: Child,
    url: String,
}

impl Bare {
    pub(crate) fn start(hop: Hop) -> anyhow::Result<Self> {
        let back = Running::start(&["bare-back"])?;
        let front = |hop| Running::start(&["bare-front", &back.url, hop]);
        let front = match hop {
            Hop::None => None,
            Hop::Stream => Some(front("stream")?),
            Hop::Unary => Some(front("unary")?),
        };
        Ok(Self { back, front })
    }

    /// What clients call.
    pub(crate) fn url(&self) -> &str {
        &self.front.as_ref().unwrap_or(&self.back).url
    }
}

impl Running {
    fn start(args: &[&str]) -> anyhow::Result<Self> {
        let program = env::current_exe().context("cannot tell where this program is")?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a bare server")?;
        let mut running = Self {
            child,
            url: String::new(),
        };
        let stdout = running
            .child
            .stdout
            .take()
            .context("a bare server has no stdout")?;
        BufReader::new(stdout).read_line(&mut running.url)?;
        running.url.truncate(running.url.trim_end().len());
        if running.url.is_empty() {
            bail!("a bare server ended at once: {args:?}");
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the back until it is killed.
#[tokio::main]
pub(crate) async fn back() -> anyhow::Result<()> {
    let listener = listen().await?;
    Server::builder()
        .tcp_nodelay(true)
        .add_service(ReplicaServer::new(Back))
        .add_service(FrontEndServer::new(Front::Here))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}

/// Runs the front until it is killed.
#[tokio::main]
pub(crate) async fn front(args: FrontArgs) -> anyhow::Result<()> {
    let cannot = || format!("cannot connect to the back at {}", args.back);
    let front = match args.hop {
        Hop::None => Front::Here,
        Hop::Unary => Front::Call(
            FrontEndClient::connect(args.back.clone())
                .await
                .with_context(cannot)?,
        ),
        Hop::Stream => Front::Stream(Link::open(&args.back).await.with_context(cannot)?),
    };
    let listener = listen().await?;
    Server::builder()
        .tcp_nodelay(true)
        .add_service(FrontEndServer::new(front))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}

async fn listen() -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(listener)
}
