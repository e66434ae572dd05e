//! What operators ask: who takes part, what servers hold, and what they are to do.

use backfence_wire::v1::{
    self,
    operator_server::Operator as Service,
    serve_reply::{Gossiping, Outcome, Retired, UnknownServer},
    serve_request::{self, Body},
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, async_trait};

use crate::{error::Error, front_end::FrontEnd, guard::Act};

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
        let members = self.members(&work.traceparent, limit).await?;
        let members = members.into();
        Ok(Response::new(v1::MembersResponse { members }))
    }

    async fn digest(
        &self,
        request: Request<v1::DigestRequest>,
    ) -> Result<Response<v1::DigestResponse>, Status> {
        let (work, _) = self.admit_operator(Act::Read, request)?;
        let body = Body::Digest(serve_request::Digest {});
        let answers = self.ask_everyone(&work, body, |outcome| match outcome {
            Outcome::ValueDigest(value) => Some(value),
            _ => None,
        });
        let digest = |(server, value)| v1::ServerDigest { server, value };
        let servers = answers.await?.into_iter().map(digest).collect();
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
        let answers = self.ask_everyone(&work, body, |outcome| match outcome {
            Outcome::AtRisk(updates) => Some(updates),
            _ => None,
        });
        let at_risk = |(server, updates): (u32, Option<v1::LoggedRecords>)| {
            let updates = updates.map(|updates| self.shown_records(updates));
            Ok(v1::ServerAtRisk {
                server,
                updates: updates.transpose()?,
            })
        };
        let servers: Result<_, Error> = answers.await?.into_iter().map(at_risk).collect();
        let servers = servers?;
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
