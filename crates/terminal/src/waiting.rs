//! What somebody at a terminal sees while a request lasts, and how they give it up.

use std::{
    future::{Future, pending},
    io::{self, Write},
    time::Duration,
};

use tokio::time::Instant;

/// A request that is answered within this shows nothing.
const MOMENT: Duration = Duration::from_millis(300);
const FRAME: Duration = Duration::from_millis(100);
/// ASCII, so that every terminal shows it.
const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
/// The longest line that a terminal of 60 columns holds.
const LONGEST: usize = 59;

/// Ctrl-C while no line is being edited.
#[derive(Debug)]
pub(crate) struct Interrupts {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
    #[cfg(windows)]
    signal: tokio::signal::windows::CtrlC,
}

impl Interrupts {
    pub(crate) fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        let signal = {
            use tokio::signal::unix::{SignalKind, signal};
            signal(SignalKind::interrupt())?
        };
        #[cfg(windows)]
        let signal = tokio::signal::windows::ctrl_c()?;
        Ok(Self { signal })
    }

    pub(crate) async fn next(&mut self) {
        // The stream ends with the runtime, and then so does whoever waits here.
        if self.signal.recv().await.is_none() {
            pending::<()>().await;
        }
    }

    /// One that came before a request began is none of its business.
    async fn forget(&mut self) {
        let _ = tokio::time::timeout(Duration::ZERO, self.next()).await;
    }
}

/// How a request that somebody watched has ended.
pub(crate) enum Watched<T> {
    Done(T),
    GivenUp,
}

/// Waits for `work`. Once it lasts longer than a moment, says what is waited for, with
/// something that moves.
pub(crate) async fn watched<T>(
    work: impl Future<Output = T>,
    waiting: impl Fn() -> String,
    interrupts: &mut Interrupts,
    screen: &mut impl Write,
) -> io::Result<Watched<T>> {
    interrupts.forget().await;
    let mut work = std::pin::pin!(work);
    let mut frames = tokio::time::interval_at(Instant::now() + MOMENT, FRAME);
    let mut drawn = 0;
    let ended = loop {
        tokio::select! {
            biased;
            done = &mut work => break Watched::Done(done),
            () = interrupts.next() => break Watched::GivenUp,
            _ = frames.tick() => {
                let line = line(drawn, &waiting());
                write!(screen, "\r\x1b[K{line}")?;
                screen.flush()?;
                drawn += 1;
            }
        }
    };
    if drawn > 0 {
        // Up and down again: what follows begins after a line end, as it does when
        // nothing was drawn.
        write!(screen, "\r\x1b[K\x1b[A\n")?;
    }
    Ok(ended)
}

/// Waits for `work`, which shows by itself how far it is; `None` after Ctrl-C.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = T>,
    interrupts: &mut Interrupts,
) -> Option<T> {
    interrupts.forget().await;
    tokio::select! {
        biased;
        done = work => Some(done),
        () = interrupts.next() => None,
    }
}

fn line(drawn: usize, waiting: &str) -> String {
    let frame = FRAMES[drawn % FRAMES.len()];
    let line = format!("{frame} waiting for {waiting} (Ctrl-C gives up)");
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use backfence_client::Waiting;

    use super::*;

    #[test]
    fn a_line_says_for_what_and_fits() {
        let update = Waiting::ForUpdate {
            server: 1,
            number: 17,
        };
        assert_eq!(
            line(1, &update.to_string()),
            "/ waiting for update 17 of server 1 (Ctrl-C gives up)"
        );
        let away = Waiting::ForFrontEnd {
            address: "a-long-name.somewhere.example:7400".parse().unwrap(),
        };
        assert_eq!(line(4, &away.to_string()).len(), LONGEST);
    }
}
