//! Tables: with frames on a terminal, else plain columns.

use std::collections::BTreeMap;

use backfence_client::{Logged, Member, Movie, Ranked, Rated, Server, Tag, Timestamp, ValueDigest};
use comfy_table::{ContentArrangement, Table, presets};

use crate::output::{date, safe, stars};

/// The narrowest terminal that a table is fitted to; narrower ones wrap its lines.
const NARROWEST: u16 = 40;

/// Below so many columns a terminal gets the servers without what is rarely asked for.
const ROOMY: u16 = 90;

/// Lines around the rows of a table, with the prompt below it.
pub(crate) const FRAME: usize = 5;

/// Every server in a row.
pub(crate) fn servers(servers: &[Server], framed: bool) -> String {
    let narrow = framed && width().is_some_and(|width| width < ROOMY);
    let header: &[_] = match narrow {
        true => &["server", "status", "value_ts", "log_len", "lag"],
        false => &[
            "server",
            "address",
            "status",
            "value_ts",
            "replica_ts",
            "log_len",
            "waiting",
            "lag",
        ],
    };
    let rows = servers.iter().map(|server| {
        let cell = |column: &&str| cell(server, servers, column);
        header.iter().map(cell).collect()
    });
    let mut shown = drawn(header, rows, framed);
    for server in servers {
        if let Some(skew) = server.clock_off {
            shown += &format!(
                "The clock of server {} is {skew}, compared with the others': it declines requests \
                 until that is set right\n",
                server.server
            );
        }
    }
    shown
}

fn cell(server: &Server, all: &[Server], column: &str) -> String {
    let state = server.state.as_ref();
    let shown = match column {
        "server" => Some(server.server.to_string()),
        "address" => Some(safe(&server.address)),
        "status" => Some(server.status.to_string()),
        "value_ts" => state.map(|state| short(&state.value_ts)),
        "replica_ts" => state.map(|state| short(&state.replica_ts)),
        "log_len" => state.map(|state| state.log_len.to_string()),
        "waiting" => state.map(|state| state.waiting.to_string()),
        _ => lag(server, all).map(|lag| lag.to_string()),
    };
    shown.unwrap_or_else(|| "-".to_owned())
}

/// Every replica in a row.
pub(crate) fn members(members: &[Member], framed: bool) -> String {
    let narrow = framed && width().is_some_and(|width| width < ROOMY);
    let mut header = vec!["server", "incarnation", "state", "holds_back"];
    if !narrow {
        header.push("reported");
    }
    let rows = members.iter().map(|member| {
        let mut row = vec![
            member.id.server.to_string(),
            match member.id.is_end() {
                true => "-".to_owned(),
                false => member.id.incarnation.to_string(),
            },
            member.membership.to_string(),
            member.holds_back.to_string(),
        ];
        if !narrow {
            row.push(member.reported.as_ref().map_or("-".to_owned(), short));
        }
        row
    });
    drawn(&header, rows, framed)
}

/// Every server with the digest of its value.
pub(crate) fn digests(servers: &BTreeMap<u32, Option<ValueDigest>>, framed: bool) -> String {
    let narrow = framed && width().is_some_and(|width| width < ROOMY);
    let mut header = vec!["server", "digest", "writes"];
    if !narrow {
        header.push("value_ts");
    }
    let rows = servers.iter().map(|(server, value)| {
        let shown = |say: fn(&ValueDigest) -> String| value.as_ref().map_or("-".to_owned(), say);
        let mut row = vec![
            server.to_string(),
            shown(|value| format!("{:032x}", value.digest)),
            shown(|value| value.writes.to_string()),
        ];
        if !narrow {
            row.push(shown(|value| short(&value.value_ts)));
        }
        row
    });
    drawn(&header, rows, framed)
}

/// Every record in a row.
pub(crate) fn records(records: &[Logged], framed: bool) -> String {
    let narrow = framed && width().is_some_and(|width| width < ROOMY);
    let mut header = vec!["origin", "number", "user", "movie", "rating", "waits"];
    if !narrow {
        header.extend(["update_id", "depends on"]);
    }
    let rows = records.iter().map(|record| {
        let update = &record.update;
        let mut row = vec![
            record.origin.to_string(),
            record.number.to_string(),
            update.user.to_string(),
            format!("#{}", update.movie),
            update
                .rating
                .map_or("deleted".to_owned(), |rating| rating.to_string()),
            if record.waiting { "yes" } else { "no" }.to_owned(),
        ];
        if !narrow {
            row.extend([update.id.to_string(), short(&record.prev)]);
        }
        row
    });
    drawn(&header, rows, framed)
}

/// How many updates that some server has received this one does not show yet, or, where it
/// is unreachable, had not received when others last heard of it; `None` where nobody knows.
pub(crate) fn lag(server: &Server, all: &[Server]) -> Option<u64> {
    let mut received = Timestamp::new();
    for server in all {
        let state = server.state.as_ref().map(|state| &state.replica_ts);
        state
            .into_iter()
            .chain(&server.reported)
            .for_each(|has| received.merge(has));
    }
    let shown = server.state.as_ref().map(|state| &state.value_ts);
    let shown = shown.or(server.reported.as_ref())?;
    let missing = received
        .iter()
        .filter(|&(_, count)| count != Timestamp::ALL)
        .map(|(origin, count)| count.saturating_sub(shown.count(origin)));
    Some(missing.sum())
}

/// Movies with year and genres.
pub(crate) fn movies(movies: &[Movie], framed: bool) -> String {
    let rows = movies.iter().map(|movie| {
        vec![
            format!("#{}", movie.id),
            safe(&movie.title),
            year(movie.year),
            // Where lines are broken, they are broken at blanks.
            safe(&movie.genres.join(if framed { ", " } else { "|" })),
        ]
    });
    drawn(&["movie", "title", "year", "genres"], rows, framed)
}

/// Movies with their average, the best first.
pub(crate) fn ranking(ranked: &[Ranked], framed: bool) -> String {
    let rows = ranked.iter().map(|ranked| {
        let average = ranked.average.average;
        let mut row = vec![format!("{average:.2}")];
        if framed {
            row.push(stars(average));
        }
        row.extend([
            ranked.average.ratings.to_string(),
            safe(&ranked.movie.title),
            year(ranked.movie.year),
            format!("#{}", ranked.movie.id),
        ]);
        row
    });
    let header: &[_] = match framed {
        true => &["average", "", "ratings", "title", "year", "movie"],
        false => &["average", "ratings", "title", "year", "movie"],
    };
    drawn(header, rows, framed)
}

/// Ratings of one user.
pub(crate) fn ratings(ratings: &[Rated], framed: bool) -> String {
    let rows = ratings.iter().map(|rated| {
        let mut row = vec![rated.rating.to_string()];
        if framed {
            row.push(stars(rated.rating.into()));
        }
        let title = rated.title.as_ref();
        row.extend([
            title.map_or_else(|| "-".to_owned(), |title| safe(&title.title)),
            year(title.and_then(|title| title.year)),
            format!("#{}", rated.movie),
            date(rated.seconds),
        ]);
        row
    });
    let header: &[_] = match framed {
        true => &["rating", "", "title", "year", "movie", "given"],
        false => &["rating", "title", "year", "movie", "given"],
    };
    drawn(header, rows, framed)
}

/// Tags and how many users gave each.
pub(crate) fn tags(tags: &[Tag], framed: bool) -> String {
    let rows = tags
        .iter()
        .map(|tag| vec![safe(&tag.tag), tag.users.to_string()]);
    drawn(&["tag", "users"], rows, framed)
}

/// Columns of the terminal. `None` without one, or where it does not know: then lines
/// are as long as they are.
pub(crate) fn width() -> Option<u16> {
    Table::new().width().filter(|&width| width > 0)
}

/// Lines of the terminal, where it has a screen.
pub(crate) fn height() -> Option<u16> {
    #[cfg(unix)]
    let rows = rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| size.ws_row);
    #[cfg(not(unix))]
    let rows = Err::<u16, ()>(());
    rows.ok().filter(|&rows| rows > 0)
}

fn year(year: Option<u16>) -> String {
    year.map_or_else(|| "-".to_owned(), |year| format!("{year:04}"))
}

fn drawn(header: &[&str], rows: impl Iterator<Item = Vec<String>>, framed: bool) -> String {
    let mut table = Table::new();
    if framed {
        table.load_style(presets::UTF8_FULL_CONDENSED);
        if let Some(width) = width() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width.max(NARROWEST));
        }
    } else {
        table.load_style(presets::NOTHING);
    }
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    let lines = table.to_string();
    lines
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// `1:5 2:3`: how many updates of which server. A server that has had several lives
/// has an entry for each, with the time at which it began: `1@1767225600000:5`.
fn short(ts: &Timestamp) -> String {
    // Lives that are folded away say nothing of what goes on.
    let entries = || ts.iter().filter(|&(_, count)| count != Timestamp::ALL);
    let mut lives = BTreeMap::<u32, u32>::new();
    for (replica, _) in entries() {
        *lives.entry(replica.server).or_default() += 1;
    }
    let entries: Vec<_> = entries()
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
            reported: None,
            gone_since: None,
            program: None,
            clock_off: None,
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
            ["1", "127.0.0.1:7000", "online", "1:5", "1:6", "2", "1", "1"]
        );
        assert_eq!(rows[2][2..], ["unreachable", "-", "-", "-", "-", "-"]);
        // One that is down had less than the others when they last heard of it, and more.
        let mut down = server(3, ServerStatus::Unreachable, None);
        down.reported = Some(ts([(1, 70, 2), (3, 70, 1)]));
        let all: Vec<_> = all.into_iter().chain([down]).collect();
        let lags: Vec<_> = all.iter().map(|server| lag(server, &all)).collect();
        assert_eq!(lags, [Some(2), None, Some(4)]);
        assert!(found.is_ascii());
        let mut off = all[0].clone();
        let by = std::time::Duration::from_secs(3600);
        off.clock_off = Some(backfence_client::Skew { ahead: true, by });
        assert!(
            servers(&[off], false)
                .contains("server 1 is 3600.0 s ahead, compared with the others'")
        );
        assert!(servers(&all, true).contains('│'));
    }
}
