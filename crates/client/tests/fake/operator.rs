//! What operators ask.

use backfence_gossip::{ReplicaId, Timestamp};
use backfence_wire::v1::{self, operator_server::Operator};
use tonic::{Code, Request, Response, Status};

use super::{
    said,
    service::{Service, known, status_of},
};

#[tonic::async_trait]
impl Operator for Service {
    async fn members(
        &self,
        _: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        self.meet(|world| {
            let count = world.count;
            let members = world.online.iter().zip(1..).map(|(&online, server)| {
                let ts: Timestamp = [(ReplicaId::new(1, 1), count)].into_iter().collect();
                let (membership, reported) = match world.retired.contains(&server) {
                    true => (v1::Membership::Retired, None),
                    false => (v1::Membership::Remains, Some((&ts).into())),
                };
                v1::Member {
                    id: Some(ReplicaId::new(server, 1).into()),
                    membership: membership.into(),
                    reported,
                    holds_back: 0,
                    status: status_of(online).into(),
                }
            });
            let members = members.collect();
            Ok(v1::MembersResponse { members })
        })
        .await
    }

    async fn digest(
        &self,
        _: Request<v1::DigestRequest>,
    ) -> Result<Response<v1::DigestResponse>, Status> {
        self.meet(|world| {
            let ts: Timestamp = [(ReplicaId::new(1, 1), world.count)].into_iter().collect();
            let digest = |server| v1::ServerDigest {
                server,
                // Of the third nothing is heard.
                value: (server < 3).then(|| v1::ValueDigest {
                    digest: 0xdead_beef_u128.to_be_bytes().into(),
                    value_ts: Some((&ts).into()),
                    writes: world.count,
                }),
            };
            let servers = (1..=3).map(digest).collect();
            Ok(v1::DigestResponse { servers })
        })
        .await
    }

    /// One record, and there are others.
    async fn log(
        &self,
        request: Request<v1::LogRequest>,
    ) -> Result<Response<v1::LogResponse>, Status> {
        let v1::LogRequest { server, limit } = request.into_inner();
        self.meet(|_| {
            known(server)?;
            let prev: Timestamp = [(ReplicaId::new(2, 1), 4)].into_iter().collect();
            let record = v1::LoggedRecord {
                origin: Some(ReplicaId::new(server, 1).into()),
                number: 1,
                update_id: Some(v1::UpdateId {
                    session: vec![0xab; 16],
                    sequence: 1,
                }),
                prev: Some((&prev).into()),
                time_us: 1,
                user_id: 1,
                movie_id: 1,
                rating: Some(4.5),
                waiting: true,
            };
            let records = vec![record];
            let total = u64::from(limit) + 1;
            let log = Some(v1::LoggedRecords { records, total });
            Ok(v1::LogResponse { log })
        })
        .await
    }

    /// Only the first has something.
    async fn at_risk(
        &self,
        request: Request<v1::AtRiskRequest>,
    ) -> Result<Response<v1::AtRiskResponse>, Status> {
        let v1::AtRiskRequest { limit } = request.into_inner();
        let asked = v1::LogRequest { server: 1, limit };
        let log = self.log(Request::new(asked)).await?.into_inner().log;
        let server = |server| v1::ServerAtRisk {
            server,
            updates: match server {
                1 => log.clone(),
                2 => Some(v1::LoggedRecords::default()),
                _ => None,
            },
        };
        let servers = (1..=3).map(server).collect();
        Ok(Response::new(v1::AtRiskResponse { servers }))
    }

    async fn gossip(
        &self,
        request: Request<v1::GossipRequest>,
    ) -> Result<Response<v1::GossipResponse>, Status> {
        let v1::GossipRequest { server } = request.into_inner();
        self.meet(|_| {
            known(server)?;
            let others = (1..=3).filter(|&other| other != server);
            let peers = others.map(|other| ReplicaId::new(other, 1).into());
            let peers = peers.collect();
            Ok(v1::GossipResponse { peers })
        })
        .await
    }

    async fn retire(
        &self,
        request: Request<v1::RetireRequest>,
    ) -> Result<Response<v1::RetireResponse>, Status> {
        let v1::RetireRequest { server, force } = request.into_inner();
        self.meet(|world| {
            known(server)?;
            if !force {
                return Err(said(Code::FailedPrecondition, "NEEDS_FORCE", &[]));
            }
            let already = !world.retired.insert(server);
            Ok(v1::RetireResponse {
                already,
                servers: vec![1, 2],
                missing: vec![],
            })
        })
        .await
    }
}
