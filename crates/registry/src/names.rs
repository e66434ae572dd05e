//! The directory with a clock, a lock, and a way to dial holders.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backfence_process::{Address, Entry, Environment, Name, Secret, is_unreachable, within};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{Denied, Directory, Lease, MAX_ENTRIES, status};

/// How long a holder may take to show that it lives.
const DIAL: Duration = Duration::from_millis(500);
/// Holders dialled at once. More registrations wait for their turn.
const MAX_DIALS: usize = 64;
/// How often a name may change hands while its holders are dialled.
const MAX_ROUNDS: usize = 3;

/// Who asks for a name.
pub(crate) struct Newcomer {
    pub(crate) address: Address,
    pub(crate) instance: u64,
    pub(crate) secret: Option<Secret>,
    pub(crate) lease: Lease,
}

impl Newcomer {
    fn entry(&self, name: Name) -> Entry {
        Entry {
            name,
            address: self.address.clone(),
            instance: self.instance,
        }
    }
}

pub(crate) struct Names {
    /// Held for one synchronous call at a time, never across an await.
    directory: Mutex<Directory>,
    /// The directory's version.
    changes: watch::Sender<u64>,
    /// From where the directory's stopwatch runs.
    start: Instant,
    environment: Environment,
    dials: Semaphore,
}

impl Names {
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            directory: Mutex::default(),
            changes: watch::Sender::default(),
            start: Instant::now(),
            environment,
            dials: Semaphore::new(MAX_DIALS),
        }
    }

    /// Forgets each lapsed lease at its time.
    pub(crate) async fn expire(&self) -> Infallible {
        let mut changes = self.changes.subscribe();
        loop {
            // First, so that a change after the look below is not missed.
            changes.mark_unchanged();
            let next = self.with(|directory, now| {
                for entry in directory.expire(now) {
                    tracing::info!(name = %entry.name, address = %entry.address, "lease lapsed");
                }
                directory.next_expiry()
            });
            let lapse = async {
                match next {
                    Some(next) => tokio::time::sleep_until(self.start + next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = lapse => {}
            }
        }
    }

    /// Tells of each change of what is listed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A panic inside would be a fault in one call; the directory changes only as
    /// the last step of each, so it may be used on.
    pub(crate) fn with<T>(&self, call: impl FnOnce(&mut Directory, Duration) -> T) -> T {
        let mut directory = self
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let result = call(&mut directory, self.start.elapsed());
        let version = directory.version();
        self.changes
            .send_if_modified(|known| std::mem::replace(known, version) != version);
        result
    }

    /// Takes a name, from its holder if that one is dead.
    pub(crate) async fn take(&self, name: Name, newcomer: &Newcomer) -> Result<Entry, Status> {
        let entry = newcomer.entry(name);
        let mut dead = None;
        for _ in 0..MAX_ROUNDS {
            let register = |directory: &mut Directory, now| {
                let Newcomer { secret, lease, .. } = *newcomer;
                directory.register(entry.clone(), secret, lease, dead.as_ref(), now)
            };
            match self.with(register) {
                Ok(()) => {
                    tracing::debug!(name = %entry.name, address = %entry.address, "granted");
                    return Ok(entry);
                }
                Err(Denied::Full) => return Err(status::full()),
                Err(Denied::Clash { holder }) if self.is_alive(&holder.address).await => {
                    return Err(status::taken(&holder));
                }
                Err(Denied::Clash { holder }) => {
                    tracing::info!(name = %holder.name, address = %holder.address, "holder is dead");
                    dead = Some(holder);
                }
            }
        }
        Err(Status::aborted(format!(
            "{} changes hands too fast; try again",
            entry.name
        )))
    }

    /// Takes the lowest number that no living process holds.
    ///
    /// Two that ask at once never get the same number: whoever comes second finds
    /// the first as its holder, and dials it like any other.
    pub(crate) async fn take_numbered(
        &self,
        prefix: &Name,
        newcomer: &Newcomer,
    ) -> Result<Entry, Status> {
        if let Some(name) = self.numbered_of(prefix, newcomer) {
            return self.take(name, newcomer).await;
        }
        for number in 1..=MAX_ENTRIES {
            let name = status::name(format!("{prefix}{number}"))?;
            match self.take(name, newcomer).await {
                Err(status) if status.code() == Code::AlreadyExists => {}
                decided => return decided,
            }
        }
        Err(status::full())
    }

    /// One that asks again, for it missed the answer, gets the same number.
    fn numbered_of(&self, prefix: &Name, newcomer: &Newcomer) -> Option<Name> {
        let is_numbered = |name: &Name| {
            let digits = name.as_str().strip_prefix(prefix.as_str());
            digits.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        };
        self.with(|directory, now| {
            directory
                .held_by(prefix.as_str(), newcomer.instance, newcomer.secret, now)
                .find(|entry| is_numbered(&entry.name))
                .map(|entry| entry.name.clone())
        })
    }

    /// Any answer shows life, also "not ready". A process that is stopped accepts
    /// connections by way of its system but does not answer.
    async fn is_alive(&self, address: &Address) -> bool {
        let turn = self.dials.acquire().await;
        let _turn = turn.expect("the semaphore is never closed");
        let mut health = HealthClient::new(self.environment.connect(address));
        let whole_server = HealthCheckRequest::default();
        match within(DIAL, health.check(whole_server)).await {
            Ok(_) => true,
            Err(status) => !is_unreachable(&status),
        }
    }
}
