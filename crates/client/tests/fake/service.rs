//! The requests, each answered from the one copy.

use std::sync::MutexGuard;

use backfence_gossip::{ReplicaId, Timestamp};
use backfence_ratings::{Listed, MovieId, Operation, Rating, Search, UserId};
use backfence_wire::v1::{self, front_end_server::FrontEnd};
use tonic::{Code, Request, Response, Status};

use super::{Fault, Shared, World, said};

pub(super) struct Service {
    pub(super) world: Shared,
}

impl Service {
    pub(super) async fn meet<T: Default>(
        &self,
        act: impl FnOnce(&mut World) -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        let fault = self.world().faults.pop_front();
        let act = || act(&mut self.world());
        match fault {
            None | Some(Fault::None) => act().map(Response::new),
            Some(Fault::Say(status)) => Err(status),
            Some(Fault::SayAfter(status)) => {
                self.lose(act)?;
                Err(status)
            }
            Some(Fault::Blank) => Ok(Response::new(T::default())),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                self.lose(act)?;
                std::future::pending().await
            }
        }
    }

    /// What is asked in the background meets no faults: those are for the tests'
    /// own requests.
    fn apart<T>(
        &self,
        act: impl FnOnce(&mut World) -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        act(&mut self.world()).map(Response::new)
    }

    /// What a lost reply says has not been told.
    fn lose<T>(&self, act: impl FnOnce() -> Result<T, Status>) -> Result<(), Status> {
        let told = self.world().told.clone();
        act()?;
        self.world().told = told;
        Ok(())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

#[tonic::async_trait]
impl FrontEnd for Service {
    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        let token = request.into_inner().session;
        self.meet(|world| {
            let session = world.open(&token)?;
            Ok(v1::OpenSessionResponse { session })
        })
        .await
    }

    async fn find(
        &self,
        request: Request<v1::FindRequest>,
    ) -> Result<Response<v1::FindResponse>, Status> {
        let request = request.into_inner();
        self.meet(|world| {
            let session = world.session(&request.session)?;
            let session = world.reply(session);
            let resolution = world.ratings.catalogue().resolve(&request.title).into();
            Ok(v1::FindResponse {
                session,
                resolution: Some(resolution),
                fingerprint: world.data.clone(),
            })
        })
        .await
    }

    async fn view(
        &self,
        request: Request<v1::ViewRequest>,
    ) -> Result<Response<v1::ViewResponse>, Status> {
        let request = request.into_inner();
        self.meet(|world| {
            world.has_data(&request.fingerprint)?;
            let session = world.session(&request.session)?;
            let movie = world.known(request.movie_id)?;
            let rating = world.view(request.user_id, movie);
            Ok(v1::ViewResponse {
                session: world.reply(session),
                rating: rating.map(Into::into),
            })
        })
        .await
    }

    async fn average(
        &self,
        request: Request<v1::AverageRequest>,
    ) -> Result<Response<v1::AverageResponse>, Status> {
        let request = request.into_inner();
        self.meet(|world| {
            world.has_data(&request.fingerprint)?;
            let session = world.session(&request.session)?;
            let movie = world.known(request.movie_id)?;
            let average = world.ratings.average(movie);
            Ok(v1::AverageResponse {
                session: world.reply(session),
                average: average.map(|average| average.average),
                ratings: average.map_or(0, |average| average.ratings),
            })
        })
        .await
    }

    async fn rate(
        &self,
        request: Request<v1::RateRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let request = request.into_inner();
        let operation = Operation::Rate {
            user: UserId(request.user_id),
            movie: MovieId(request.movie_id),
            rating: Rating::try_from(request.rating).unwrap(),
        };
        self.meet(|world| {
            world.has_data(&request.fingerprint)?;
            world.update(
                &request.session,
                request.update_id,
                request.time_us,
                request.copies,
                operation,
            )
        })
        .await
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let request = request.into_inner();
        let operation = Operation::Delete {
            user: UserId(request.user_id),
            movie: MovieId(request.movie_id),
        };
        self.meet(|world| {
            world.has_data(&request.fingerprint)?;
            world.update(
                &request.session,
                request.update_id,
                request.time_us,
                request.copies,
                operation,
            )
        })
        .await
    }

    async fn change_status(
        &self,
        request: Request<v1::ChangeStatusRequest>,
    ) -> Result<Response<v1::ChangeStatusResponse>, Status> {
        let request = request.into_inner();
        let (server, wanted) = (request.server as usize, request.wanted());
        self.meet(|world| {
            let unknown = || said(Code::NotFound, "UNKNOWN_SERVER", &[("servers", "1, 2, 3")]);
            let turns_round = world.turns_round;
            let status = server
                .checked_sub(1)
                .and_then(|at| world.online.get_mut(at));
            let status = status.ok_or_else(unknown)?;
            let from = status_of(*status);
            *status = match wanted {
                _ if turns_round => !*status,
                v1::ServerStatus::Online => true,
                v1::ServerStatus::Offline => false,
                _ => !*status,
            };
            Ok(v1::ChangeStatusResponse {
                from: from.into(),
                to: status_of(*status).into(),
            })
        })
        .await
    }

    async fn status(
        &self,
        _: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        self.meet(|world| {
            let count = world.count;
            let servers = world.online.iter().zip(1..).map(|(&online, server)| {
                let ts: Timestamp = [(ReplicaId::new(1, 1), count)].into_iter().collect();
                v1::Server {
                    server,
                    address: format!("127.0.0.1:{server}"),
                    status: status_of(online).into(),
                    state: Some(v1::ReplicaState {
                        id: Some(ReplicaId::new(server, 1).into()),
                        value_ts: Some((&ts).into()),
                        replica_ts: Some((&ts).into()),
                        log_len: count,
                        waiting: 0,
                    }),
                    cluster: vec![0xc1; 16],
                    build: "0.2.0".to_owned(),
                    wire: Some(v1::WireVersions {
                        oldest: 1,
                        newest: 2,
                    }),
                    speaks: 1,
                    ..v1::Server::default()
                }
            });
            Ok(v1::StatusResponse {
                servers: servers.collect(),
            })
        })
        .await
    }

    async fn search(
        &self,
        request: Request<v1::SearchRequest>,
    ) -> Result<Response<v1::SearchResponse>, Status> {
        let request = request.into_inner();
        let query = request.query.unwrap();
        self.meet(|world| {
            let session = world.session(&request.session)?;
            let session = world.reply(session);
            let search = Search {
                text: &query.text,
                genre: &query.genre,
                year: query.year.map(|year| year.try_into().unwrap()),
            };
            let found = world
                .ratings
                .catalogue()
                .search(&search, query.limit as usize);
            Ok(v1::SearchResponse {
                session,
                found: Some(found.into()),
                fingerprint: world.data.clone(),
            })
        })
        .await
    }

    async fn list_titles(
        &self,
        request: Request<v1::ListTitlesRequest>,
    ) -> Result<Response<v1::ListTitlesResponse>, Status> {
        let request = request.into_inner();
        let after = request.query.unwrap().after.map(MovieId);
        self.apart(|world| {
            assert!(request.session.is_empty(), "titles take no session");
            let mut rest = world.ratings.catalogue().after(after);
            let titles = rest.by_ref().take(4).map(Into::into).collect();
            let more = rest.len() > 0;
            Ok(v1::ListTitlesResponse {
                session: None,
                titles: Some(v1::Titles { titles, more }),
                fingerprint: world.data.clone(),
            })
        })
    }

    async fn list_ratings(
        &self,
        request: Request<v1::ListRatingsRequest>,
    ) -> Result<Response<v1::ListRatingsResponse>, Status> {
        let request = request.into_inner();
        let query = request.query.unwrap();
        self.meet(|world| {
            let session = world.session(&request.session)?;
            let session = world.reply(session);
            let user = query.user_id.map(UserId);
            let after = query
                .after
                .map(|key| (UserId(key.user_id), MovieId(key.movie_id)));
            let (listed, more) = world.ratings.list(user, after, 2);
            let rating = |listed: Listed| {
                let movie = world.ratings.catalogue().movie(listed.movie).unwrap();
                v1::ListedRating {
                    title: user.map(|_| movie.into()),
                    ..listed.into()
                }
            };
            let ratings = listed.into_iter().map(rating).collect();
            Ok(v1::ListRatingsResponse {
                session,
                ratings: Some(v1::ListedRatings { ratings, more }),
                fingerprint: world.data.clone(),
            })
        })
        .await
    }

    async fn top(
        &self,
        request: Request<v1::TopRequest>,
    ) -> Result<Response<v1::TopResponse>, Status> {
        let request = request.into_inner();
        let query = request.query.unwrap();
        self.meet(|world| {
            let session = world.session(&request.session)?;
            let session = world.reply(session);
            let limit = query.limit as usize;
            let ranked = world.ratings.top(&query.genre, query.min_ratings, limit);
            let movies = ranked.into_iter().map(Into::into).collect();
            Ok(v1::TopResponse {
                session,
                ranking: Some(v1::Ranking { movies }),
                fingerprint: world.data.clone(),
            })
        })
        .await
    }

    async fn list_tags(
        &self,
        request: Request<v1::ListTagsRequest>,
    ) -> Result<Response<v1::ListTagsResponse>, Status> {
        let request = request.into_inner();
        self.meet(|world| {
            world.has_data(&request.fingerprint)?;
            let session = world.session(&request.session)?;
            let movie = world.known(request.query.unwrap().movie_id)?;
            let tag = |(tag, users): (&str, u64)| v1::Tag {
                tag: tag.to_owned(),
                users,
            };
            let tags = match movie.0 {
                1 => [("pixar", 2), ("funny\u{1b}[2J", 1)].map(tag).into(),
                _ => Vec::new(),
            };
            Ok(v1::ListTagsResponse {
                session: world.reply(session),
                tags: Some(v1::Tags { tags }),
            })
        })
        .await
    }

    async fn members(
        &self,
        _: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::MembersResponse>, Status> {
        Err(moved())
    }

    async fn digest(
        &self,
        _: Request<v1::DigestRequest>,
    ) -> Result<Response<v1::DigestResponse>, Status> {
        Err(moved())
    }

    async fn log(&self, _: Request<v1::LogRequest>) -> Result<Response<v1::LogResponse>, Status> {
        Err(moved())
    }

    async fn at_risk(
        &self,
        _: Request<v1::AtRiskRequest>,
    ) -> Result<Response<v1::AtRiskResponse>, Status> {
        Err(moved())
    }

    async fn gossip(
        &self,
        _: Request<v1::GossipRequest>,
    ) -> Result<Response<v1::GossipResponse>, Status> {
        Err(moved())
    }

    async fn retire(
        &self,
        _: Request<v1::RetireRequest>,
    ) -> Result<Response<v1::RetireResponse>, Status> {
        Err(moved())
    }
}

pub(super) fn status_of(online: bool) -> v1::ServerStatus {
    if online {
        v1::ServerStatus::Online
    } else {
        v1::ServerStatus::Offline
    }
}

pub(super) fn known(server: u32) -> Result<(), Status> {
    if (1..=3).contains(&server) {
        return Ok(());
    }
    let servers = [("servers", "1, 2, 3")];
    Err(said(Code::NotFound, "UNKNOWN_SERVER", &servers))
}

/// Our client does not ask here what is in Operator.
fn moved() -> Status {
    Status::unimplemented("it is in Operator")
}
