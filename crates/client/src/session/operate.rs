//! What operators ask: who takes part, what servers hold, and what they are to do.

use std::collections::BTreeMap;

use backfence_gossip::ReplicaId;
use backfence_process::{Address, Backoff};
use backfence_wire::{
    Malformed, all,
    v1::{self, front_end_client::FrontEndClient, operator_client::OperatorClient},
};
use tonic::transport::Channel;

use super::{Session, named, wrong};
use crate::{
    Error, Log, Member, ServerStatus, StatusChange, ValueDigest, WantedStatus, call::Effect, read,
};

type Operator = OperatorClient<Channel>;

/// Where front ends have a cluster key, each of these needs a client that
/// [has it too](crate::Client::with_cluster_key), and else ends with [`Error::Refused`] for
/// `NO_OPERATOR_TOKEN`.
impl Session {
    /// Turns a server's status round: online to offline for front ends, and back.
    /// For testing. It asks for the status first, so that to send the change twice is the
    /// same as once.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownServer`]; [`Error::ServerAway`].
    pub async fn change_status(&mut self, server: u32) -> Result<StatusChange, Error> {
        let limit = self.client.limit();
        let from = tokio::time::timeout(limit, self.status_of(server)).await;
        let from = from.unwrap_or(Err(Error::ServerAway { server }))?;
        let wanted = match from {
            ServerStatus::Online => WantedStatus::Offline,
            _ => WantedStatus::Online,
        };
        // Where an answer is lost and it is sent again, the server tells another `from`.
        let StatusChange { to, .. } = self.set_status(server, wanted).await?;
        Ok(StatusChange { from, to })
    }

    /// Asks until the server tells its status.
    async fn status_of(&mut self, server: u32) -> Result<ServerStatus, Error> {
        let mut backoff = Backoff::new(self.client.environment());
        loop {
            let servers = self.status().await?;
            let found = servers.iter().find(|found| found.server == server);
            match found.map(|found| found.status) {
                Some(ServerStatus::Unreachable) => backoff.wait().await,
                Some(status) => return Ok(status),
                None => {
                    let servers = servers.iter().map(|found| found.server).collect();
                    return Err(Error::UnknownServer { server, servers });
                }
            }
        }
    }

    /// Sets a server's status, for testing. Twice is the same as once, so it is sent
    /// again until it is answered: what it was before may then be what it is now.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownServer`]; [`Error::WrongAnswer`] where
    /// the server, or the front end, is of a version before 0.2, which turns the status
    /// round.
    pub async fn set_status(
        &mut self,
        server: u32,
        wanted: WantedStatus,
    ) -> Result<StatusChange, Error> {
        let wanted = match wanted {
            WantedStatus::Online => v1::ServerStatus::Online,
            WantedStatus::Offline => v1::ServerStatus::Offline,
        };
        let request = v1::ChangeStatusRequest {
            server,
            wanted: wanted.into(),
        };
        let changed: Result<(v1::ChangeStatusResponse, Address), _> = self
            .operate(
                Effect::One(server),
                request,
                |mut front_end: FrontEndClient<Channel>, request| async move {
                    front_end.change_status(request).await
                },
            )
            .await;
        let (reply, from) = changed.map_err(|error| named(error, server))?;
        if reply.to() != wanted {
            let why = "the status is not what was asked for: the server turned it round";
            return Err(wrong(&from, Malformed(why)));
        }
        read::status_change(reply).map_err(|why| wrong(&from, why))
    }

    /// Retires a server for good: what only it has is lost, and its number is never used
    /// again. Without `force` it is only looked at, and refused with what is known of
    /// it. Whether it was not retired yet; where an answer was lost and it was asked
    /// again, that is unknown, and `false`.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownServer`]; [`Error::Refused`] for
    /// `STILL_RUNNING`, `NEEDS_FORCE` or `RETIRES_ITSELF`; [`Error::KnownToOne`] where it is
    /// done, and can be lost with one disk.
    pub async fn retire(&mut self, server: u32, force: bool) -> Result<bool, Error> {
        let request = v1::RetireRequest { server, force };
        let retired: Result<(v1::RetireResponse, _), _> = self
            .operate(
                Effect::None,
                request,
                |mut operator: Operator, request| async move { operator.retire(request).await },
            )
            .await;
        let (reply, _) = retired.map_err(|error| named(error, server))?;
        match (&reply.servers[..], &reply.missing[..]) {
            (&[by], missing @ [_, ..]) => Err(Error::KnownToOne {
                server,
                by,
                missing: missing.to_vec(),
            }),
            _ => Ok(!reply.already),
        }
    }

    /// A digest of every server's value, by number; `None` for one that does not answer.
    /// Servers at rest whose digests are equal hold equal values.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn digest(&mut self) -> Result<BTreeMap<u32, Option<ValueDigest>>, Error> {
        let (reply, from): (v1::DigestResponse, _) = self
            .operate(
                Effect::None,
                v1::DigestRequest {},
                |mut operator: Operator, request| async move { operator.digest(request).await },
            )
            .await?;
        let servers = reply.servers.into_iter().map(read::server_digest);
        let servers: Result<_, _> = servers.collect();
        servers.map_err(|why| wrong(&from, why))
    }

    /// What a server's log holds, at most `limit` records and 1000: the oldest of each
    /// origin first.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownServer`]; [`Error::ServerAway`].
    pub async fn log(&mut self, server: u32, limit: u32) -> Result<Log, Error> {
        let request = v1::LogRequest { server, limit };
        let asked: Result<(v1::LogResponse, _), _> = self
            .operate(
                Effect::One(server),
                request,
                |mut operator: Operator, request| async move { operator.log(request).await },
            )
            .await;
        let (reply, from) = asked.map_err(|error| named(error, server))?;
        read::log(reply.log).map_err(|why| wrong(&from, why))
    }

    /// Updates that one server only has, as far as it has heard, by its number and at most
    /// `limit` of each and 1000; `None` for one that does not answer. The total counts
    /// those too that it can no longer name.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn at_risk(&mut self, limit: u32) -> Result<BTreeMap<u32, Option<Log>>, Error> {
        let (reply, from): (v1::AtRiskResponse, _) = self
            .operate(
                Effect::None,
                v1::AtRiskRequest { limit },
                |mut operator: Operator, request| async move { operator.at_risk(request).await },
            )
            .await?;
        let servers = reply.servers.into_iter().map(read::server_at_risk);
        let servers: Result<_, _> = servers.collect();
        servers.map_err(|why| wrong(&from, why))
    }

    /// Has a server exchange everything with each peer that it has a stream to, now;
    /// these are they. It has begun then, and goes on by itself.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownServer`]; [`Error::ServerAway`].
    pub async fn gossip(&mut self, server: u32) -> Result<Vec<ReplicaId>, Error> {
        let request = v1::GossipRequest { server };
        let asked: Result<(v1::GossipResponse, _), _> = self
            .operate(
                Effect::One(server),
                request,
                |mut operator: Operator, request| async move { operator.gossip(request).await },
            )
            .await;
        let (reply, from) = asked.map_err(|error| named(error, server))?;
        all(reply.peers).map_err(|why| wrong(&from, why))
    }

    /// Every replica that a server which answers has heard of, by server and life: the
    /// retired too.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn members(&mut self) -> Result<Vec<Member>, Error> {
        let (reply, from): (v1::MembersResponse, _) = self
            .operate(
                Effect::None,
                v1::MembersRequest {},
                |mut operator: Operator, request| async move { operator.members(request).await },
            )
            .await?;
        let members: Result<Vec<_>, _> = reply.members.into_iter().map(read::member).collect();
        members.map_err(|why| wrong(&from, why))
    }
}
