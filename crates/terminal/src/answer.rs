//! Answers, in the words of the original.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use backfence_client::{
    Average, Found, Log, Member, Movie, Ranked, Rated, Rating, ReplicaId, SavedSession, Search,
    Server, ServerStatus, SessionId, StatusChange, Tag, Timestamp, Updated, UserId, UserRating,
    ValueDigest,
};
use backfence_process::{Address, Exit};

use crate::{
    health,
    output::{counted, date, fitting, moment, safe, stars},
    readings::Readings,
    table,
};

/// Tags that a terminal shows.
const TAGS: usize = 20;

/// What there is to say about a user.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Summary {
    pub(crate) ratings: usize,
    /// `None` when there are none, like what follows.
    pub(crate) average: Option<f64>,
    /// The time of the newest, in seconds since 1970.
    pub(crate) last: Option<u64>,
}

impl Summary {
    pub(crate) fn new(ratings: &[Rated]) -> Self {
        let sum: u64 = ratings
            .iter()
            .map(|rated| u64::from(rated.rating.ten_thousandths()))
            .sum();
        let average = sum as f64 / (10_000 * ratings.len()) as f64;
        Self {
            ratings: ratings.len(),
            average: (!ratings.is_empty()).then_some(average),
            last: ratings.iter().map(|rated| rated.seconds).max(),
        }
    }
}

/// A movie and what to call it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Titled {
    pub(crate) movie: Movie,
    pub(crate) label: String,
    /// Of the data that the movie's id is of.
    pub(crate) fingerprint: String,
}

/// What came of a request.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Answer {
    Found(Titled),
    Viewed(Titled, UserId, Option<UserRating>),
    Average(Titled, Option<Average>),
    /// A rating, or `None` where it was taken back.
    Rated(Titled, UserId, Option<Rating>, Updated),
    Changed(u32, StatusChange),
    Status(Vec<Server>),
    Health(Vec<Server>),
    Members(Vec<Member>),
    /// By server; `None` for one that does not answer.
    Digest(BTreeMap<u32, Option<ValueDigest>>),
    Log(u32, Log),
    /// And with whom.
    Gossip(u32, Vec<ReplicaId>),
    /// By server, what only it has; `None` for one that does not answer.
    AtRisk(BTreeMap<u32, Option<Log>>),
    /// And whether only now.
    Retired(u32, bool),
    Searched(Search, Found),
    /// And whether there are more.
    Ratings(UserId, Vec<Rated>, bool),
    /// Of a genre, if one is named, and of movies with so many ratings.
    Top(String, u64, Vec<Ranked>),
    Tags(Titled, Vec<Tag>),
    User(UserId, Summary),
    Whoami(Option<UserId>, Option<SessionId>, Option<Address>),
    Session(SavedSession, Timestamp),
    /// Another session begins.
    Reset,
    /// Several movies bear the title that was asked for.
    Ambiguous(String, Vec<Movie>),
    /// None does; these are near.
    Unknown(String, Vec<Movie>),
    /// A title and a rating, or another title and none.
    TwoReadings(Readings),
}

impl Answer {
    /// The code that a command with this answer ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Ambiguous(..) | Self::TwoReadings(_) => Exit::Refused,
            Self::Unknown(..) => Exit::NotFound,
            Self::Searched(_, found) if found.near || found.total == 0 => Exit::NotFound,
            Self::Digest(servers) => match agreement(servers) {
                Agreement::Differ => Exit::Refused,
                Agreement::NotAsked => Exit::Unavailable,
                Agreement::Equal | Agreement::CatchingUp => Exit::Done,
            },
            Self::Health(servers) => health::exit(servers),
            _ => Exit::Done,
        }
    }

    /// The lines to print, with frames around tables or as plain columns.
    pub(crate) fn text(&self, framed: bool) -> String {
        let text = match self {
            Self::Found(titled) => found(&titled.movie),
            Self::Viewed(titled, user, Some(seen)) => format!(
                "The rating that user {user} gave to movie {} was {}",
                titled.label, seen.rating
            ),
            Self::Viewed(_, _, None) => "User has not rated that movie".to_owned(),
            Self::Average(titled, Some(average)) if framed => format!(
                "{:.2} is the average rating for {} ({})",
                average.average,
                titled.label,
                counted(average.ratings, "rating")
            ),
            // The shortest decimal that reads back, with at least one place.
            Self::Average(titled, Some(average)) => format!(
                "{:?} is the average rating for {}",
                average.average, titled.label
            ),
            Self::Average(titled, None) => format!("{} has no ratings yet", titled.label),
            Self::Rated(.., updated) => match updated.servers.as_slice() {
                [] | [_] => "Your update has been sent".to_owned(),
                several => format!(
                    "Your update has been sent; servers {} have it",
                    joined(several)
                ),
            },
            Self::Changed(_, StatusChange { from, to }) if from == to => {
                format!("Server status is {to}")
            }
            Self::Changed(_, StatusChange { from, to }) => {
                format!("Server status changed from {from} to {to}")
            }
            Self::Status(servers) if servers.is_empty() => {
                "No server is known yet, please try again later".to_owned()
            }
            Self::Status(servers) => {
                let mut text = table::servers(servers, framed);
                if framed {
                    let down = |server: &&Server| server.status == ServerStatus::Unreachable;
                    let trouble = |server| health::trouble(server, servers);
                    text.extend(servers.iter().filter(down).filter_map(trouble));
                }
                return text;
            }
            Self::Members(members) if members.is_empty() => {
                "No server answers, please try again later".to_owned()
            }
            Self::Members(members) => return table::members(members, framed),
            Self::Digest(servers) if servers.is_empty() => {
                "No server is known yet, please try again later".to_owned()
            }
            Self::Digest(servers) => return table::digests(servers, framed) + &equality(servers),
            Self::Health(servers) => return health::report(servers),
            Self::Log(server, log) if log.records.is_empty() => {
                format!("The log of server {server} is empty: every peer has everything")
            }
            Self::Log(_, log) => return logged(log, framed),
            Self::Gossip(server, peers) if peers.is_empty() => {
                format!("Server {server} has no peer to gossip with right now")
            }
            Self::Gossip(server, peers) => gossiping(*server, peers),
            Self::Retired(server, true) => {
                format!("Server {server} is retired for good; its number is not used again")
            }
            Self::Retired(server, false) => format!("Server {server} was retired before"),
            Self::Searched(search, found) => return searched(search, found, framed),
            Self::Ratings(user, ratings, more) => return rated(*user, ratings, *more, framed),
            Self::Top(genre, least, ranked) if ranked.is_empty() => match genre.as_str() {
                "" => format!("No movie has at least {least} ratings; try --min-ratings 1"),
                genre => format!(
                    "No movie of genre \"{genre}\" has at least {least} ratings; \
                     try another genre or --min-ratings 1"
                ),
            },
            Self::Top(.., ranked) => return table::ranking(ranked, framed),
            Self::Tags(titled, tags) if tags.is_empty() => {
                format!("{} has no tags in our data", titled.label)
            }
            Self::Tags(_, tags) => return tagged(tags, framed),
            Self::User(user, summary) => about_user(*user, summary),
            Self::Whoami(user, session, front_end) => whoami(*user, *session, front_end.as_ref()),
            Self::Session(saved, seen) => about_session(saved, seen),
            Self::AtRisk(servers) => return at_risk(servers, framed),
            Self::Reset => "New session; it may not see what the last one saw".to_owned(),
            Self::Ambiguous(asked, choices) => ambiguous(asked, choices),
            Self::Unknown(asked, near) => unknown(asked, near, framed),
            Self::TwoReadings(readings) => readings.text(),
        };
        let line = |line: &str| match framed {
            true => fitting(&safe(line)) + "\n",
            false => safe(line) + "\n",
        };
        text.lines().map(line).collect()
    }
}

impl Answer {
    /// A line that says of which movie an update is, and to what. The sentence of the
    /// original does not.
    pub(crate) fn updated(&self) -> Option<String> {
        let Self::Rated(titled, _, rating, _) = self else {
            return None;
        };
        let with_year = titled.movie.to_string();
        // A label that tells twins apart has the year already.
        let movie = match titled.label.starts_with(&with_year) {
            true => &titled.label,
            false => &with_year,
        };
        Some(safe(&match rating {
            Some(rating) => format!("{movie}: {rating}"),
            None => format!("{movie}: no rating"),
        }))
    }

    /// An average for people, and of how many ratings.
    pub(crate) fn rounded(&self) -> Option<String> {
        let Self::Average(_, Some(average)) = self else {
            return None;
        };
        let ratings = counted(average.ratings, "rating");
        Some(format!("{:.2} ({ratings})", average.average))
    }

    /// A line of stars to show beneath the answer, where there is a rating in it.
    pub(crate) fn stars(&self) -> Option<String> {
        let rating = match self {
            Self::Viewed(_, _, seen) => f64::from((*seen)?.rating),
            Self::Average(_, average) => (*average)?.average,
            Self::Rated(_, _, rating, _) => f64::from((*rating)?),
            _ => return None,
        };
        Some(stars(rating))
    }
}

fn searched(search: &Search, found: &Found, framed: bool) -> String {
    if found.movies.is_empty() {
        return no_match(search);
    }
    let mut text = match found.near {
        true => format!("No title has {}; these are near:\n", safe(&search.text)),
        false => String::new(),
    };
    text += &table::movies(&found.movies, framed);
    let more = found.total.saturating_sub(found.movies.len() as u64);
    if more > 0 {
        let _ = writeln!(
            text,
            "and {more} more; add a word, --genre, --year or --limit"
        );
    }
    text
}

/// What several digests say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Agreement {
    Equal,
    /// Some have updates that others lack.
    CatchingUp,
    /// They have the same updates, and hold different ratings.
    Differ,
    /// A server has not answered.
    NotAsked,
}

pub(crate) fn agreement(servers: &BTreeMap<u32, Option<ValueDigest>>) -> Agreement {
    let values = || servers.values().flatten();
    let updates: Vec<_> = values().map(|value| &value.value_ts).collect();
    match all_equal(servers) {
        None => Agreement::NotAsked,
        Some(true) => Agreement::Equal,
        Some(false)
            if updates
                .windows(2)
                .any(|two| !living(two[0]).eq(living(two[1]))) =>
        {
            Agreement::CatchingUp
        }
        Some(false) => Agreement::Differ,
    }
}

/// The entries of lives that are not folded away: equal where two have received the same,
/// whoever of them has folded more.
fn living(ts: &Timestamp) -> impl Iterator<Item = (ReplicaId, u64)> + '_ {
    ts.iter().filter(|&(_, count)| count != Timestamp::ALL)
}

fn equality(servers: &BTreeMap<u32, Option<ValueDigest>>) -> String {
    match agreement(servers) {
        Agreement::Equal => "All servers hold the same\n".to_owned(),
        Agreement::CatchingUp => {
            "Servers differ: normal during writes, otherwise a fault (still catching up)\n"
                .to_owned()
        }
        Agreement::Differ => {
            "Servers differ though they have the same updates: this is a fault\n".to_owned()
        }
        Agreement::NotAsked => {
            let silent = servers.iter().filter(|(_, value)| value.is_none());
            let silent: Vec<_> = silent.map(|(&server, _)| server).collect();
            let name = if silent.len() == 1 {
                "Server"
            } else {
                "Servers"
            };
            let numbers = joined(&silent);
            format!("{name} {numbers} did not answer: not known whether all hold the same\n")
        }
    }
}

/// Whether all digests are the same; `None` where one is missing.
pub(crate) fn all_equal(servers: &BTreeMap<u32, Option<ValueDigest>>) -> Option<bool> {
    let digests: Option<BTreeSet<u128>> = servers
        .values()
        .map(|value| value.as_ref().map(|value| value.digest))
        .collect();
    digests.map(|digests| digests.len() <= 1)
}

fn logged(log: &Log, framed: bool) -> String {
    let mut text = table::records(&log.records, framed);
    let more = log.total.saturating_sub(log.records.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "and {more} more; --limit N shows up to 1000");
    }
    text
}

fn gossiping(server: u32, peers: &[ReplicaId]) -> String {
    let peers: Vec<_> = peers.iter().map(|peer| peer.server).collect();
    let name = match peers.len() {
        1 => "server",
        _ => "servers",
    };
    format!(
        "Server {server} is gossiping with {name} {}",
        joined(&peers)
    )
}

fn joined(numbers: &[u32]) -> String {
    let all: Vec<_> = numbers.iter().map(u32::to_string).collect();
    all.join(", ")
}

fn at_risk(servers: &BTreeMap<u32, Option<Log>>, framed: bool) -> String {
    if servers.is_empty() {
        return "No server is known yet, please try again later\n".to_owned();
    }
    let mut text = String::new();
    for (server, updates) in servers {
        let Some(Log { records, total }) = updates else {
            let _ = writeln!(
                text,
                "Server {server} does not answer: updates on it only are not known"
            );
            continue;
        };
        if *total == 0 {
            continue;
        }
        let are = if *total == 1 { "is" } else { "are" };
        let updates = counted(*total, "update");
        let _ = writeln!(text, "{updates} {are} on server {server} only");
        if !records.is_empty() {
            text += &table::records(records, framed);
        }
        let more = total.saturating_sub(records.len() as u64);
        if more > 0 && !records.is_empty() {
            let _ = writeln!(text, "and {more} more; --limit N shows up to 1000");
        }
    }
    match text.as_str() {
        "" => "Every update is on at least two servers\n".to_owned(),
        _ => text,
    }
}

fn rated(user: UserId, ratings: &[Rated], more: bool, framed: bool) -> String {
    if ratings.is_empty() {
        return format!("User {user} has not rated anything\n");
    }
    // Of a table that does not fit on the screen the end is seen.
    let rows = ratings.len() + table::FRAME;
    if framed && table::height().is_some_and(|height| rows > height.into()) {
        let upwards: Vec<_> = ratings.iter().rev().cloned().collect();
        let older = if more {
            "older ones are left out; "
        } else {
            ""
        };
        let count = counted(ratings.len() as u64, "rating");
        return format!(
            "{}{count}, the newest last; {older}--limit N shows the newest N\n",
            table::ratings(&upwards, framed)
        );
    }
    let mut text = table::ratings(ratings, framed);
    if more {
        let _ = writeln!(text, "and more, which are older");
    }
    text
}

/// At a terminal the first ones: there are movies with a hundred.
fn tagged(tags: &[Tag], framed: bool) -> String {
    let shown = match framed {
        true => &tags[..tags.len().min(TAGS)],
        false => tags,
    };
    let mut text = table::tags(shown, framed);
    if shown.len() < tags.len() {
        let more = tags.len() - shown.len();
        let _ = writeln!(text, "and {more} more, which are shown in a pipe");
    }
    text
}

fn about_user(user: UserId, summary: &Summary) -> String {
    match (summary.average, summary.last) {
        (Some(average), Some(last)) => format!(
            "User {user} has given {}, {average:.2} on average, the last on {}",
            counted(summary.ratings as u64, "rating"),
            date(last)
        ),
        _ => format!("User {user} has not rated anything"),
    }
}

fn whoami(user: Option<UserId>, session: Option<SessionId>, front_end: Option<&Address>) -> String {
    let user = user.map_or("nobody; pass --user ID".to_owned(), |user| {
        format!("user {user}")
    });
    let front_end = front_end.map_or("none yet".to_owned(), |address| format!("http://{address}"));
    let session = session.map_or("none yet".to_owned(), |session| session.to_string());
    format!("You are {user}\nSession {session}\nFront end {front_end}")
}

fn about_session(saved: &SavedSession, seen: &Timestamp) -> String {
    let updates = counted(saved.next - 1, "update");
    let mut text = match saved.digest {
        Some(session) => format!("Session {session} has made {updates}"),
        None => format!("The session, which begins with its first request, has made {updates}"),
    };
    if seen.iter().next().is_none() {
        return text + "\nIt has seen no updates yet: any server can answer it";
    }
    text += "\nIt has seen:";
    for (replica, count) in seen.iter() {
        if count == Timestamp::ALL {
            let server = replica.server;
            let _ = match replica.is_end()
                || replica.incarnation == ReplicaId::end(server).incarnation - 1
            {
                true => write!(
                    text,
                    "\n  all updates of server {server}, which was retired"
                ),
                false => write!(text, "\n  all updates of server {server}'s earlier runs"),
            };
            continue;
        }
        let updates = match count {
            1 => "update 1".to_owned(),
            _ => format!("updates 1 to {count}"),
        };
        let newest = seen
            .iter()
            .filter(|(other, _)| other.server == replica.server);
        let run = match newest.map(|(other, _)| other.incarnation).max() {
            Some(newest) if newest > replica.incarnation => "earlier",
            _ => "present",
        };
        let (server, since) = (replica.server, moment(replica.incarnation));
        let _ = write!(
            text,
            "\n  {updates} of server {server}'s {run} run (since {since})"
        );
    }
    text + "\nOnly servers that have all of these answer this session"
}

fn found(movie: &Movie) -> String {
    let genres = match movie.genres.as_slice() {
        [] => "(no genres listed)".to_owned(),
        listed => listed.join("|"),
    };
    let title = &movie.title;
    match movie.year {
        Some(year) => format!("{title} was made in ({year:04}) and has the genres {genres}"),
        None => format!("{title} has no year in our data and has the genres {genres}"),
    }
}

/// What is said before the movies that a title may stand for.
pub(crate) fn several(asked: &str) -> String {
    format!("Several movies match \"{}\":", safe(asked))
}

fn no_match(search: &Search) -> String {
    match search.text.as_str() {
        "" => "No movie matches\n".to_owned(),
        text => format!("No movie matches \"{}\"\n", safe(text)),
    }
}

fn ambiguous(asked: &str, choices: &[Movie]) -> String {
    let mut text = several(asked);
    for movie in choices {
        // A title with a line break must not look like two choices.
        let movie_line = safe(&movie.to_string());
        let _ = write!(text, "\n  {movie_line}, #{}", movie.id);
    }
    text + "\nName one with its year, or by its number with the #"
}

fn unknown(asked: &str, near: &[Movie], framed: bool) -> String {
    let text = format!("{} is not in our database yet", safe(asked));
    let mut titles = near.iter().map(|movie| safe(&movie.to_string()));
    match (near, framed) {
        ([], _) => text,
        (near, true) => titles
            .zip(near)
            .fold(text + "\nDid you mean:", |text, (title, movie)| {
                format!("{text}\n  {title}, #{}", movie.id)
            }),
        (_, false) => {
            let titles: Vec<_> = titles.by_ref().collect();
            format!("{text}\nDid you mean: {}?", titles.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_agree_or_the_code_says_so() {
        let value = |digest, count| {
            let value_ts = [(ReplicaId::new(1, 70), count)].into_iter().collect();
            Some(ValueDigest {
                digest,
                writes: count,
                value_ts,
            })
        };
        let check = |servers: [Option<ValueDigest>; 2], expected: Agreement, code: Exit| {
            let servers: BTreeMap<_, _> = (1..).zip(servers).collect();
            assert_eq!(agreement(&servers), expected);
            assert_eq!(Answer::Digest(servers).exit(), code);
        };
        check([value(7, 1), value(7, 1)], Agreement::Equal, Exit::Done);
        check([value(7, 1), value(7, 2)], Agreement::Equal, Exit::Done);
        check(
            [value(7, 1), value(8, 2)],
            Agreement::CatchingUp,
            Exit::Done,
        );
        check([value(7, 1), value(8, 1)], Agreement::Differ, Exit::Refused);
        check([value(7, 1), None], Agreement::NotAsked, Exit::Unavailable);
    }
}
