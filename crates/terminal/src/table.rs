//! The table of servers.

use std::collections::BTreeMap;

use backfence_client::{Server, Timestamp};
use comfy_table::{Table, presets};

use crate::output::safe;

/// Every server in a row, framed on a terminal, else plain columns.
pub(crate) fn servers(servers: &[Server], on_terminal: bool) -> String {
    let mut table = Table::new();
    table.load_style(if on_terminal {
        presets::UTF8_FULL_CONDENSED
    } else {
        presets::NOTHING
    });
    table.set_header([
        "server",
        "address",
        "status",
        "value_ts",
        "replica_ts",
        "log_len",
        "waiting",
    ]);
    for server in servers {
        let state = server.state.as_ref();
        let of_state = |shown: fn(&backfence_client::ReplicaState) -> String| {
            state.map_or_else(|| "-".to_owned(), shown)
        };
        table.add_row([
            server.server.to_string(),
            safe(&server.address),
            server.status.to_string(),
            of_state(|state| short(&state.value_ts)),
            of_state(|state| short(&state.replica_ts)),
            of_state(|state| state.log_len.to_string()),
            of_state(|state| state.waiting.to_string()),
        ]);
    }
    let lines = table.to_string();
    lines
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// `1:5 2:3`: how many updates of which server. A server that has had several lives
/// has an entry for each, with the time at which it began: `1@1767225600000:5`.
fn short(ts: &Timestamp) -> String {
    let mut lives = BTreeMap::<u32, u32>::new();
    for (replica, _) in ts.iter() {
        *lives.entry(replica.server).or_default() += 1;
    }
    let entries: Vec<_> = ts
        .iter()
        .map(|(replica, count)| match lives[&replica.server] {
            1 => format!("{}:{count}", replica.server),
            _ => format!("{replica}:{count}"),
        })
        .collect();
    if entries.is_empty() {
        return "-".to_owned();
    }
    entries.join(" ")
}

#[cfg(test)]
mod tests {
    use backfence_client::{ReplicaId, ReplicaState, ServerStatus};

    use super::*;

    fn ts<const N: usize>(entries: [(u32, u64, u64); N]) -> Timestamp {
        let entry = |(server, life, count)| (ReplicaId::new(server, life), count);
        entries.into_iter().map(entry).collect()
    }

    #[test]
    fn timestamps_are_short() {
        assert_eq!(short(&ts([])), "-");
        assert_eq!(short(&ts([(1, 70, 5), (2, 71, 3)])), "1:5 2:3");
        assert_eq!(
            short(&ts([(1, 70, 5), (1, 80, 1), (2, 71, 3)])),
            "1@70:5 1@80:1 2:3"
        );
    }

    #[test]
    fn a_pipe_gets_plain_columns() {
        let state = ReplicaState {
            id: ReplicaId::new(1, 70),
            value_ts: ts([(1, 70, 5)]),
            replica_ts: ts([(1, 70, 6)]),
            log_len: 2,
            waiting: 1,
        };
        let server = |server, status, state| Server {
            server,
            address: "127.0.0.1:7000".to_owned(),
            status,
            state,
        };
        let all = [
            server(1, ServerStatus::Online, Some(state)),
            server(2, ServerStatus::Unreachable, None),
        ];
        let found = servers(&all, false);
        let rows: Vec<Vec<_>> = found
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[0][0], "server");
        assert_eq!(
            rows[1],
            ["1", "127.0.0.1:7000", "online", "1:5", "1:6", "2", "1"]
        );
        assert_eq!(rows[2][2..], ["unreachable", "-", "-", "-", "-"]);
        assert!(found.is_ascii());
        assert!(servers(&all, true).contains('│'));
    }
}
