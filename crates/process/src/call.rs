//! Calls that end, and calls that are made again.

use std::{error::Error as _, future::Future, time::Duration};

use tonic::{Code, Status};

use crate::Environment;

/// A call that ends after `limit` at the latest, then with `DEADLINE_EXCEEDED`.
///
/// A channel's own timeout is not enough: it does not count while the channel
/// waits for a connection.
///
/// # Errors
///
/// The call's, or `DEADLINE_EXCEEDED`.
pub async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    tokio::time::timeout(limit, call)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded(format!("no answer in {limit:?}"))))
}

/// Whether a call failed because nobody answered it, so that another server, or
/// the same one later, may. A connection that breaks shows as any code, but with
/// a source; what a server says itself has none.
pub fn is_unreachable(status: &Status) -> bool {
    status.source().is_some()
        || matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
        )
}

/// How long to wait between attempts: 100 ms, doubled each time up to 1 s, each
/// cut by up to a half at random.
#[derive(Clone, Debug)]
pub struct Backoff {
    environment: Environment,
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(1);

    /// Before the first attempt.
    pub fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            next: Self::FIRST,
        }
    }

    /// Waits after an attempt that failed.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.environment.jitter(self.next)).await;
        self.next = (self.next * 2).min(Self::LONGEST);
    }

    /// Starts again after an attempt that succeeded.
    pub fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_is_ended() {
        let hanging = std::future::pending::<Result<(), Status>>();
        let status = within(Duration::from_secs(2), hanging).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(is_unreachable(&status));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_a_second() {
        let mut backoff = Backoff::new(&Environment::seeded(1));
        for longest in [100, 200, 400, 800, 1000, 1000] {
            let start = Instant::now();
            backoff.wait().await;
            let waited = start.elapsed();
            // The runtime's timer has steps of a millisecond.
            let bounds = Duration::from_millis(longest / 2)..=Duration::from_millis(longest + 1);
            assert!(bounds.contains(&waited), "{waited:?} of {longest} ms");
        }
        backoff.reset();
        assert_eq!(backoff.next, Backoff::FIRST);
    }

    #[test]
    fn what_a_server_says_is_an_answer() {
        assert!(!is_unreachable(&Status::not_found("no")));
        assert!(!is_unreachable(&Status::unknown("no")));
        assert!(is_unreachable(&Status::unavailable("no")));
        let broken = Status::from_error(Box::new(std::io::Error::other("broken")));
        assert!(is_unreachable(&broken));
    }
}
