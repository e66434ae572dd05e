//! Answers.

use std::fmt;

use backfence_gossip::{ReplicaId, Skew, Time, Timestamp, UpdateId};
use backfence_ratings::{Average, Movie, MovieId, Rating, UserId};
use backfence_wire::ClusterId;

/// What a title stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// This movie.
    Found(Movie),
    /// Any of these. Ask again with the year, or as `#ID`.
    Ambiguous(Vec<Movie>),
    /// No movie.
    Unknown {
        /// Movies with a title like it, the nearest first.
        near: Vec<Movie>,
    },
}

/// What a search found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The movies.
    pub movies: Vec<Movie>,
    /// How many there are, those beyond the limit included.
    pub total: u64,
    /// No title has all the words: these are near, the nearest first.
    pub near: bool,
}

/// Part of a list, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// There are others after these.
    pub more: bool,
}

/// A movie without its genres. Prints as `Toy Story (1995)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Title {
    /// The movie.
    pub movie: MovieId,
    /// Without the year.
    pub title: String,
    /// Absent where the data gives none.
    pub year: Option<u16>,
}

/// A rating among others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rated {
    /// Whose.
    pub user: UserId,
    /// Of which movie.
    pub movie: MovieId,
    /// What they gave.
    pub rating: Rating,
    /// When, in seconds since 1970.
    pub seconds: u64,
    /// Present where the ratings of one user were asked for.
    pub title: Option<Title>,
}

/// A movie with its average.
#[derive(Clone, PartialEq, Debug)]
pub struct Ranked {
    /// The movie.
    pub movie: Movie,
    /// Its average.
    pub average: Average,
}

/// What users have called a movie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Text from outside.
    pub tag: String,
    /// How many users gave it.
    pub users: u64,
}

/// An update with all that it takes to send it, once or again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// Its id, for ever, as answers show it: with [what stands for](crate::Session::id) its
    /// session.
    pub id: UpdateId,
    /// Its time on the session's clock. The same with every sending.
    pub time: Time,
    /// Whose rating.
    pub user: UserId,
    /// Of which movie.
    pub movie: MovieId,
    /// The rating; `None` takes it back.
    pub rating: Option<Rating>,
}

/// An update that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Updated {
    /// Its id, for ever, as answers show it.
    pub id: UpdateId,
    /// The server that took it.
    pub server: u32,
    /// By number, the servers that have it: the one that took it, and those that have told
    /// it so and have answered it within the last second. Of others it is not known.
    pub servers: Vec<u32>,
}

/// How a server stands towards front ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ServerStatus {
    /// It serves.
    Online,
    /// It was told not to serve. It goes on gossiping.
    Offline,
    /// It did not answer the front end.
    Unreachable,
    /// It belongs to another cluster than the one that the front end serves.
    OtherCluster,
    /// It has loaded other data than the cluster that the front end serves.
    OtherData,
    /// Something that a later version says.
    Unknown,
}

/// What a server's status is set to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WantedStatus {
    /// It is to serve.
    Online,
    /// It is not to serve. It goes on gossiping.
    Offline,
}

/// A server's status before and after it was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatusChange {
    /// Before.
    pub from: ServerStatus,
    /// Now.
    pub to: ServerStatus,
}

/// A server, as a front end sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Its number, from 1.
    pub server: u32,
    /// Where it serves. As the front end says it: text from outside.
    pub address: String,
    /// How it stands towards front ends.
    pub status: ServerStatus,
    /// Absent for a server that is unreachable.
    pub state: Option<ReplicaState>,
    /// Of a server that is unreachable, what it has last reported to others to have received,
    /// where one of them knows.
    pub reported: Option<Timestamp>,
    /// Since when a server that is unreachable is no longer registered, where the front end
    /// knows.
    pub gone_since: Option<Time>,
    /// The program that it runs; absent where it does not say it.
    pub program: Option<ServerProgram>,
    /// How far its clock is from those of the others, where that is so far that the server
    /// declines requests.
    pub clock_off: Option<Skew>,
}

/// The program that a server runs, and what it works with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerProgram {
    /// Its version, such as `0.2.0`: text from outside.
    pub build: String,
    /// The cluster that the server belongs to.
    pub cluster: ClusterId,
    /// The newest version of the wire that it understands.
    pub newest: u32,
    /// The version that the cluster speaks, as far as it knows.
    pub speaks: u32,
}

/// How a replica stands that somebody has heard of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Membership {
    /// What it has counts, and this is how it stands towards front ends.
    Remains(ServerStatus),
    /// Its server has started anew since.
    Superseded,
    /// Its server was retired for good.
    Retired,
}

/// A replica that a server has heard of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// A server in one of its lives.
    pub id: ReplicaId,
    /// How it stands.
    pub membership: Membership,
    /// What it has last reported to have received; absent where it has not, or that no
    /// longer counts.
    pub reported: Option<Timestamp>,
    /// Records that another replica keeps since this one has not reported to have
    /// them; of the replica with the most.
    pub holds_back: u64,
}

/// The digest of a server's value at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValueDigest {
    /// Of the loaded data and of all that was written over it: equal where values are.
    pub digest: u128,
    /// What is reflected in the value.
    pub value_ts: Timestamp,
    /// How many last writes it is of: ratings, and deletions of loaded ratings.
    pub writes: u64,
}

/// What a server's log holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Log {
    /// By origin and number.
    pub records: Vec<Logged>,
    /// How many there are, those beyond the limit included.
    pub total: u64,
}

/// A record in a server's log.
#[derive(Clone, PartialEq, Debug)]
pub struct Logged {
    /// The replica that accepted the update.
    pub origin: ReplicaId,
    /// The number that it gave to it.
    pub number: u64,
    /// What the record brings.
    pub update: Prepared,
    /// What the update depends on.
    pub prev: Timestamp,
    /// Something that it depends on has not come.
    pub waiting: bool,
}

/// How far a replica is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicaState {
    /// The server in its present life.
    pub id: ReplicaId,
    /// What is reflected in its value.
    pub value_ts: Timestamp,
    /// What it has received.
    pub replica_ts: Timestamp,
    /// Records kept because a peer may lack them, or because they wait.
    pub log_len: u64,
    /// Of these, those that wait for an update they depend on.
    pub waiting: u64,
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            Some(year) => write!(f, "{} ({year:04})", self.title),
            None => f.write_str(&self.title),
        }
    }
}

impl fmt::Display for ServerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
            Self::OtherCluster => "other cluster",
            Self::OtherData => "other data",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remains(status) => status.fmt(f),
            Self::Superseded => f.pad("superseded"),
            Self::Retired => f.pad("retired"),
        }
    }
}
