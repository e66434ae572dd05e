//! The disk: nothing is told before what it tells is on it.
//!
//! What is to be written gathers beside the protocol's state, under the same lock. One
//! thread takes all that has gathered, writes it as one synced batch, and says how far
//! it is; meanwhile the next batch gathers. Whoever tells something waits until the
//! disk has come as far as what was noted when it was said.

use std::{
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use backfence_ratings::Base;
use backfence_store::{OpenError, Recovered, Store, WriteError};
use tokio::sync::{oneshot, watch};

use crate::{copy::Copy, unwritten::Position};

/// How long to leave a full disk alone before it is tried again.
const FULL: Duration = Duration::from_millis(500);

/// How far the disk is, for those who wait for it.
pub(crate) struct Disk {
    wake: mpsc::SyncSender<()>,
    written: watch::Sender<Position>,
    full: AtomicBool,
}

/// The other end: for the thread.
pub(crate) struct Writer {
    store: Store,
    place: Place,
    woken: mpsc::Receiver<()>,
}

/// Where a store is, to open it again.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) server: u32,
    pub(crate) base: Arc<Base>,
}

impl Place {
    /// Reads what is there. It may take seconds.
    pub(crate) fn open(&self) -> Result<(Store, Recovered), OpenError> {
        Store::open(&self.directory, self.server, self.base.clone())
    }
}

impl Disk {
    /// A disk, and what writes to it when it is [run](Writer::run).
    pub(crate) fn new(store: Store, place: Place) -> (Self, Writer) {
        // One is enough: whoever is woken takes all there is.
        let (wake, woken) = mpsc::sync_channel(1);
        let disk = Self {
            wake,
            written: watch::Sender::new(Position::default()),
            full: AtomicBool::new(false),
        };
        let writer = Writer {
            store,
            place,
            woken,
        };
        (disk, writer)
    }

    /// There is something to write.
    pub(crate) fn wake(&self) {
        // Where it is full, the thread is on its way already.
        let _ = self.wake.try_send(());
    }

    /// Waits until all is written that was noted up to `position`. For ever where the
    /// disk stays full; the process ends where it fails.
    pub(crate) async fn reach(&self, position: Position) {
        let mut written = self.written.subscribe();
        // The sender lives in this disk.
        let _ = written.wait_for(|written| *written >= position).await;
    }

    /// Whether all is written that was noted up to `position`.
    pub(crate) fn has_reached(&self, position: Position) -> bool {
        *self.written.borrow() >= position
    }

    /// Whether there is no room: then nothing new is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

impl Writer {
    /// Writes on a thread of its own what gathers in `copy`, until the copy is gone.
    /// Gives the error that ended it, if one did.
    pub(crate) fn run(self, copy: &Arc<Copy>) -> oneshot::Receiver<anyhow::Error> {
        let (failed, ended) = oneshot::channel();
        let copy = Arc::downgrade(copy);
        thread::spawn(move || {
            if let Err(error) = self.write_all(&copy) {
                // Whoever waits for it may have ended before.
                let _ = failed.send(error);
            }
        });
        ended
    }

    fn write_all(self, copy: &Weak<Copy>) -> anyhow::Result<()> {
        let Self {
            mut store,
            place,
            woken,
        } = self;
        while woken.recv().is_ok() {
            let Some(copy) = copy.upgrade() else { break };
            let Some((batch, position)) = copy.take_unwritten() else {
                continue;
            };
            let disk = copy.disk().expect("this is its thread");
            while let Err(error) = store.write(&batch) {
                if !matches!(error, WriteError::NoSpace { .. }) {
                    return Err(error.into());
                }
                if !disk.full.swap(true, Ordering::Relaxed) {
                    tracing::error!("{error}; until then updates are declined");
                }
                drop(store);
                store = wait_for_room(&place)?;
            }
            if disk.full.swap(false, Ordering::Relaxed) {
                tracing::info!("there is room on the disk again");
            }
            disk.written.send_replace(position);
        }
        Ok(())
    }
}

/// Opens the store again when there may be room.
fn wait_for_room(place: &Place) -> anyhow::Result<Store> {
    loop {
        thread::sleep(FULL);
        match place.open() {
            Ok((store, _)) => return Ok(store),
            Err(OpenError::NoSpace { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
