//! The directory with a clock, a lock, and a way to ask who is at an address.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backfence_process::{Address, ClaimKey, Entry, Environment, Name, within};
use backfence_wire::v1::{WhoRequest, registered_client::RegisteredClient};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tonic::{Code, Status};

use crate::{
    Claim, Denied, Directory, MAX_ENTRIES,
    found::{Found, found},
    status,
};

/// How long a holder may take to show that it lives.
const DIAL: Duration = Duration::from_millis(500);
/// How long a newcomer may take to show that it is at its address. It wants something.
const DIAL_NEWCOMER: Duration = Duration::from_secs(2);
/// Addresses dialled at once. More registrations wait for their turn.
const MAX_DIALS: usize = 64;
/// How often a name may change hands while its holders are dialled.
const MAX_ROUNDS: usize = 3;

/// Who asks for a name.
pub(crate) struct Newcomer {
    pub(crate) address: Address,
    pub(crate) instance: u64,
    /// Not shown yet.
    pub(crate) claim: Claim,
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
    /// What was listed at this version: made once for all watchers.
    listed: Mutex<(u64, Arc<[Entry]>)>,
    environment: Environment,
    dials: Semaphore,
    /// With which programs have to show that they are of the cluster, if there is one.
    pub(crate) key: Option<ClaimKey>,
    /// Also one without a key is served.
    pub(crate) keyless: bool,
}

impl Names {
    pub(crate) fn new(environment: Environment, key: Option<ClaimKey>, keyless: bool) -> Self {
        Self {
            key,
            keyless,
            directory: Mutex::default(),
            changes: watch::Sender::default(),
            start: Instant::now(),
            listed: Mutex::default(),
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

    /// All that is listed, as of the last change.
    pub(crate) fn listed(&self) -> Arc<[Entry]> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, entries) = &mut *listed;
        let renewed = self.with(|directory, now| {
            let is_new = *version != directory.version();
            *version = directory.version();
            is_new.then(|| directory.list("", now).cloned().collect())
        });
        if let Some(renewed) = renewed {
            *entries = renewed;
        }
        Arc::clone(entries)
    }

    /// Takes a name, from its holder if that one is dead.
    pub(crate) async fn take(&self, name: Name, newcomer: &Newcomer) -> Result<Entry, Status> {
        let entry = newcomer.entry(name);
        let renews = |directory: &mut Directory, now| directory.renews(&entry, newcomer.claim, now);
        let claim = match self.with(renews) {
            Some(claim) => claim,
            None => self.shown(newcomer).await?,
        };
        self.take_shown(entry, claim).await
    }

    async fn take_shown(&self, entry: Entry, claim: Claim) -> Result<Entry, Status> {
        let mut dead = None;
        for _ in 0..MAX_ROUNDS {
            let register = |directory: &mut Directory, now| {
                directory.register(entry.clone(), claim, dead.as_ref(), now)
            };
            match self.with(register) {
                Ok(()) => {
                    tracing::debug!(name = %entry.name, address = %entry.address, "granted");
                    return Ok(entry);
                }
                Err(Denied::Full) => return Err(status::full()),
                Err(Denied::Clash { holder }) if self.is_alive(&holder).await => {
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
        let claim = self.shown(newcomer).await?;
        for number in 1..=MAX_ENTRIES {
            let name = status::name(format!("{prefix}{number}"))?;
            match self.take_shown(newcomer.entry(name), claim).await {
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
                .held_by(
                    prefix.as_str(),
                    newcomer.instance,
                    newcomer.claim.secret,
                    now,
                )
                .find(|entry| is_numbered(&entry.name))
                .map(|entry| entry.name.clone())
        })
    }

    /// Asks a newcomer's address who is there. Nothing is listed of which nobody has shown
    /// that it wants that: what is listed is dialled by all others.
    async fn shown(&self, newcomer: &Newcomer) -> Result<Claim, Status> {
        let (address, claim) = (&newcomer.address, newcomer.claim);
        let found = self.ask(address, newcomer.instance, claim, DIAL_NEWCOMER);
        match found.await {
            Found::It => Ok(Claim {
                shown: true,
                ..claim
            }),
            Found::Older if self.key.is_none() || self.keyless => Ok(claim),
            Found::Older => Err(status::keyless(address)),
            Found::Another => Err(status::elsewhere(address)),
            Found::Busy(why) => Err(status::busy(address, &why)),
            Found::Nobody => Err(status::absent(address)),
        }
    }

    /// A process that is stopped accepts connections by way of its system but does not answer.
    async fn is_alive(&self, holder: &Entry) -> bool {
        let Some(claim) = self.with(|directory, now| directory.claim(&holder.name, now)) else {
            return false;
        };
        let found = self.ask(&holder.address, holder.instance, claim, DIAL);
        match found.await {
            Found::It | Found::Busy(_) => true,
            // It could show itself before, so this is another program.
            Found::Older => !claim.shown,
            Found::Another | Found::Nobody => false,
        }
    }

    async fn ask(&self, address: &Address, instance: u64, claim: Claim, limit: Duration) -> Found {
        let turn = self.dials.acquire().await;
        let _turn = turn.expect("the semaphore is never closed");
        let mut client = RegisteredClient::new(self.environment.connect(address))
            .max_decoding_message_size(status::MAX_ANSWER);
        let request = WhoRequest {
            instance,
            nonce: self.environment.nonce().to_vec(),
        };
        let answer = within(limit, client.who(request.clone())).await;
        found(
            answer,
            &request,
            claim.secret,
            self.key.as_ref(),
            self.keyless,
        )
    }
}
