//! Why all servers are busy.

use std::collections::BTreeMap;

use backfence_client::{Error, Server, ServerStatus, Session};

/// Says of each server why it has not served, after all were busy. `None` for another
/// error, and where nobody tells.
pub(crate) async fn why(session: &mut Session, error: &Error) -> Option<String> {
    if *error != Error::AllBusy {
        return None;
    }
    session
        .status()
        .await
        .ok()
        .map(|servers| sentence(&servers))
}

/// Who is neither gone nor offline was over-loaded: else it had served.
fn sentence(servers: &[Server]) -> String {
    if servers.is_empty() {
        return "No server is running that this front end knows of; start one".to_owned();
    }
    let mut kinds = BTreeMap::<&str, Vec<String>>::new();
    for server in servers {
        let numbers = kinds.entry(kind(server.status)).or_default();
        numbers.push(server.server.to_string());
    }
    let said = kinds
        .iter()
        .map(|(kind, numbers)| match numbers.as_slice() {
            [one] => format!("server {one} is {kind}"),
            several => format!("servers {} are {kind}", several.join(", ")),
        });
    let said = said.collect::<Vec<_>>().join("; ");
    said.replacen('s', "S", 1)
}

fn kind(status: ServerStatus) -> &'static str {
    match status {
        ServerStatus::Offline => "offline",
        ServerStatus::Unreachable => "gone",
        ServerStatus::OtherCluster => "of another cluster",
        ServerStatus::OtherData => "of other data",
        ServerStatus::Online | ServerStatus::Unknown => "over-loaded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_named_once() {
        use ServerStatus::{Offline, Online, OtherData, Unreachable};
        let check = |statuses: &[ServerStatus], expected: &str| {
            let server = |(number, &status)| Server {
                server: number,
                address: String::new(),
                status,
                state: None,
                reported: None,
                gone_since: None,
                program: None,
                clock_off: None,
            };
            let servers: Vec<_> = (1..).zip(statuses).map(server).collect();
            assert_eq!(sentence(&servers), expected);
        };
        check(&[Online], "Server 1 is over-loaded");
        check(
            &[Offline, Unreachable, Offline, Online],
            "Server 2 is gone; servers 1, 3 are offline; server 4 is over-loaded",
        );
        check(&[OtherData], "Server 1 is of other data");
        check(
            &[],
            "No server is running that this front end knows of; start one",
        );
    }
}
