//! One request, on one front end after the other, until it is answered.

use std::{future::Future, time::Duration};

use backfence_gossip::UpdateId;
use backfence_process::{Address, Backoff, authorization, within};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::{
    Client, Error, Waiting,
    client::{FrontEnd, Service},
    failed::Failed,
    progress::Progress,
};

/// How long a query may take at first while somebody watches it, and twice as long
/// each time after: so a front end says early what a session waits for. Nobody who
/// does not watch pays for that.
const LOOK: Duration = Duration::from_millis(400);
/// The least pause where a front end asks for none.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What a request does at the servers, and so what sending it twice would do.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    /// Nothing, or the same however often it is sent.
    None,
    /// It takes effect once, however often it is sent.
    Update(UpdateId),
    /// Nothing, or the same however often it is sent, at this server and no other.
    One(u32),
}

/// A request in work.
pub(crate) struct Call<'a> {
    client: &'a Client,
    /// The front end that answered last. It is asked first.
    preferred: &'a mut Option<Address>,
    deadline: Instant,
    effect: Effect,
    /// Whether an operator asks.
    is_operator: bool,
    /// Those that may have got the request, and have not said what came of it.
    unanswered: Vec<Address>,
    /// Those that could not be connected to, and how the last attempt failed.
    unreachable: (Vec<Address>, String),
    behind: Option<Error>,
    progress: &'a Progress,
    /// Tries so far.
    tries: u32,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        client: &'a Client,
        preferred: &'a mut Option<Address>,
        deadline: Instant,
        effect: Effect,
        progress: &'a Progress,
    ) -> Self {
        Self {
            client,
            preferred,
            deadline,
            effect,
            is_operator: false,
            unanswered: Vec::new(),
            unreachable: Default::default(),
            behind: None,
            progress,
            tries: 0,
        }
    }

    /// The same call, by an operator where there is a cluster key.
    pub(crate) fn by_operator(self) -> Self {
        let is_operator = true;
        Self {
            is_operator,
            ..self
        }
    }

    /// Sends the request until it is answered. Says who answered.
    pub(crate) async fn run<S: Service, Q: Clone, A, F>(
        mut self,
        request: Q,
        send: impl Fn(S, Request<Q>) -> F,
    ) -> Result<(A, Address), Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut backoff = Backoff::new(self.client.environment());
        self.progress.now(Waiting::ForAnswer);
        loop {
            let pass = self.client.front_ends(self.preferred.as_ref());
            for (tried, front_end) in pass.iter().enumerate() {
                let untried = u32::try_from(pass.len() - tried).unwrap_or(u32::MAX);
                match self.ask(front_end, untried, &request, &send).await? {
                    Ok(answer) => {
                        *self.preferred = Some(front_end.address.clone());
                        return Ok((answer, front_end.address.clone()));
                    }
                    Err(failed) => self.go_on_after(failed, &front_end.address)?,
                }
            }
            let pause = async {
                backoff.wait().await;
                self.client.refresh().await;
            };
            if tokio::time::timeout_at(self.deadline, pause).await.is_err() {
                return Err(self.out_of_time());
            }
        }
    }

    /// Asks one front end, again after the wait that a clock ahead asks for. It
    /// gets its share of what is left: those after it must have their turn.
    async fn ask<S: Service, Q: Clone, A, F>(
        &mut self,
        front_end: &FrontEnd,
        untried: u32,
        request: &Q,
        send: &impl Fn(S, Request<Q>) -> F,
    ) -> Result<Result<A, Failed>, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        loop {
            let left = self.left();
            if left.is_zero() {
                return Err(self.out_of_time());
            }
            let share = self.patience(left / untried);
            self.tries += 1;
            let mut sent = Request::new(request.clone());
            sent.set_timeout(share);
            if let (Some(key), true) = (self.client.cluster_key(), self.is_operator) {
                let now = self.client.environment().now();
                let token = authorization(key, now);
                sent.metadata_mut().insert("authorization", token);
            }
            let status = match within(share, send(S::of(front_end), sent)).await {
                Ok(response) => return Ok(Ok(response.into_inner())),
                Err(status) => status,
            };
            tracing::debug!(front_end = %front_end.address, %status, "a try has failed");
            match Failed::new(&status, &front_end.address) {
                Failed::Ahead(wait, _) if wait < self.left() => {
                    tokio::time::sleep(wait.max(AT_ONCE)).await;
                }
                failed => return Ok(Err(failed)),
            }
        }
    }

    /// `Ok` when another try makes sense.
    fn go_on_after(&mut self, failed: Failed, front_end: &Address) -> Result<(), Error> {
        if self.preferred.as_ref() == Some(front_end) {
            *self.preferred = None;
        }
        let error = match failed {
            Failed::NotSent(reason) => {
                let (tried, last) = &mut self.unreachable;
                if !tried.contains(front_end) {
                    tried.push(front_end.clone());
                }
                *last = reason;
                self.progress.now(Waiting::ForFrontEnd {
                    address: front_end.clone(),
                });
                return Ok(());
            }
            Failed::Unanswered | Failed::Unknown => {
                if !self.unanswered.contains(front_end) {
                    self.unanswered.push(front_end.clone());
                }
                return Ok(());
            }
            Failed::Behind(error) => {
                self.progress.behind(&error);
                self.behind = Some(error);
                return Ok(());
            }
            Failed::Final(error @ (Error::UnknownMovie | Error::Invalid(_))) => return Err(error),
            Failed::Busy => match self.effect {
                Effect::One(server) => Error::ServerAway { server },
                Effect::None | Effect::Update(_) => Error::AllBusy,
            },
            Failed::Late => Error::NotTaken,
            Failed::Ahead(_, error) | Failed::Final(error) => error,
        };
        // What this front end refuses, an earlier one may have accepted.
        match self.effect {
            Effect::Update(_) if !self.unanswered.is_empty() => Ok(()),
            _ => Err(error),
        }
    }

    /// How long the next try may take of its share.
    fn patience(&self, share: Duration) -> Duration {
        match self.effect {
            Effect::None if self.progress.is_watched() => {
                share.min(LOOK * 2_u32.saturating_pow(self.tries.min(16)))
            }
            _ => share,
        }
    }

    fn out_of_time(&mut self) -> Error {
        match (self.effect, self.behind.take()) {
            (Effect::Update(update_id), _) if !self.unanswered.is_empty() => {
                Error::OutcomeUnknown { update_id }
            }
            (_, Some(behind)) => behind,
            _ if !self.unanswered.is_empty() || self.unreachable.0.is_empty() => Error::OutOfTime {
                limit: self.client.limit(),
                asked: std::mem::take(&mut self.unanswered),
            },
            _ => {
                let (tried, last) = std::mem::take(&mut self.unreachable);
                Error::Unreachable { tried, last }
            }
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
