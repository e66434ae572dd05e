//! What operators ask: who takes part, what servers hold, and what they are to do.

use std::collections::BTreeMap;

use backfence_wire::v1::{
    self,
    operator_server::Operator as Service,
    serve_reply::{Gossiping, Outcome, Retired, UnknownServer},
    serve_request::{self, Body},
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, async_trait};

use crate::{
    error::Error,
    front_end::{DESCRIBE, FrontEnd},
    guard::Act,
    members::Members,
};

/// Records of a log that are shown where nobody says how many.
const LOGGED: u32 = 100;

#[async_trait]
impl Service for FrontEnd {
    async fn members(
        &self,
        request: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        let (work, _) = self.admit_operator(Act::Read, request)?;
        let limit = work.deadline.saturating_duration_since(Instant::now());
        let limit = limit.min(DESCRIBE);
        let mut descriptions = self.router.describe_all(&work.traceparent, limit);
        let mut members = Members::default();
        while let Some(described) = descriptions.join_next().await {
            let (_, description) = described.map_err(|_| Error::WrongAnswer)?;
            if let Some(description) = description {
                members.add(description).map_err(|_| Error::WrongAnswer)?;
            }
        }
        let members = members.into();
        Ok(Response::new(v1::MembersResponse { members }))
    }

    async fn digest(
        &self,
        request: Request<v1::DigestRequest>,
    ) -> Result<Response<v1::DigestResponse>, Status> {
        let (work, _) = self.admit_operator(Act::Read, request)?;
        // So that there is time to tell what the others say.
        let limit = work.deadline.saturating_duration_since(Instant::now()) / 2;
        let remaining = self
            .remaining(&work.traceparent, limit.min(DESCRIBE))
            .await?;
        let body = Body::Digest(serve_request::Digest {});
        let request = work.request(body);
        let mut digests = self
            .router
            .ask_all(request, limit, |outcome| match outcome {
                Outcome::ValueDigest(value) => Some(value),
                _ => None,
            });
        let mut servers = BTreeMap::new();
        while let Some(answered) = digests.join_next().await {
            let (server, value) = answered.map_err(|_| Error::WrongAnswer)?;
            let server = server.number;
            servers.insert(server, v1::ServerDigest { server, value });
        }
        for server in remaining {
            let absent = v1::ServerDigest {
                server,
                value: None,
            };
            servers.entry(server).or_insert(absent);
        }
        let servers = servers.into_values().collect();
        Ok(Response::new(v1::DigestResponse { servers }))
    }

    async fn log(
        &self,
        request: Request<v1::LogRequest>,
    ) -> Result<Response<v1::LogResponse>, Status> {
        let (work, v1::LogRequest { server, limit }) = self.admit_operator(Act::Read, request)?;
        let limit = if limit == 0 { LOGGED } else { limit };
        let body = Body::Log(serve_request::Log { limit });
        match self.ask_one(&work, server, body).await? {
            Outcome::Log(log) => Ok(Response::new(v1::LogResponse {
                log: Some(self.shown_records(log)?),
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn at_risk(
        &self,
        request: Request<v1::AtRiskRequest>,
    ) -> Result<Response<v1::AtRiskResponse>, Status> {
        let (work, v1::AtRiskRequest { limit }) = self.admit_operator(Act::Read, request)?;
        // A page of each has to fit into one response.
        let limit = if limit == 0 { LOGGED } else { limit };
        let body = Body::AtRisk(serve_request::AtRisk { limit });
        let time = work.deadline.saturating_duration_since(Instant::now()) / 2;
        let remaining = self
            .remaining(&work.traceparent, time.min(DESCRIBE))
            .await?;
        let request = work.request(body);
        let mut answers = self.router.ask_all(request, time, |outcome| match outcome {
            Outcome::AtRisk(updates) => Some(updates),
            _ => None,
        });
        let mut servers = BTreeMap::new();
        while let Some(answered) = answers.join_next().await {
            let (server, updates) = answered.map_err(|_| Error::WrongAnswer)?;
            let updates = updates
                .map(|updates| self.shown_records(updates))
                .transpose()?;
            let server = server.number;
            servers.insert(server, v1::ServerAtRisk { server, updates });
        }
        for server in remaining {
            let absent = v1::ServerAtRisk {
                server,
                updates: None,
            };
            servers.entry(server).or_insert(absent);
        }
        let servers = servers.into_values().collect();
        Ok(Response::new(v1::AtRiskResponse { servers }))
    }

    async fn gossip(
        &self,
        request: Request<v1::GossipRequest>,
    ) -> Result<Response<v1::GossipResponse>, Status> {
        let (work, v1::GossipRequest { server }) = self.admit_operator(Act::Control, request)?;
        let body = Body::GossipNow(serve_request::GossipNow {});
        match self.ask_one(&work, server, body).await? {
            Outcome::Gossiping(Gossiping { peers }) => {
                Ok(Response::new(v1::GossipResponse { peers }))
            }
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn retire(
        &self,
        request: Request<v1::RetireRequest>,
    ) -> Result<Response<v1::RetireResponse>, Status> {
        let (work, request) = self.admit_operator(Act::Control, request)?;
        let asked = request.server;
        match self.router.retire(&work, request).await? {
            Outcome::Retired(Retired {
                already,
                servers,
                missing,
            }) => Ok(Response::new(v1::RetireResponse {
                already,
                servers,
                missing,
            })),
            Outcome::UnknownServer(UnknownServer { known }) => {
                Err(Error::UnknownServer { asked, known }.into())
            }
            _ => Err(Error::WrongAnswer.into()),
        }
    }
}
