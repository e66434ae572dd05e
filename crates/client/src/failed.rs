//! How a try fails, and what that says about another one.

use std::{error::Error as _, time::Duration};

use backfence_process::{Address, is_unreachable};
use backfence_wire::Reason;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::Error;

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
    /// The update is dated too long ago.
    Late,
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
        Some(match Reason::read(&self.info.reason) {
            Some(Reason::AllBusy | Reason::ServerAway) => Failed::Busy,
            Some(Reason::OutcomeUnknown) => Failed::Unknown,
            Some(Reason::Behind) => Failed::Behind(Error::Behind {
                server: self.number("server")?,
                incarnation: self.number("incarnation")?,
                number: self.number("number")?,
            }),
            Some(Reason::ClockAhead) => {
                let wait = Duration::from_millis(self.number("retry_after_ms")?);
                Failed::Ahead(wait, self.refused())
            }
            Some(Reason::TooLate) => Failed::Late,
            Some(Reason::UnknownMovie) => Failed::Final(Error::UnknownMovie),
            Some(Reason::UnknownServer) => Failed::Final(Error::UnknownServer {
                // The caller knows which server it asked for.
                server: 0,
                servers: parse_servers(self.info.metadata.get("servers")?)?,
            }),
            Some(Reason::Invalid) => Failed::Final(Error::Invalid(message())),
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
