//! Why a request failed, and what to do.

use std::time::Duration;

use backfence_gossip::UpdateId;
use backfence_process::Address;

/// Why a request failed. Each sentence says what to do next.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A front end found no replica that is there and will serve.
    #[error("All servers are currently busy, please try again later")]
    AllBusy,
    /// No replica that answered has what this session has seen.
    #[error(
        "no server that answers has update {number} of server {server} (incarnation \
         {incarnation}), which this session has seen; wait until that server is back, or go on \
         in a new session, which may not see it"
    )]
    Behind {
        /// The server that made what is missing.
        server: u32,
        /// Its life, which began at this time in milliseconds since 1970.
        incarnation: u64,
        /// The number of the update that is missing.
        number: u64,
    },
    /// The update was sent, but nobody said that it was taken.
    #[error(
        "it is not known whether the update took effect: no server has answered in time; \
         look before you send it again (update id {update_id})"
    )]
    OutcomeUnknown {
        /// The update.
        update_id: UpdateId,
    },
    /// The update comes again so long after it was made that nobody can tell any more
    /// whether it was taken before.
    #[error(
        "it is not known whether the update took effect, and nobody can tell any more, so long \
         ago it was made; look before you do it again (update id {update_id})"
    )]
    TooLate {
        /// The update.
        update_id: UpdateId,
    },
    /// The update was refused when it was first sent, since it is dated too long ago: this
    /// session's clock had stood still, as where the machine has slept. It has done
    /// nothing, and the next one is dated right.
    #[error(
        "the update was not taken, since the clock of this session had fallen behind; it is set \
         right now: try again"
    )]
    NotTaken,
    /// The update is taken, but in time fewer servers than were asked for have it. It goes
    /// on spreading; to send it again waits again.
    #[error(
        "the update is taken, but only {} so far, and {copies} copies were asked for; it goes on \
         spreading (update id {update_id})", have(.servers)
    )]
    CopiesNotMet {
        /// The update.
        update_id: UpdateId,
        /// How many servers were to have it.
        copies: u32,
        /// Those that have it.
        servers: Vec<u32>,
    },
    /// A server is retired, but in time only one other has noted it: should that one lose
    /// its disk before others hear of it, it is as if nothing had happened.
    #[error(
        "server {server} is retired, but only server {by} has noted it so far, and {} not said to \
         know it; leave server {by} running, or keep its disk, and do it again when they answer",
        have_not(.missing)
    )]
    KnownToOne {
        /// The server that was retired.
        server: u32,
        /// The one that has noted it.
        by: u32,
        /// Those that remain and have not said to know it.
        missing: Vec<u32>,
    },
    /// There is no such movie.
    #[error("there is no movie with that id; find one by its title first")]
    UnknownMovie,
    /// There is no such server.
    #[error("there is no server {server}; {}", listed(.servers))]
    UnknownServer {
        /// The number asked for.
        server: u32,
        /// Those that there are.
        servers: Vec<u32>,
    },
    /// The one server that a request is about does not answer the front end. It may
    /// do what was asked later.
    #[error("server {server} is down, or does not answer; ask for the status before you try again")]
    ServerAway {
        /// The server.
        server: u32,
    },
    /// The request makes no sense. The front end's sentence says which field.
    #[error("the request is invalid: {0}")]
    Invalid(String),
    /// No front end could be connected to, so nothing was done.
    #[error(
        "no front end can be reached at {}: {last}; start one with backfence-frontend, or try again",
        addresses(.tried)
    )]
    Unreachable {
        /// Those that were tried.
        tried: Vec<Address>,
        /// How the last attempt failed.
        last: String,
    },
    /// Nobody has answered in time.
    #[error("no answer has come in {limit:?}{}; try again", from(.asked))]
    OutOfTime {
        /// How long the request was given.
        limit: Duration,
        /// Those that may have got the request.
        asked: Vec<Address>,
    },
    /// A front end or a replica will not do it.
    #[error("refused ({reason}): {message}")]
    Refused {
        /// Such as `BAD_TOKEN`, `FORGED_TIMESTAMP`, `UPDATE_ID_REUSED`, `LOG_FULL`,
        /// `CLOCK_AHEAD` or `NO_OPERATOR_TOKEN`.
        reason: String,
        /// The front end's sentence.
        message: String,
    },
    /// The front end does not know such a request.
    #[error(
        "the front end at http://{front_end} does not know this request: it is of an older \
         version; update it, or use another"
    )]
    Unsupported {
        /// Where it is.
        front_end: Address,
    },
    /// A front end answered what no front end of this version says.
    #[error(
        "the front end at http://{front_end} gave a wrong answer: {why}; is it one of Backfence?"
    )]
    WrongAnswer {
        /// Where it is.
        front_end: Address,
        /// What is wrong.
        why: String,
    },
}

fn listed(servers: &[u32]) -> String {
    if servers.is_empty() {
        return "there is none at the moment".to_owned();
    }
    let all: Vec<_> = servers.iter().map(u32::to_string).collect();
    format!("there are {}", all.join(", "))
}

fn have(servers: &[u32]) -> String {
    match servers {
        [one] => format!("server {one} has it"),
        several => {
            let all: Vec<_> = several.iter().map(u32::to_string).collect();
            format!("servers {} have it", all.join(", "))
        }
    }
}

fn have_not(servers: &[u32]) -> String {
    match servers {
        [one] => format!("server {one} has"),
        several => {
            let all: Vec<_> = several.iter().map(u32::to_string).collect();
            format!("servers {} have", all.join(", "))
        }
    }
}

fn from(asked: &[Address]) -> String {
    match asked {
        [] => String::new(),
        asked => format!(" from {}", addresses(asked)),
    }
}

fn addresses(tried: &[Address]) -> String {
    let tried: Vec<_> = tried.iter().map(|a| format!("http://{a}")).collect();
    tried.join(", ")
}
