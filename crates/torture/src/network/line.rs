//! The network of a simulation: connections that can be reset.

use std::{
    collections::BTreeMap,
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use backfence_process::{Address, CancellationToken, Connecting, Connector, Io, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;
use turmoil::net::{TcpListener, TcpStream};

/// What resets the connections to each host.
#[derive(Clone, Default)]
pub(crate) struct Resets(Arc<Mutex<BTreeMap<String, CancellationToken>>>);

impl Resets {
    /// Resets every connection to this host that is open now.
    pub(crate) fn reset(&self, host: &str) {
        if let Some(token) = self.lock().remove(host) {
            token.cancel();
        }
    }

    fn of(&self, host: &str) -> CancellationToken {
        self.lock().entry(host.to_owned()).or_default().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects in the simulated network.
pub(crate) struct Simulated(pub(crate) Resets);

impl Connector for Simulated {
    fn connect(&self, address: Address) -> Connecting {
        let reset = self.0.of(address.host());
        Box::pin(async move {
            let stream = TcpStream::connect((address.host(), address.port())).await?;
            Ok(Box::new(Line::new(stream, reset)) as Box<dyn Io>)
        })
    }
}

/// A connection that can be reset.
pub(crate) struct Line {
    stream: TcpStream,
    reset: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Line {
    fn new(stream: TcpStream, reset: CancellationToken) -> Self {
        Self {
            stream,
            reset: Box::pin(reset.cancelled_owned()),
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.reset.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_open(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_open(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Line {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

/// Listens in the simulated network, on all addresses of its host.
pub(crate) struct Hosted {
    listener: TcpListener,
    resets: Resets,
    host: String,
}

impl Hosted {
    pub(crate) async fn bind(host: &str, port: u16, resets: Resets) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(("0.0.0.0", port)).await?,
            resets,
            host: host.to_owned(),
        })
    }
}

impl Listener for Hosted {
    type Io = Line;

    async fn accept(&mut self) -> io::Result<Line> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Line::new(stream, self.resets.of(&self.host)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
