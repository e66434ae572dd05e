//! The requests of one stream that wait.

use std::{
    collections::HashMap,
    task::{Context, Poll},
    time::Duration,
};

use backfence_wire::v1::ServeReply;
use tokio::task::{AbortHandle, JoinSet};

/// Queries that wait, and updates that wait for copies; beyond, they are declined as
/// over-loaded. As many as a front end has calls, which it shares out among its clients.
const WAITING: usize = 8192;
/// Whoever waits for less looks again at each growth.
const SHORT: Duration = Duration::from_millis(50);
/// The longest that a growth goes unseen.
const SELDOM: Duration = Duration::from_millis(250);

/// How long to leave it at a growth before looking again, after so long a wait. So many
/// that wait for long cost little, however often the value grows.
pub(crate) fn leave_it(waited: Duration) -> Duration {
    if waited < SHORT {
        Duration::ZERO
    } else {
        (waited / 16).min(SELDOM)
    }
}

/// The queries of one stream that wait, and the updates that wait for copies, so that
/// they can be given up. Dropped, all are.
#[derive(Default)]
pub(super) struct Waiting {
    tasks: JoinSet<ServeReply>,
    handles: HashMap<u64, AbortHandle>,
}

impl Waiting {
    /// How many more may wait.
    pub(super) fn room(&self) -> usize {
        WAITING.saturating_sub(self.handles.len())
    }

    /// Lets a request wait for its reply; there is room.
    pub(super) fn add(
        &mut self,
        number: u64,
        waited: impl Future<Output = ServeReply> + Send + 'static,
    ) {
        let reply = async move {
            let what = waited.await;
            ServeReply { number, ..what }
        };
        self.handles.insert(number, self.tasks.spawn(reply));
    }

    /// Gives a request up.
    pub(super) fn cancel(&mut self, number: u64) {
        if let Some(handle) = self.handles.remove(&number) {
            handle.abort();
        }
    }

    /// The next reply that has come.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Option<ServeReply> {
        while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next(context) {
            // One that was given up has no reply.
            if let Ok(reply) = ended {
                self.handles.remove(&reply.number);
                return Some(reply);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};

    use super::*;

    #[test]
    fn who_waits_for_long_looks_seldom() {
        let check = |waited, expected| {
            let (waited, expected) = (
                Duration::from_millis(waited),
                Duration::from_millis(expected),
            );
            assert_eq!(leave_it(waited), expected, "{waited:?}");
        };
        check(0, 0);
        check(49, 0);
        check(160, 10);
        check(1600, 100);
        check(60_000, 250);
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let mut waiting = Waiting::default();
        for number in 0..WAITING as u64 {
            assert!(waiting.room() > 0, "{number}");
            waiting.add(number, pending());
        }
        assert_eq!(waiting.room(), 0);
        waiting.cancel(7);
        assert_eq!(waiting.room(), 1);
        waiting.add(7, ready(ServeReply::default()));
        let reply = poll_fn(|context| match waiting.poll(context) {
            Some(reply) => Poll::Ready(reply),
            None => Poll::Pending,
        });
        assert_eq!(reply.await.number, 7);
        assert_eq!(waiting.room(), 1);
    }
}
