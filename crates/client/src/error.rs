//! Why a request failed, and what to do.

use std::{error::Error as _, time::Duration};

use backfence_gossip::UpdateId;
use backfence_process::{Address, is_unreachable};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

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
    /// A change of status was sent, but nobody said that it was done. To send it
    /// again could undo it.
    #[error(
        "it is not known whether the status of server {server} has changed: no answer has come; \
         ask for the status before you try again"
    )]
    ChangeUnknown {
        /// The server.
        server: u32,
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
    #[error("server {server} does not answer; ask for the status before you try again")]
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
        /// Such as `BAD_TOKEN`, `FORGED_TIMESTAMP`, `UPDATE_ID_REUSED`, `LOG_FULL`
        /// or `CLOCK_AHEAD`.
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

/// How one try failed.
pub(crate) enum Failed {
    /// No connection: the request has not left.
    NotSent(String),
    /// Nobody answered: the request may have been carried out.
    Unanswered,
    /// The front end says that the outcome is unknown.
    Unknown,
    /// The update's time is too far ahead; it will not be after this long.
    Ahead(Duration, Error),
    /// The session has seen more than this front end can show now.
    Behind(Error),
    /// No replica will serve now.
    Busy,
    /// What any front end would say.
    Final(Error),
}

impl Failed {
    /// Reads what the contract of `frontend.proto` says about errors.
    pub(crate) fn new(status: &Status, front_end: &Address) -> Self {
        if let Some(reason) = no_connection(status) {
            return Self::NotSent(reason);
        }
        match status.get_details_error_info() {
            Some(info) if info.domain == "backfence" => {
                let said = Said { status, info };
                said.failed().unwrap_or_else(|| {
                    let why = format!("{} lacks its metadata", said.info.reason);
                    Self::wrong(front_end, why)
                })
            }
            _ if status.code() == Code::Unimplemented => Self::Final(Error::Unsupported {
                front_end: front_end.clone(),
            }),
            _ if is_unreachable(status) => Self::Unanswered,
            _ => Self::wrong(
                front_end,
                format!("{}: {}", status.code(), status.message()),
            ),
        }
    }

    fn wrong(front_end: &Address, why: String) -> Self {
        Self::Final(Error::WrongAnswer {
            front_end: front_end.clone(),
            why,
        })
    }
}

struct Said<'a> {
    status: &'a Status,
    info: tonic_types::ErrorInfo,
}

impl Said<'_> {
    /// `None` where metadata that the contract promises is missing.
    fn failed(&self) -> Option<Failed> {
        let message = || self.status.message().to_owned();
        Some(match self.info.reason.as_str() {
            "ALL_BUSY" | "SERVER_AWAY" => Failed::Busy,
            "OUTCOME_UNKNOWN" => Failed::Unknown,
            "BEHIND" => Failed::Behind(Error::Behind {
                server: self.number("server")?,
                incarnation: self.number("incarnation")?,
                number: self.number("number")?,
            }),
            "CLOCK_AHEAD" => {
                let wait = Duration::from_millis(self.number("retry_after_ms")?);
                Failed::Ahead(wait, self.refused())
            }
            "UNKNOWN_MOVIE" => Failed::Final(Error::UnknownMovie),
            "UNKNOWN_SERVER" => Failed::Final(Error::UnknownServer {
                // The caller knows which server it asked for.
                server: 0,
                servers: parse_servers(self.info.metadata.get("servers")?)?,
            }),
            "INVALID" => Failed::Final(Error::Invalid(message())),
            _ => Failed::Final(self.refused()),
        })
    }

    fn refused(&self) -> Error {
        Error::Refused {
            reason: self.info.reason.clone(),
            message: self.status.message().to_owned(),
        }
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.info.metadata.get(key)?.parse().ok()
    }
}

/// Why there was no connection, if that is how the call failed: "Connection
/// refused" rather than "transport error".
fn no_connection(status: &Status) -> Option<String> {
    let mut source = status.source();
    let mut connecting = false;
    let mut root = String::new();
    while let Some(error) = source {
        connecting |= error.is::<tonic::ConnectError>();
        root = error.to_string();
        source = error.source();
    }
    connecting.then_some(root)
}

/// `1,2,3`, or nothing where there are none.
fn parse_servers(listed: &str) -> Option<Vec<u32>> {
    let numbers = listed.split(',').map(str::trim);
    let numbers = numbers.filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().ok()).collect()
}

fn listed(servers: &[u32]) -> String {
    if servers.is_empty() {
        return "there is none at the moment".to_owned();
    }
    let all: Vec<_> = servers.iter().map(u32::to_string).collect();
    format!("there are {}", all.join(", "))
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
