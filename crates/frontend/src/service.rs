//! What clients talk to: each request is read, and its answer written.

use std::collections::BTreeMap;

use backfence_gossip::Session;
use backfence_ratings::{MovieId, Operation, UserId};
use backfence_wire::v1::{
    self, DescribeResponse, ServerStatus,
    answer::Kind as Answer,
    front_end_server::FrontEnd as Service,
    query::Kind,
    serve_reply::Outcome,
    serve_request::{self, Body},
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, async_trait};

use crate::{
    error::Error,
    front_end::{Asked, DESCRIBE, FrontEnd},
    guard::Act,
    members::Members,
    request,
    server::Server,
};

#[async_trait]
impl Service for FrontEnd {
    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let session = self.session(&request.session)?;
        let kind = Kind::Open(v1::query::Open {});
        let mut opened = Session::new(session.id);
        let (Answer::Opened(_), _) = self.query(&work, &mut opened, kind).await? else {
            return Err(Error::WrongAnswer.into());
        };
        let opened_at = opened.clock;
        let session = match &request.session[..] {
            [] => opened,
            // It was shown nothing, so it has seen no more, and waits for nothing here.
            _ => session,
        };
        let carried = self.carried(&session);
        let session = Some(v1::Session {
            clock_us: carried.clock_us.max(opened_at.0),
            ..carried
        });
        Ok(Response::new(v1::OpenSessionResponse { session }))
    }

    async fn find(
        &self,
        request: Request<v1::FindRequest>,
    ) -> Result<Response<v1::FindResponse>, Status> {
        let (work, v1::FindRequest { session, title }) = self.admit(request)?;
        let mut session = self.session(&session)?;
        request::title(&title)?;
        let kind = Kind::Find(v1::query::Find { title });
        match self.query(&work, &mut session, kind).await? {
            (Answer::Resolution(resolution), server) => Ok(Response::new(v1::FindResponse {
                session: Some(self.carried(&session)),
                resolution: Some(resolution),
                fingerprint: server.said.fingerprint(),
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn view(
        &self,
        request: Request<v1::ViewRequest>,
    ) -> Result<Response<v1::ViewResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let work = work.of_data(request.fingerprint);
        let mut session = self.session(&request.session)?;
        let kind = Kind::View(v1::query::View {
            user_id: request.user_id,
            movie_id: request.movie_id,
        });
        match self.query(&work, &mut session, kind).await?.0 {
            Answer::Viewed(viewed) => Ok(Response::new(v1::ViewResponse {
                session: Some(self.carried(&session)),
                rating: viewed
                    .rating
                    .map(|rating| self.shown_rating(rating))
                    .transpose()?,
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn average(
        &self,
        request: Request<v1::AverageRequest>,
    ) -> Result<Response<v1::AverageResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let work = work.of_data(request.fingerprint);
        let mut session = self.session(&request.session)?;
        let kind = Kind::Average(v1::query::Average {
            movie_id: request.movie_id,
        });
        match self.query(&work, &mut session, kind).await?.0 {
            Answer::Averaged(averaged) => Ok(Response::new(v1::AverageResponse {
                session: Some(self.carried(&session)),
                average: averaged.average,
                ratings: averaged.ratings,
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn rate(
        &self,
        request: Request<v1::RateRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let mut work = work.of_data(request.fingerprint);
        let session = self.session(&request.session)?;
        let operation = Operation::Rate {
            user: UserId(request.user_id),
            movie: MovieId(request.movie_id),
            rating: request::rating(request.rating)?,
        };
        let (id, time) = (request.update_id, request.time_us);
        let signature = request::signature(&request.session, &session, id, time)?;
        work.known_only = signature.is_some_and(|(_, time)| time <= session.clock);
        let asked = Asked {
            signature,
            operation,
            copies: request.copies,
        };
        Ok(Response::new(self.update(work, session, asked).await?))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let mut work = work.of_data(request.fingerprint);
        let session = self.session(&request.session)?;
        let operation = Operation::Delete {
            user: UserId(request.user_id),
            movie: MovieId(request.movie_id),
        };
        let (id, time) = (request.update_id, request.time_us);
        let signature = request::signature(&request.session, &session, id, time)?;
        work.known_only = signature.is_some_and(|(_, time)| time <= session.clock);
        let asked = Asked {
            signature,
            operation,
            copies: request.copies,
        };
        Ok(Response::new(self.update(work, session, asked).await?))
    }

    async fn change_status(
        &self,
        request: Request<v1::ChangeStatusRequest>,
    ) -> Result<Response<v1::ChangeStatusResponse>, Status> {
        let (work, v1::ChangeStatusRequest { server, wanted }) =
            self.admit_operator(Act::ChangeStatus, request)?;
        backfence_wire::wanted(wanted).map_err(|error| Error::invalid("wanted", error))?;
        let body = Body::ChangeStatus(serve_request::ChangeStatus { wanted });
        match self.ask_one(&work, server, body).await? {
            Outcome::StatusChanged(changed) => Ok(Response::new(v1::ChangeStatusResponse {
                from: changed.from,
                to: changed.to,
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let (work, _) = self.admit(request)?;
        let limit = work.deadline.saturating_duration_since(Instant::now());
        let limit = limit.min(DESCRIBE);
        let mut descriptions = self.router.describe_all(&work.traceparent, limit);
        let (mut servers, mut members) = (BTreeMap::new(), Members::default());
        while let Some(described) = descriptions.join_next().await {
            let (server, description) = described.map_err(|_| Error::WrongAnswer)?;
            if let Some(description) = description.clone() {
                members.add(description).map_err(|_| Error::WrongAnswer)?;
            }
            servers.insert(server.number, listed(&server, description));
        }
        for (server, reported) in members.remaining() {
            let listed = servers.entry(server).or_insert_with(|| self.absent(server));
            if listed.state.is_none() {
                listed.reported = reported.map(Into::into);
            }
        }
        let servers = servers.into_values().collect();
        Ok(Response::new(v1::StatusResponse { servers }))
    }

    async fn search(
        &self,
        request: Request<v1::SearchRequest>,
    ) -> Result<Response<v1::SearchResponse>, Status> {
        let (work, v1::SearchRequest { session, query }) = self.admit(request)?;
        let mut session = self.session(&session)?;
        let query = request::query(query)?;
        request::search(&query)?;
        match self.query(&work, &mut session, Kind::Search(query)).await? {
            (Answer::Found(found), server) => Ok(Response::new(v1::SearchResponse {
                session: Some(self.carried(&session)),
                found: Some(found),
                fingerprint: server.said.fingerprint(),
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn list_titles(
        &self,
        request: Request<v1::ListTitlesRequest>,
    ) -> Result<Response<v1::ListTitlesResponse>, Status> {
        let (work, v1::ListTitlesRequest { session, query }) = self.admit(request)?;
        let mut session = self.session(&session)?;
        let query = request::query(query)?;
        match self
            .query(&work, &mut session, Kind::ListTitles(query))
            .await?
        {
            (Answer::Titles(titles), server) => Ok(Response::new(v1::ListTitlesResponse {
                session: Some(self.carried(&session)),
                titles: Some(titles),
                fingerprint: server.said.fingerprint(),
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn list_ratings(
        &self,
        request: Request<v1::ListRatingsRequest>,
    ) -> Result<Response<v1::ListRatingsResponse>, Status> {
        let (work, v1::ListRatingsRequest { session, query }) = self.admit(request)?;
        let mut session = self.session(&session)?;
        let query = request::query(query)?;
        match self
            .query(&work, &mut session, Kind::ListRatings(query))
            .await?
        {
            (Answer::ListedRatings(ratings), server) => {
                Ok(Response::new(v1::ListRatingsResponse {
                    session: Some(self.carried(&session)),
                    ratings: Some(ratings),
                    fingerprint: server.said.fingerprint(),
                }))
            }
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn top(
        &self,
        request: Request<v1::TopRequest>,
    ) -> Result<Response<v1::TopResponse>, Status> {
        let (work, v1::TopRequest { session, query }) = self.admit(request)?;
        let mut session = self.session(&session)?;
        let query = request::query(query)?;
        request::genre(&query.genre)?;
        match self.query(&work, &mut session, Kind::Top(query)).await? {
            (Answer::Ranking(ranking), server) => Ok(Response::new(v1::TopResponse {
                session: Some(self.carried(&session)),
                ranking: Some(ranking),
                fingerprint: server.said.fingerprint(),
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn list_tags(
        &self,
        request: Request<v1::ListTagsRequest>,
    ) -> Result<Response<v1::ListTagsResponse>, Status> {
        let (work, request) = self.admit(request)?;
        let v1::ListTagsRequest {
            session,
            query,
            fingerprint,
        } = request;
        let work = work.of_data(fingerprint);
        let mut session = self.session(&session)?;
        let query = request::query(query)?;
        let (answer, _) = self
            .query(&work, &mut session, Kind::ListTags(query))
            .await?;
        match answer {
            Answer::Tags(tags) => Ok(Response::new(v1::ListTagsResponse {
                session: Some(self.carried(&session)),
                tags: Some(tags),
            })),
            _ => Err(Error::WrongAnswer.into()),
        }
    }

    async fn members(
        &self,
        _: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        Err(moved("Members"))
    }

    async fn digest(
        &self,
        _: Request<v1::DigestRequest>,
    ) -> Result<Response<v1::DigestResponse>, Status> {
        Err(moved("Digest"))
    }

    async fn log(&self, _: Request<v1::LogRequest>) -> Result<Response<v1::LogResponse>, Status> {
        Err(moved("Log"))
    }

    async fn at_risk(
        &self,
        _: Request<v1::AtRiskRequest>,
    ) -> Result<Response<v1::AtRiskResponse>, Status> {
        Err(moved("AtRisk"))
    }

    async fn gossip(
        &self,
        _: Request<v1::GossipRequest>,
    ) -> Result<Response<v1::GossipResponse>, Status> {
        Err(moved("Gossip"))
    }

    async fn retire(
        &self,
        _: Request<v1::RetireRequest>,
    ) -> Result<Response<v1::RetireResponse>, Status> {
        Err(moved("Retire"))
    }
}

/// Where a method has gone that was here until version 0.2.
fn moved(method: &str) -> Status {
    Status::unimplemented(format!(
        "{method} is a method of backfence.v1.Operator now; call it there, with an operator token \
         (operator.proto), or use a newer client"
    ))
}

fn listed(server: &Server, description: Option<DescribeResponse>) -> v1::Server {
    let listed = v1::Server {
        server: server.number,
        address: server.entry.address.to_string(),
        ..v1::Server::default()
    };
    if server.said.has_other_data() {
        return v1::Server {
            status: ServerStatus::Unreachable.into(),
            fingerprint: server.said.fingerprint(),
            ..listed
        };
    }
    match description {
        Some(described) => v1::Server {
            status: described.status,
            fingerprint: described.fingerprint,
            state: described.state,
            cluster: described.cluster,
            build: described.build,
            wire: described.wire,
            speaks: described.speaks,
            clock_off_us: described.clock_off_us,
            ..listed
        },
        None => v1::Server {
            status: ServerStatus::Unreachable.into(),
            cluster: server
                .said
                .foreign()
                .map_or_else(Vec::new, |id| id.0.into()),
            ..listed
        },
    }
}
