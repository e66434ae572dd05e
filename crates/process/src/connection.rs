//! An accepted connection that can be cut, and must say something.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::Sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::callers::{Callers, Client};

/// What an HTTP/2 client sends first, in bytes (RFC 9113, section 3.4).
const PREFACE: usize = 24;
/// How long it may take for that.
const PREFACE_WITHIN: Duration = Duration::from_secs(10);

/// Wraps a connection so that a server can end it: tonic hands each to a task of
/// its own, which outlives the server.
pub(crate) struct Connection<T> {
    io: T,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    silence: Option<Silence>,
    caller: Client,
    /// Its place among those that may be open.
    _place: OwnedSemaphorePermit,
}

/// Ends a connection that never gets as far as HTTP/2, where keep-alive begins.
struct Silence {
    deadline: Pin<Box<Sleep>>,
    lacking: usize,
}

impl<T> Connection<T> {
    pub(crate) fn new(
        io: T,
        place: OwnedSemaphorePermit,
        callers: &Arc<Callers>,
        cut: CancellationToken,
    ) -> Self {
        Self {
            io,
            caller: callers.connected(cut.clone()),
            cut: Box::pin(cut.cancelled_owned()),
            silence: Some(Silence {
                deadline: Box::pin(tokio::time::sleep(PREFACE_WITHIN)),
                lacking: PREFACE,
            }),
            _place: place,
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.cut.as_mut().poll(cx).is_ready() {
            let error = io::Error::new(io::ErrorKind::ConnectionAborted, "the server has stopped");
            return Poll::Ready(error);
        }
        match &mut self.silence {
            Some(silence) => silence
                .deadline
                .as_mut()
                .poll(cx)
                .map(|()| io::ErrorKind::TimedOut.into()),
            None => Poll::Pending,
        }
    }

    fn heard(&mut self, bytes: usize) {
        if let Some(silence) = &mut self.silence {
            silence.lacking = silence.lacking.saturating_sub(bytes);
            if silence.lacking == 0 {
                self.silence = None;
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_end(cx) {
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.heard(buf.filled().len() - before);
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T> Connected for Connection<T> {
    type ConnectInfo = Client;

    fn connect_info(&self) -> Client {
        self.caller.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
        sync::Semaphore,
        time::Instant,
    };

    use super::*;

    async fn pair(cut: &CancellationToken) -> (Connection<DuplexStream>, DuplexStream) {
        let (server, client) = tokio::io::duplex(64);
        let places = Arc::new(Semaphore::new(1));
        let place = places.acquire_owned().await.unwrap();
        let callers = Callers::new();
        (
            Connection::new(server, place, &callers, cut.clone()),
            client,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_too_little_is_ended() {
        let (mut server, mut client) = pair(&CancellationToken::new()).await;
        client.write_all(b"garbage").await.unwrap();
        let start = Instant::now();
        let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= PREFACE_WITHIN);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_greeted_stays_until_cut() {
        let cut = CancellationToken::new();
        let (mut server, mut client) = pair(&cut).await;
        client.write_all(&[7; PREFACE]).await.unwrap();
        server.read_exact(&mut [0; PREFACE]).await.unwrap();
        let cutting = async {
            tokio::time::sleep(3 * PREFACE_WITHIN).await;
            cut.cancel();
        };
        let (error, ()) = tokio::join!(server.read_u8(), cutting);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
