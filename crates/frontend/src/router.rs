//! Which server gets a request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use backfence_gossip::{MAX_SERVERS, SessionId, Time, Timestamp};
use backfence_process::{Address, Entry, Environment, Name, NodeKey};
use backfence_wire::{
    Reason,
    v1::{
        self, DescribeRequest, DescribeResponse, Refused, ServeRequest,
        serve_reply::{Lacking, Outcome, Retired},
        serve_request::{Body, Retire},
    },
};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    clusters::Clusters,
    data,
    error::Error,
    fresh::Asker,
    front_end::Work,
    link::Unanswered,
    lock,
    memory::Memory,
    pass::{Failed, Pass, Unserved},
    request,
    server::{Reply, Server},
};

/// Servers that are remembered once they are no longer registered; beyond, those with the
/// lowest numbers are forgotten.
const MOST_GONE: usize = 1024;
/// What servers are called at the registry, before their number.
pub(crate) const PREFIX: &str = Name::SERVERS;

/// The servers that the registry lists, in order of their numbers, and what their
/// replies have taught.
#[derive(Debug)]
pub(crate) struct Router {
    environment: Environment,
    pub(crate) memory: Memory,
    /// Held while the list is looked at or renewed, never across an await.
    table: Mutex<Table>,
}

/// A reply that ends a pass.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) server: Arc<Server>,
    pub(crate) reply: Reply,
}

/// What each server says, or that it says nothing.
pub(crate) type Answers<T> = JoinSet<(Arc<Server>, Option<T>)>;

/// Why a try did not end the pass.
#[derive(Debug)]
pub(crate) enum Missed {
    Failed(Failed),
    /// For a reason that holds for this server alone. It has done nothing.
    Refused(Refused),
}

impl From<Failed> for Missed {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

#[derive(Debug)]
struct Table {
    entries: watch::Receiver<BTreeMap<Name, Entry>>,
    servers: Arc<[Arc<Server>]>,
    /// Where those were that are no longer registered, and since when they are not.
    gone: BTreeMap<u32, (Address, Time)>,
    clusters: Arc<Mutex<Clusters>>,
    /// What servers have to prove that they have.
    key: NodeKey,
}

impl Router {
    pub(crate) fn new(
        environment: &Environment,
        mut entries: watch::Receiver<BTreeMap<Name, Entry>>,
        key: NodeKey,
    ) -> Self {
        // Else the entries that are there already would not count as a change.
        entries.mark_changed();
        Self {
            environment: environment.clone(),
            memory: Memory::new(SessionId(environment.random_u128())),
            table: Mutex::new(Table {
                entries,
                servers: Arc::default(),
                gone: BTreeMap::new(),
                clusters: Arc::default(),
                key,
            }),
        }
    }

    pub(crate) fn accept_keyless(&mut self, accepts_keyless: bool) {
        let table = &mut lock(&self.table);
        table.key = table.key.clone().accepting_keyless(accepts_keyless);
    }

    /// The servers at this moment, in order.
    pub(crate) fn servers(&self) -> Arc<[Arc<Server>]> {
        let mut table = lock(&self.table);
        // A watch that has ended (an error) changes nothing any more.
        if table.entries.has_changed().unwrap_or(false) {
            table.renew(&self.environment);
        }
        Arc::clone(&table.servers)
    }

    /// Where a server was that is no longer registered, and since when it is not, as far as
    /// is known.
    pub(crate) fn gone(&self, number: u32) -> Option<(Address, Time)> {
        lock(&self.table).gone.get(&number).cloned()
    }

    /// The server with this number.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownServer`].
    pub(crate) fn server(&self, number: u32) -> Result<Arc<Server>, Error> {
        let servers = self.servers();
        let found = servers.iter().find(|server| server.number == number);
        found.cloned().ok_or_else(|| Error::UnknownServer {
            asked: number,
            known: servers.iter().map(|server| server.number).collect(),
        })
    }

    /// Sends a request to the first server that will serve it. One pass: each is
    /// tried once at most. `body` makes the same message for each try.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], or what it means that nobody served it.
    pub(crate) async fn pass(
        &self,
        work: &Work,
        asker: Asker,
        prev: &Timestamp,
        body: impl Fn() -> Body,
    ) -> Result<Served, Error> {
        let servers = self.servers();
        self.pass_over(&servers, work, asker, prev, body).await
    }

    /// Has a server retired by the first other one that will; where there is no other,
    /// it refuses itself. Where only the one that has done it knows of it, the next is
    /// asked too: so it outlives the loss of either.
    ///
    /// # Errors
    ///
    /// As of [`pass`](Self::pass).
    pub(crate) async fn retire(
        &self,
        work: &Work,
        request: v1::RetireRequest,
    ) -> Result<Outcome, Error> {
        let v1::RetireRequest { server, force } = request;
        let mut servers = self.servers().to_vec();
        servers.sort_by_key(|other| other.number == server);
        let body = || Body::Retire(Retire { server, force });
        let (nothing, mut alone) = (Timestamp::new(), None);
        let asker = work.asker(SessionId(0));
        loop {
            let Served { server, reply } =
                match self.pass_over(&servers, work, asker, &nothing, body).await {
                    Ok(served) => served,
                    // It is done, whatever has become of the others.
                    Err(error) => return alone.map(Outcome::Retired).ok_or(error),
                };
            let Outcome::Retired(retired) = reply.outcome else {
                return Ok(reply.outcome);
            };
            let retired = joined(retired, alone.as_ref());
            if retired.servers.len() != 1 || retired.missing.is_empty() {
                return Ok(Outcome::Retired(retired));
            }
            servers.retain(|other| !Arc::ptr_eq(other, &server));
            alone = Some(retired);
        }
    }

    async fn pass_over(
        &self,
        servers: &[Arc<Server>],
        work: &Work,
        asker: Asker,
        prev: &Timestamp,
        body: impl Fn() -> Body,
    ) -> Result<Served, Error> {
        let mut pass = Pass::new(servers.len());
        // What one has refused that others need not.
        let mut refused = None;
        loop {
            let now = Instant::now();
            let remaining = work.deadline.saturating_duration_since(now);
            let admits = |at: usize, share| servers[at].admits(now, share);
            let Some(made) = pass.next(remaining, admits) else {
                let refused = refused.or_else(|| data::differing(servers));
                return Err(match (refused, pass.unserved()) {
                    (Some(refused), Unserved::AllBusy | Unserved::Behind { .. }) => {
                        Error::Refused(refused)
                    }
                    (_, unserved) => unserved.into(),
                });
            };
            let server = &servers[made.at];
            let failed = match self.attempt(server, work, asker, body(), made.share).await {
                Ok(reply) => return ended(server, reply, pass.maybe()),
                Err(Missed::Failed(failed)) => failed,
                Err(Missed::Refused(why)) => {
                    // Of several, one that has the client date the update anew.
                    let is_late =
                        |refused: &v1::Refused| refused.reason == Reason::TooLate.as_str();
                    refused = refused.filter(is_late).or(Some(why));
                    Failed::Declined
                }
            };
            tracing::debug!(server = %server.entry.name, ?failed, "trying the next server");
            pass.heard(failed, prev);
        }
    }

    /// Asks one server in its turn, unless its data are others.
    async fn attempt(
        &self,
        server: &Arc<Server>,
        work: &Work,
        asker: Asker,
        body: Body,
        share: Duration,
    ) -> Result<Reply, Missed> {
        data::check(server, work.fingerprint())?;
        let is_update = matches!(body, Body::Update(_) | Body::CopiedUpdate(_));
        let asked = self.ask(server, asker, work.request(body), share).await;
        let reply = asked.map_err(|unanswered| unserved(unanswered, is_update))?;
        of_one_server(failure(reply)?, work.known_only)
    }

    /// Sends a request to one server, whatever its state.
    ///
    /// # Errors
    ///
    /// [`Unanswered`].
    pub(crate) async fn ask(
        &self,
        server: &Server,
        asker: Asker,
        request: ServeRequest,
        limit: Duration,
    ) -> Result<Reply, Unanswered> {
        let reply = server.ask(asker, request, limit).await?;
        // One that declines may do so since its clock is wrong.
        if !matches!(reply.outcome, Outcome::Declined(_)) {
            self.memory.heard(reply.clock, reply.now);
        }
        Ok(reply)
    }

    /// Asks all servers at once what they have.
    pub(crate) fn describe_all(
        self: &Arc<Self>,
        traceparent: &str,
        limit: Duration,
    ) -> Answers<DescribeResponse> {
        let request = request::traced(traceparent, Body::Describe(DescribeRequest::default()));
        self.ask_all(request, limit, |outcome| match outcome {
            Outcome::Description(description) => Some(description),
            _ => None,
        })
    }

    /// Asks all servers at once. The answers come as they arrive, `None` for a server
    /// that gave none which can be `read` within `limit`.
    pub(crate) fn ask_all<T: Send + 'static>(
        self: &Arc<Self>,
        request: ServeRequest,
        limit: Duration,
        read: fn(Outcome) -> Option<T>,
    ) -> Answers<T> {
        let mut answers = JoinSet::new();
        for server in self.servers().iter().cloned() {
            let (router, request) = (Arc::clone(self), request.clone());
            answers.spawn(async move {
                let reply = router
                    .ask(&server, Asker::default(), request, limit)
                    .await
                    .ok();
                let answer = reply.and_then(|reply| read(reply.outcome));
                (server, answer)
            });
        }
        answers
    }
}

impl Table {
    /// Keeps the links to servers that are still the same process at the same
    /// place.
    fn renew(&mut self, environment: &Environment) {
        let entries = self.entries.borrow_and_update();
        let known = |entry: &Entry| self.servers.iter().find(|server| server.entry == *entry);
        let server = |entry: &Entry| match known(entry) {
            Some(server) => Some(Arc::clone(server)),
            None => {
                let number = number(&entry.name)?;
                let server = Server::new(
                    number,
                    entry.clone(),
                    &self.clusters,
                    &self.key,
                    environment,
                );
                tracing::info!(server = %entry.name, address = %entry.address, "found a server");
                Some(Arc::new(server))
            }
        };
        let servers: Arc<[_]> = entries
            .values()
            .filter_map(server)
            // More are passed over: no cluster has them.
            .take(MAX_SERVERS)
            .collect();
        for server in self.servers.iter() {
            if !servers.iter().any(|other| Arc::ptr_eq(server, other)) {
                let (name, address) = (&server.entry.name, &server.entry.address);
                tracing::info!(server = %name, %address, "a server has left");
                let since = environment.now();
                self.gone.insert(server.number, (address.clone(), since));
            }
        }
        servers.iter().for_each(|server| {
            self.gone.remove(&server.number);
        });
        while self.gone.len() > MOST_GONE {
            self.gone.pop_first();
        }
        drop(entries);
        self.servers = servers;
    }
}

/// What a server says that has retired another, with what another said before of itself: it
/// counts where it remains.
fn joined(retired: Retired, before: Option<&Retired>) -> Retired {
    let noted = |server: &u32| before.is_some_and(|before| before.servers.contains(server));
    let (noted, missing): (Vec<_>, Vec<_>) = retired.missing.into_iter().partition(noted);
    let mut servers = retired.servers;
    servers.extend(noted);
    servers.sort_unstable();
    Retired {
        already: before.map_or(retired.already, |before| before.already),
        servers,
        missing,
    }
}

/// The number in a server's name. Any other name with the prefix is passed over.
fn number(name: &Name) -> Option<u32> {
    let number = name.number().filter(|&number| number > 0)?;
    (name.as_str() == format!("{PREFIX}{number}")).then_some(number)
}

/// Tells the replies that send the request on to the next server.
fn failure(reply: Reply) -> Result<Reply, Failed> {
    match reply.outcome {
        Outcome::Declined(_) => Err(Failed::Declined),
        Outcome::Lacking(Lacking { first_missing }) => {
            let first_missing = first_missing.unwrap_or_default().try_into();
            // A list that cannot be read says no more than that something is missing.
            Err(first_missing.map_or(Failed::Declined, Failed::Lacking))
        }
        _ => Ok(reply),
    }
}

/// What is too late for one server, or too far ahead, another may know still, or take: their
/// clocks differ. And
/// what is of other data for one may be of another's, as an update may be known to another that
/// is answered where it is known only.
fn of_one_server(reply: Reply, known_only: bool) -> Result<Reply, Missed> {
    match reply.outcome {
        Outcome::Refused(refused) if is_own(&refused, known_only) => Err(Missed::Refused(refused)),
        _ => Ok(reply),
    }
}

fn is_own(refused: &Refused, known_only: bool) -> bool {
    match Reason::read(&refused.reason) {
        Some(Reason::TooLate | Reason::ClockAhead | Reason::OtherData) => true,
        Some(Reason::Invalid) => known_only,
        _ => false,
    }
}

/// A refusal that another server need not share does not settle an update that
/// one which did not answer may have taken.
fn ended(server: &Arc<Server>, reply: Reply, maybe: bool) -> Result<Served, Error> {
    match reply.outcome {
        Outcome::Refused(refused) if maybe && !is_shared(&refused) => Err(Error::OutcomeUnknown),
        Outcome::Refused(refused) => Err(Error::Refused(refused)),
        _ => {
            let server = Arc::clone(server);
            Ok(Served { server, reply })
        }
    }
}

/// Whether every server refuses for this reason: all have the same movies.
fn is_shared(refused: &Refused) -> bool {
    let reason = Reason::read(&refused.reason);
    matches!(reason, Some(Reason::UnknownMovie | Reason::Invalid))
}

fn unserved(unanswered: Unanswered, is_update: bool) -> Failed {
    match unanswered {
        Unanswered::Full => Failed::Declined,
        Unanswered::Broken { sent } | Unanswered::TimedOut { sent } => Failed::Unanswered {
            maybe: is_update && sent,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_make_a_server() {
        let check = |name: &str, expected: Option<u32>| {
            assert_eq!(number(&Name::new(name).unwrap()), expected, "{name}");
        };
        check("SERVER1", Some(1));
        check("SERVER10", Some(10));
        for other in ["SERVER", "SERVER0", "SERVER01", "SERVERS1", "SERVER-1"] {
            check(other, None);
        }
    }
}
