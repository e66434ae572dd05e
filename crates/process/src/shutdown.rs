//! When to stop.

use std::io;

use tokio_util::sync::CancellationToken;

use crate::Exit;

/// A token that Ctrl-C and SIGTERM cancel; the program then drains and ends with
/// 0. A second Ctrl-C ends it at once with 130. Must be called inside a runtime.
///
/// # Errors
///
/// When the system does not let the program handle signals.
pub fn shutdown_on_signals() -> io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let token = shutdown.clone();
    tokio::spawn(async move {
        let signal = signals.any().await;
        tracing::info!(signal, "stopping; Ctrl-C ends the program at once");
        token.cancel();
        signals.interrupt().await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(shutdown)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From here on the signals do not kill the program.
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    async fn interrupt(&mut self) {
        self.interrupt.recv().await;
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    close: tokio::signal::windows::CtrlClose,
}

#[cfg(windows)]
impl Signals {
    /// From here on the events do not kill the program.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: tokio::signal::windows::ctrl_c()?,
            close: tokio::signal::windows::ctrl_close()?,
        })
    }

    async fn any(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.close.recv() => "closed window",
        }
    }

    async fn interrupt(&mut self) {
        self.interrupt.recv().await;
    }
}
