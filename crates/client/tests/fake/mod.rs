//! A front end in memory, for tests of clients: it keeps the contract of
//! `frontend.proto` over one copy of the ratings, and fails when told to.

mod operator;
mod service;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use backfence_gossip::{
    ReplicaId, Session, SessionId, Time, Timestamp, Update, UpdateId, Value as _,
};
use backfence_process::Address;
use backfence_ratings::{Base, MovieId, Operation, Ratings, UserId, UserRating};
use backfence_wire::v1::{self, front_end_server::FrontEndServer, operator_server::OperatorServer};
use service::Service;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};
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
12,Alien (1979),Horror
13,Alien 3 (1992),Horror
14,ガメラ (1965),Horror
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
    /// Servers know no wanted status, as those before 0.2.
    pub(crate) turns_round: bool,
    retired: HashSet<u32>,
    count: u64,
    pub(crate) clock: Time,
    /// Of the data that are loaded: their fingerprint.
    pub(crate) data: String,
    /// Sessions that have begun.
    sessions: u128,
    /// Every update that was taken, as it is shown, and when it is dated.
    pub(crate) taken: BTreeMap<UpdateId, (Time, Operation)>,
    /// How often an update came, as it is shown.
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
        turns_round: false,
        retired: HashSet::new(),
        count: 0,
        clock: Time(1_000_000_000),
        data: "d1".to_owned(),
        sessions: 0,
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
        let service = Arc::new(service);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            let serving = tonic::transport::Server::builder()
                .add_service(FrontEndServer::from_arc(Arc::clone(&service)))
                .add_service(OperatorServer::from_arc(service))
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

/// An update as answers show it.
fn shown(id: UpdateId) -> UpdateId {
    UpdateId::new(SessionId(!id.session.0), id.sequence)
}

fn carried(session: &Session) -> v1::Session {
    let bytes = |id: SessionId| id.0.to_be_bytes().into();
    v1::Session {
        token: backfence_wire::token(session),
        id: bytes(session.id),
        clock_us: session.clock.0,
        digest: bytes(SessionId(!session.id.0)),
        ..v1::Session::default()
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
        Some(carried(&session))
    }

    fn open(&mut self, token: &[u8]) -> Result<Option<v1::Session>, Status> {
        if token.is_empty() {
            self.sessions += 1;
            let session = Session::new(SessionId(self.sessions));
            return Ok(self.reply(session));
        }
        self.serve()?;
        let read = backfence_wire::session(token).ok();
        let known = read.filter(|session| self.told.contains_key(&session.id));
        let session = known.ok_or_else(|| said(Code::InvalidArgument, "BAD_TOKEN", &[]))?;
        // A program that was interrupted may go on from an older one.
        self.told.insert(session.id, session.prev.clone());
        self.resumed.insert(session.id);
        Ok(Some(v1::Session {
            clock_us: session.clock.max(self.clock).0,
            ..carried(&session)
        }))
    }

    fn view(&self, user: u32, movie: MovieId) -> Option<UserRating> {
        let seen = self.ratings.view(UserId(user), movie)?;
        let update = seen.update.map(shown);
        Some(UserRating { update, ..seen })
    }

    /// Refuses ids of other data.
    fn has_data(&self, fingerprint: &str) -> Result<(), Status> {
        if fingerprint.is_empty() || fingerprint == self.data {
            return Ok(());
        }
        let server = [("server", "1")];
        Err(said(Code::FailedPrecondition, "OTHER_DATA", &server))
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
        copies: u32,
        operation: Operation,
    ) -> Result<v1::UpdateResponse, Status> {
        let session = self.session(token)?;
        let server = self.serve()?;
        self.known(operation.movie().0)?;
        let id = UpdateId::try_from(id.expect("our client sends one")).unwrap();
        let time = Time(time_us);
        assert_eq!(id.session, session.id, "an update of another session");
        *self.arrivals.entry(shown(id)).or_default() += 1;
        match self.taken.get(&shown(id)) {
            Some(first) => assert_eq!(*first, (time, operation), "a retry that differs"),
            None => {
                // What was prepared before is not dated anew.
                assert!(
                    time > session.clock || self.resumed.contains(&session.id),
                    "an update dated before what was seen"
                );
                self.taken.insert(shown(id), (time, operation.clone()));
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
            // Two have it at once, and the third never.
            servers: (1..=copies.clamp(1, 2)).collect(),
        })
    }
}
