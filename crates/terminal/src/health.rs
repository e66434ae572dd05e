//! Whether all is well: what the states of all servers say together.

use std::fmt::Write as _;

use backfence_client::{Server, ServerStatus};
use backfence_process::Exit;

use crate::{output::moment, table::lag};

/// A sentence about each server that does not serve or is behind, and one where all is well.
pub(crate) fn report(servers: &[Server]) -> String {
    let mut text: String = servers
        .iter()
        .filter_map(|server| trouble(server, servers))
        .collect();
    if servers.is_empty() {
        text += "No server is known\n";
    } else if text.is_empty() {
        text += match servers.len() {
            1 => "The server is online\n",
            _ => "All servers are online, and none is behind\n",
        };
    }
    text
}

/// What is the matter with a server that does not serve, or is behind.
pub(crate) fn trouble(server: &Server, all: &[Server]) -> Option<String> {
    let behind = lag(server, all);
    if serves(server) && behind == Some(0) {
        return None;
    }
    let mut text = format!("Server {} is {}", server.server, server.status);
    if let Some(since) = server.gone_since {
        let _ = write!(text, " since {}", moment(since.0 / 1000));
    }
    if let Some(skew) = server.clock_off {
        let _ = write!(text, ", but its clock is {skew}");
    }
    text += &match behind {
        None | Some(0) => String::new(),
        Some(1) => ", 1 update behind".to_owned(),
        Some(behind) => format!(", {behind} updates behind"),
    };
    if server.status == ServerStatus::Unreachable {
        text += "; start it again, or retire it for good";
    }
    Some(text + "\n")
}

/// Unavailable where a server does not serve. One that is behind catches up.
pub(crate) fn exit(servers: &[Server]) -> Exit {
    match servers.iter().all(serves) && !servers.is_empty() {
        true => Exit::Done,
        false => Exit::Unavailable,
    }
}

/// Whether it takes requests: one whose clock is wrong declines them.
fn serves(server: &Server) -> bool {
    server.status == ServerStatus::Online && server.clock_off.is_none()
}

#[cfg(test)]
mod tests {
    use backfence_client::{ReplicaId, ReplicaState, Time, Timestamp};

    use super::*;

    fn ts(counts: &[(u32, u64)]) -> Timestamp {
        let entry = |&(server, count)| (ReplicaId::new(server, 7), count);
        counts.iter().map(entry).collect()
    }

    #[test]
    fn servers_that_do_not_serve_are_named() {
        let server = |server, status, value: Option<Timestamp>| Server {
            server,
            address: String::new(),
            status,
            state: value.map(|ts| ReplicaState {
                id: ReplicaId::new(server, 7),
                value_ts: ts.clone(),
                replica_ts: ts,
                log_len: 0,
                waiting: 0,
            }),
            reported: None,
            gone_since: None,
            program: None,
            clock_off: None,
        };
        let (less, more) = (ts(&[(1, 5)]), ts(&[(1, 7)]));
        let online =
            |number, ts: &Timestamp| server(number, ServerStatus::Online, Some(ts.clone()));
        let check = |servers: &[Server], code: Exit, text: &str| {
            assert_eq!((exit(servers), &*report(servers)), (code, text));
        };
        check(&[], Exit::Unavailable, "No server is known\n");
        check(&[online(1, &less)], Exit::Done, "The server is online\n");
        let all = [online(1, &more), online(2, &more)];
        check(
            &all,
            Exit::Done,
            "All servers are online, and none is behind\n",
        );
        let mut off = online(2, &more);
        let by = std::time::Duration::from_secs(3600);
        off.clock_off = Some(backfence_client::Skew { ahead: true, by });
        let sentence = "Server 2 is online, but its clock is 3600.0 s ahead\n";
        check(&[online(1, &more), off], Exit::Unavailable, sentence);
        let all = [online(1, &more), online(2, &less)];
        check(&all, Exit::Done, "Server 2 is online, 2 updates behind\n");
        let mut down = server(3, ServerStatus::Unreachable, None);
        down.reported = Some(ts(&[(1, 6)]));
        down.gone_since = Some(Time(964_982_703_000_000));
        let offline = server(2, ServerStatus::Offline, Some(more.clone()));
        check(
            &[online(1, &more), offline, down],
            Exit::Unavailable,
            "Server 2 is offline\n\
             Server 3 is unreachable since 2000-07-30 18:45:03 UTC, 1 update behind; start it \
             again, or retire it for good\n",
        );
    }
}
