//! Whether this replica may serve, where others have loaded other data.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use backfence_process::{Address, Entry, Environment, Failure, Name};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::Copy;
use crate::{
    data::{self, Party, Verdict},
    incarnation::{HeardOf, other_data},
};

/// For so long others may come before the largest group is told.
const WINDOW: Duration = Duration::from_secs(5);
/// The least time between two questions what data others have.
const PAUSE: Duration = Duration::from_millis(100);
/// How long before they are asked again by one that may not serve.
const AGAIN: Duration = Duration::from_secs(1);

/// How a replica stands towards those with other data.
#[derive(Debug)]
pub(super) struct Admission {
    /// It may not serve before it is known whose data count. From when it is ready on it
    /// serves, until it ends.
    waits: bool,
    is_ready: bool,
    /// How often somebody has named other data.
    heard: u64,
    /// Where those are that have them, by the last answers.
    apart: BTreeSet<Address>,
}

impl Admission {
    /// Of a replica that has heard of other data, or not.
    pub(super) fn at_start(differs: bool) -> Self {
        Self {
            waits: differs,
            is_ready: false,
            heard: differs.into(),
            apart: BTreeSet::new(),
        }
    }
}

impl Copy {
    /// Somebody has said Hello whose data are others.
    pub(crate) fn hear_other_data(&self) {
        self.admission.send_modify(|admission| {
            admission.heard += 1;
            admission.waits |= !admission.is_ready;
        });
    }

    pub(super) fn may_not_serve(&self) -> bool {
        self.admission.borrow().waits
    }

    /// How many of them have the same data, as far as is known; `None` before it is known
    /// whose count.
    pub(super) fn with_same_data<'a>(
        &self,
        others: impl Iterator<Item = &'a Address>,
    ) -> Option<usize> {
        let admission = self.admission.borrow();
        let count = others.filter(|other| !admission.apart.contains(other));
        (!admission.waits).then(|| count.count())
    }

    /// Waits until this replica may serve. From then on it does.
    pub(crate) async fn admitted(&self) {
        let mut admission = self.admission.subscribe();
        let admit = |admission: &mut Admission| {
            admission.is_ready = !admission.waits;
            admission.is_ready
        };
        while !self.admission.send_if_modified(admit) {
            // The sender lives in this copy.
            let _ = admission.wait_for(|admission| !admission.waits).await;
        }
    }

    /// Asks the others whenever one has named other data, until the answers say that this
    /// replica is to end, and who has the data that count.
    pub(crate) async fn outnumbered(
        &self,
        environment: &Environment,
        mut entries: watch::Receiver<BTreeMap<Name, Entry>>,
    ) -> Failure {
        let mut admission = self.admission.subscribe();
        // The sender lives in this copy.
        let _ = admission.wait_for(|admission| admission.heard > 0).await;
        let over = Instant::now() + WINDOW;
        loop {
            let heard = admission.borrow_and_update().heard;
            let listed = entries.borrow_and_update().clone();
            let addresses = listed.into_values().map(|entry| entry.address);
            let others = addresses.filter(|address| *address != self.address);
            let is_over = Instant::now() >= over;
            let answers = HeardOf::ask_all(environment, &self.key, others).await;
            let own = self.party();
            let verdict = answers.verdict(&own, is_over);
            let apart = answers.with_other_data(&own.fingerprint);
            self.admission.send_modify(|admission| {
                admission.apart = apart;
                admission.waits = match verdict {
                    Verdict::Stays => false,
                    Verdict::Waits => !admission.is_ready,
                    Verdict::Leaves { .. } => true,
                };
            });
            if let Verdict::Leaves { other } = verdict
                // It may have taken an update meanwhile.
                && !self.party().has_past
            {
                return other_data(&own, &other);
            }
            sleep(PAUSE).await;
            let again = if is_over {
                Instant::now() + AGAIN
            } else {
                over
            };
            let waits = self.may_not_serve();
            tokio::select! {
                _ = admission.wait_for(|admission| admission.heard != heard) => {}
                Ok(()) = entries.changed() => {}
                () = sleep_until(again), if waits || !is_over => {}
            }
        }
    }

    fn party(&self) -> Party {
        let held = self.held();
        let (_, standing) = held.cluster();
        Party {
            server: self.id.server,
            fingerprint: self.fingerprint.clone(),
            has_past: data::is_firm(standing) || !held.replica.replica_ts().is_empty(),
        }
    }
}
