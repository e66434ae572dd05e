//! The requests of one stream that wait.

use std::{
    collections::HashMap,
    task::{Context, Poll},
};

use backfence_wire::v1::ServeReply;
use tokio::task::{AbortHandle, JoinSet};

/// Queries that wait, and updates that wait for copies; beyond, they are declined as
/// over-loaded.
const WAITING: usize = 1024;

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
