//! Servers that were started from other data, and requests about movies of other data.

use std::sync::Arc;

use backfence_wire::{Reason, v1::Refused};

use crate::{pass::Failed, router::Missed, server::Server};

/// Whether a server may be asked about movies of the data with this fingerprint; empty for
/// whatever it has.
///
/// # Errors
///
/// [`Missed`] where it has said to have other data.
pub(crate) fn check(server: &Server, fingerprint: &str) -> Result<(), Missed> {
    if server.said.has_other_data() {
        return Err(Failed::Declined.into());
    }
    if !server.said.has_data(fingerprint) {
        let message = format!(
            "server {} has loaded other movies than those that were found; find the movie again, \
             and start all servers with the same files",
            server.number
        );
        return Err(Missed::Refused(other_data(message, vec![server.number])));
    }
    Ok(())
}

/// Where no cluster is there yet, since these servers differ in their data: which ones do.
pub(crate) fn differing(servers: &[Arc<Server>]) -> Option<Refused> {
    let differ = servers.iter().filter(|server| server.said.is_differing());
    let numbers: Vec<u32> = differ.map(|server| server.number).collect();
    let first = numbers.first()?;
    let message = format!(
        "server {first} has loaded other data than another server, and no cluster is there yet; \
         start all servers with the same files"
    );
    Some(other_data(message, numbers))
}

fn other_data(message: String, servers: Vec<u32>) -> Refused {
    Refused {
        reason: Reason::OtherData.to_string(),
        message,
        servers,
        ..Refused::default()
    }
}
