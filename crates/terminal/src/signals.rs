//! What ends the program from outside.

use backfence_process::{Exit, Failure};

/// Ctrl-C ends it, with `None`.
pub(crate) async fn interruptible(
    work: impl Future<Output = anyhow::Result<Exit>>,
) -> Option<anyhow::Result<Exit>> {
    tokio::select! {
        biased;
        listened = tokio::signal::ctrl_c() => match listened {
            Ok(()) => None,
            Err(error) => Some(Err(error.into())),
        },
        ended = work => Some(ended),
    }
}

/// The error of whoever was interrupted, with how to go on.
pub(crate) fn interrupted(sentence: &'static str) -> anyhow::Result<Exit> {
    Err(Failure::new(Exit::Interrupted, sentence).into())
}

/// SIGTERM ends it, and so does SIGHUP, which says that the terminal has gone. Both
/// leave a terminal as it was: a line may be edited just then, with the terminal in
/// another mode.
#[cfg(unix)]
pub(crate) async fn terminable(
    work: impl Future<Output = anyhow::Result<Exit>>,
) -> anyhow::Result<Exit> {
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    use tokio::signal::unix::{SignalKind, signal};

    let before = tcgetattr(std::io::stdin());
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let ended = async {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = hung_up.recv() => {}
        }
    };
    tokio::select! {
        biased;
        () = ended => {
            if let Ok(before) = before {
                // Without a terminal there is nothing to be left in order.
                let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
            }
            let sentence = "Terminated; the last command may still take effect";
            Err(Failure::new(Exit::Interrupted, sentence).into())
        }
        ended = work => ended,
    }
}

#[cfg(not(unix))]
pub(crate) async fn terminable(
    work: impl Future<Output = anyhow::Result<Exit>>,
) -> anyhow::Result<Exit> {
    work.await
}
