//! The disk: nothing is told before what it tells is on it.
//!
//! What is to be written gathers beside the protocol's state, under the same lock. One
//! thread takes all that has gathered, writes it as one synced batch, and says how far
//! it is; meanwhile the next batch gathers. Whoever tells something waits until the
//! disk has come as far as what was noted when it was said.
//!
//! On a full disk what was accepted is written into room that was held for it
//! (`reserve.rs`), and nothing more is taken until as much is held again. So all that
//! can be told goes on being told.

use std::{
    fmt::Display,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use backfence_ratings::Base;
use backfence_store::{OpenError, Recovered, Store, WriteError};
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::WatchStream;

use crate::{copy::Copy, reserve::Reserve, unwritten::Position};

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
    /// Reads what is there. It may take seconds. Then the room that was held is free,
    /// for what is written next.
    pub(crate) fn open(&self) -> Result<(Store, Recovered), OpenError> {
        let opened = Store::open(&self.directory, self.server, self.base.clone())?;
        Reserve::new(&self.directory).release();
        Ok(opened)
    }

    /// Removes a store that is of no use to anybody.
    pub(crate) fn discard(&self) {
        Reserve::new(&self.directory).release();
        if let Err(error) = backfence_store::discard(&self.directory) {
            let directory = self.directory.display();
            tracing::warn!(%error, %directory, "the new store is left behind; remove it by hand");
        }
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

    /// How far all is written, at each step.
    pub(crate) fn written(&self) -> WatchStream<Position> {
        WatchStream::new(self.written.subscribe())
    }

    /// Whether all is written that was noted up to `position`.
    pub(crate) fn has_reached(&self, position: Position) -> bool {
        *self.written.borrow() >= position
    }

    /// Whether there is no room: then nothing new is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    fn no_room(&self, why: &dyn Display) {
        if !self.full.swap(true, Ordering::Relaxed) {
            tracing::error!("{why}; until then updates are declined");
        }
    }

    /// Holds room, or notes that there is none to be held.
    fn hold(&self, reserve: &mut Reserve) -> anyhow::Result<()> {
        let held = reserve.hold();
        if !held.context("cannot hold room in the data directory; check the disk")? {
            self.no_room(&"the disk has no room to spare; make room");
        } else if self.full.swap(false, Ordering::Relaxed) {
            tracing::info!("there is room on the disk again");
        }
        Ok(())
    }
}

impl Writer {
    /// Writes on a thread of its own what gathers in `copy`, until the copy is gone or
    /// broken; then what has been taken is written first. Gives the error that ended it, if
    /// one did.
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
        let mut reserve = Reserve::new(&place.directory);
        loop {
            let Some(held) = copy.upgrade() else { break };
            let disk = held.disk().expect("this is its thread");
            disk.hold(&mut reserve)?;
            let is_full = disk.is_full();
            drop(held);
            if !wait(&woken, is_full) {
                break;
            }
            let Some(copy) = copy.upgrade() else { break };
            if copy.is_broken() {
                break;
            }
            let Some((batch, position)) = copy.take_unwritten() else {
                continue;
            };
            let disk = copy.disk().expect("this is its thread");
            while let Err(error) = store.write(&batch) {
                if !matches!(error, WriteError::NoSpace { .. }) {
                    return Err(error.into());
                }
                disk.no_room(&error);
                drop(store);
                store = reopen(&place, &mut reserve)?;
            }
            disk.written.send_replace(position);
        }
        Ok(())
    }
}

/// Waits until there is something to write, or it is time to look for room. False when
/// nobody will have something any more.
fn wait(woken: &mpsc::Receiver<()>, is_full: bool) -> bool {
    if is_full {
        !matches!(
            woken.recv_timeout(FULL),
            Err(mpsc::RecvTimeoutError::Disconnected)
        )
    } else {
        woken.recv().is_ok()
    }
}

/// Opens the store again, with the room that was held, or when there may be some.
fn reopen(place: &Place, reserve: &mut Reserve) -> anyhow::Result<Store> {
    loop {
        if !reserve.release() {
            thread::sleep(FULL);
        }
        match place.open() {
            Ok((store, _)) => return Ok(store),
            Err(OpenError::NoSpace { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
