//! A front end in memory, for tests of clients: it keeps the contract of
//! `frontend.proto` over one copy of the ratings, and fails when told to.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use backfence_gossip::{
    ReplicaId, Session, SessionId, Time, Timestamp, Update, UpdateId, Value as _,
};
use backfence_process::Address;
use backfence_ratings::{Base, Listed, MovieId, Operation, Rating, Ratings, Search, UserId};
use backfence_wire::v1::{self, front_end_server::FrontEnd, front_end_server::FrontEndServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub(crate) const MOVIES: &str = "movieId,title,genres
1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy
2,\"Matrix, The (1999)\",Action
3,Hamlet (1990),Drama
4,Hamlet (1996),Drama
5,Babylon 5,Sci-Fi
6,Unlisted (2001),(no genres listed)
7,Unrated (1950),Drama
8,Emma (1996),Comedy
9,Emma (1996),Romance
10,千と千尋の神隠し (2001),Anime
11,ＡＫＩＲＡ (1988),Anime
";
pub(crate) const RATINGS: &str = "userId,movieId,rating,timestamp
1,1,4.0,1
2,1,3.5,1
3,2,5.0,1
";

/// What goes wrong with the next call, whichever front end it comes to.
pub(crate) enum Fault {
    /// Nothing: the call is answered.
    None,
    /// It says so before it has done anything.
    Say(Status),
    /// It says so after it has done it.
    SayAfter(Status),
    /// It answers with nothing in it, and has done nothing.
    Blank,
    /// It never answers, and has done nothing.
    Hang,
    /// It never answers, but has done it.
    HangAfter,
}

/// What all front ends share: a replica that never fails.
pub(crate) struct World {
    ratings: Ratings,
    online: Vec<bool>,
    count: u64,
    pub(crate) clock: Time,
    /// Every update that was taken, and when it is dated.
    pub(crate) taken: BTreeMap<UpdateId, (Time, Operation)>,
    /// How often an update came.
    pub(crate) arrivals: HashMap<UpdateId, u32>,
    /// What each session was last told it has seen.
    told: HashMap<SessionId, Timestamp>,
    /// Sessions that have gone on after their program had ended.
    resumed: HashSet<SessionId>,
    faults: VecDeque<Fault>,
}

pub(crate) type Shared = Arc<Mutex<World>>;

pub(crate) fn world() -> Shared {
    let loaded = Base::read(MOVIES.as_bytes(), RATINGS.as_bytes(), true).unwrap();
    Arc::new(Mutex::new(World {
        ratings: Ratings::new(Arc::new(loaded.base)),
        online: vec![true; 3],
        count: 0,
        clock: Time(1_000_000_000),
        taken: BTreeMap::new(),
        arrivals: HashMap::new(),
        told: HashMap::new(),
        resumed: HashSet::new(),
        faults: VecDeque::new(),
    }))
}

impl World {
    /// The next calls are answered.
    pub(crate) fn forget_faults(&mut self) {
        self.faults.clear();
    }
}

/// A running front end; it stops when this is dropped.
pub(crate) struct Fake {
    pub(crate) address: Address,
    _stop: DropGuard,
}

impl Fake {
    pub(crate) async fn start(world: &Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().into();
        let service = Service {
            world: Arc::clone(world),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            let serving = tonic::transport::Server::builder()
                .add_service(FrontEndServer::new(service))
                .serve_with_incoming(TcpListenerStream::new(listener));
            tokio::select! {
                served = serving => served.unwrap(),
                () = stopped => {}
            }
        });
        Self {
            address,
            _stop: stop.drop_guard(),
        }
    }
}

/// The next calls meet these, in this order.
pub(crate) fn fail(world: &Shared, faults: impl IntoIterator<Item = Fault>) {
    world.lock().unwrap().faults.extend(faults);
}

/// Whether each of them has been met.
pub(crate) fn all_met(world: &Shared) -> bool {
    world.lock().unwrap().faults.is_empty()
}

/// An error as the contract has it.
pub(crate) fn said(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Status {
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let details = ErrorDetails::with_error_info(reason, "backfence", metadata);
    Status::with_error_details(code, format!("the fake says {reason}"), details)
}

struct Service {
    world: Shared,
}

impl Service {
    async fn meet<T: Default>(
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

impl World {
    /// One that serves, or none.
    fn serve(&self) -> Result<u32, Status> {
        let online = self.online.iter().position(|&online| online);
        let server = online.ok_or_else(|| said(Code::Unavailable, "ALL_BUSY", &[]))?;
        Ok(server as u32 + 1)
    }

    /// Reads a token, and checks that the client has kept the last one.
    fn session(&self, token: &[u8]) -> Result<Session, Status> {
        self.serve()?;
        let bad = |_| said(Code::InvalidArgument, "BAD_TOKEN", &[]);
        let session = backfence_wire::session(token).map_err(bad)?;
        match self.told.get(&session.id) {
            Some(told) if *told == session.prev => Ok(session),
            _ => Err(said(Code::InvalidArgument, "BAD_TOKEN", &[])),
        }
    }

    fn reply(&mut self, mut session: Session) -> Option<v1::Session> {
        let now: Timestamp = [(ReplicaId::new(1, 1), self.count)].into_iter().collect();
        session.observe(&now, self.clock);
        self.told.insert(session.id, session.prev.clone());
        Some(v1::Session {
            token: backfence_wire::token(&session),
            id: session.id.0.to_be_bytes().into(),
            clock_us: session.clock.0,
            lost: Vec::new(),
        })
    }

    fn known(&self, movie: u32) -> Result<MovieId, Status> {
        let found = self.ratings.catalogue().movie(MovieId(movie));
        found
            .map(|movie| movie.id)
            .ok_or_else(|| said(Code::NotFound, "UNKNOWN_MOVIE", &[]))
    }

    fn update(
        &mut self,
        token: &[u8],
        id: Option<v1::UpdateId>,
        time_us: u64,
        operation: Operation,
    ) -> Result<v1::UpdateResponse, Status> {
        let session = self.session(token)?;
        let server = self.serve()?;
        self.known(operation.movie().0)?;
        let id = UpdateId::try_from(id.expect("our client sends one")).unwrap();
        let time = Time(time_us);
        assert_eq!(id.session, session.id, "an update of another session");
        *self.arrivals.entry(id).or_default() += 1;
        match self.taken.get(&id) {
            Some(first) => assert_eq!(*first, (time, operation), "a retry that differs"),
            None => {
                // What was prepared before is not dated anew.
                assert!(
                    time > session.clock || self.resumed.contains(&session.id),
                    "an update dated before what was seen"
                );
                self.taken.insert(id, (time, operation));
                self.count += 1;
                self.ratings.apply(&Update {
                    id,
                    prev: session.prev.clone(),
                    time,
                    operation,
                });
                self.clock = self.clock.max(time);
            }
        }
        Ok(v1::UpdateResponse {
            session: self.reply(session),
            update_id: Some(id.into()),
            server,
        })
    }
}

#[tonic::async_trait]
impl FrontEnd for Service {
    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        let id = backfence_wire::session_id(&request.get_ref().id).unwrap();
        self.meet(|world| {
            if world.told.contains_key(&id) {
                world.resumed.insert(id);
            }
            let session = world.reply(Session::new(id));
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
            let session = world.session(&request.session)?;
            let movie = world.known(request.movie_id)?;
            let rating = world.ratings.view(UserId(request.user_id), movie);
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
            world.update(
                &request.session,
                request.update_id,
                request.time_us,
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
            world.update(
                &request.session,
                request.update_id,
                request.time_us,
                operation,
            )
        })
        .await
    }

    async fn change_status(
        &self,
        request: Request<v1::ChangeStatusRequest>,
    ) -> Result<Response<v1::ChangeStatusResponse>, Status> {
        let server = request.into_inner().server as usize;
        self.meet(|world| {
            let unknown = || said(Code::NotFound, "UNKNOWN_SERVER", &[("servers", "1, 2, 3")]);
            let status = server
                .checked_sub(1)
                .and_then(|at| world.online.get_mut(at));
            let status = status.ok_or_else(unknown)?;
            let from = status_of(*status);
            *status = !*status;
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
}

fn status_of(online: bool) -> v1::ServerStatus {
    if online {
        v1::ServerStatus::Online
    } else {
        v1::ServerStatus::Offline
    }
}
