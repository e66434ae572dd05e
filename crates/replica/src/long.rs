//! Work of milliseconds, off the threads that serve everybody.

use std::{sync::Arc, thread::available_parallelism, time::Duration};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::spawn_blocking,
    time::Instant,
};

/// Pieces of such work that wait for their turn; one more is declined.
const QUEUE: usize = 256;
/// The longest rest after a piece that held the core.
const REST: Duration = Duration::from_secs(1);

/// Lets so many pieces of long work go on at once as half of the processors can do.
#[derive(Debug)]
pub(crate) struct Long {
    queue: Semaphore,
    turns: Arc<Semaphore>,
}

impl Default for Long {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self::new(QUEUE, (processors / 2).max(1))
    }
}

impl Long {
    fn new(queue: usize, turns: usize) -> Self {
        Self {
            queue: Semaphore::new(queue),
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    /// Does the work in its turn; `None` where too much waits. What `holds` the core is
    /// followed by a rest as long, so that others have it for half of the time.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        holds: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _place = self.queue.try_acquire().ok()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let timed = move || {
            let begun = Instant::now();
            let done = work();
            if holds {
                let took = begun.elapsed().min(REST);
                (done, Some((took, turn)))
            } else {
                drop(turn);
                (done, None)
            }
        };
        // Where there is but one thread, a simulation has to be repeatable.
        let (done, rest) = match Handle::current().runtime_flavor() {
            RuntimeFlavor::CurrentThread => timed(),
            _ => spawn_blocking(timed).await.ok()?,
        };
        if let Some((took, turn)) = rest {
            tokio::spawn(async move {
                tokio::time::sleep(took).await;
                drop(turn);
            });
        }
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_too_much_is_declined_and_the_rest_goes_on() {
        let long = Arc::new(Long::new(3, 1));
        let (release, released) = mpsc::channel::<()>();
        let mut tasks = JoinSet::new();
        let first = Arc::clone(&long);
        tasks.spawn(async move { first.run(true, move || released.recv().is_ok()).await });
        for _ in 0..2 {
            let next = Arc::clone(&long);
            tasks.spawn(async move { next.run(false, || true).await });
        }
        // The one thread that serves is free meanwhile.
        while long.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(long.run(false, || true).await, None);
        release.send(()).unwrap();
        assert_eq!(tasks.join_all().await, [Some(true); 3]);
        assert_eq!(long.run(false, || 7).await, Some(7));
    }
}
