//! What gossip costs the core and the wire.

use std::{
    fmt,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use backfence_gossip::{
    Limits, Message, Replica, ReplicaId, Scope, Session, SessionId, Time, Update, UpdateId,
};
use backfence_ratings::{Base, MovieId, Operation, Rating, Ratings, UserId};
use backfence_wire::{decode, encoded_len, offer, v1};
use serde::Serialize;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Live cells before the measurement of the core.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) cells: u64,
    /// Records that are received then.
    #[arg(long, default_value_t = 500_000)]
    pub(crate) records: u64,
    /// The numbers of replicas among which a burst spreads.
    #[arg(long, value_delimiter = ',', default_value = "3,5,9,15,31")]
    pub(crate) replicas: Vec<u32>,
    /// The updates of that burst.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) burst: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    cells: u64,
    records: u64,
    /// Received, accepted and applied by one replica that holds all cells.
    pub(crate) records_per_second: f64,
    /// Of three replicas: bytes of the messages above what the updates themselves take
    /// (id, time, operation).
    pub(crate) extra_bytes: f64,
    pub(crate) spread: Vec<Spread>,
}

/// A burst of updates at all replicas, until all have all. Each round everybody sends
/// everybody what it took itself, as pushes do, then asks for what it lacks.
#[derive(Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) replicas: u32,
    updates: u64,
    rounds: u32,
    messages_per_update: f64,
    pub(crate) bytes_per_update: f64,
    extra_bytes_per_record: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cells, records, .. } = self;
        writeln!(
            f,
            "{records} records of gossip over {cells} cells: {:.0} a second accepted and applied",
            self.records_per_second
        )?;
        writeln!(
            f,
            "{:.1} bytes a record beside the update itself",
            self.extra_bytes
        )?;
        writeln!(
            f,
            "replicas   rounds   messages/update   bytes/update   extra bytes/record"
        )?;
        for spread in &self.spread {
            write!(f, "{:>8}   {:>6}", spread.replicas, spread.rounds)?;
            write!(f, "   {:>15.3}", spread.messages_per_update)?;
            write!(f, "   {:>12.0}", spread.bytes_per_update)?;
            writeln!(f, "   {:>18.1}", spread.extra_bytes_per_record)?;
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Report> {
    let spread: Vec<Spread> = args
        .replicas
        .iter()
        .map(|&replicas| spread(replicas, args.burst))
        .collect::<anyhow::Result<_>>()?;
    let of_three = spread.iter().find(|spread| spread.replicas == 3);
    let extra = match of_three {
        Some(spread) => spread.extra_bytes_per_record,
        None => self::spread(3, args.burst)?.extra_bytes_per_record,
    };
    Ok(Report {
        cells: args.cells,
        records: args.records,
        records_per_second: receive(args)?,
        extra_bytes: extra,
        spread,
    })
}

/// What the senders' clocks show.
const NOW: Time = Time(1_790_000_000_000_000);
/// Records of a message.
const BATCH: u64 = 1_000;

/// Records a second of the processor, whatever else the machine does.
fn receive(args: &Args) -> anyhow::Result<f64> {
    let mut group = Group::new(2);
    for from in (0..args.cells).step_by(BATCH as usize) {
        let message = group.batch(from..(from + BATCH).min(args.cells))?;
        let _ = group.replicas[1].receive(message, NOW)?;
        // So that the sender does not keep them all.
        let report = group.replicas[1].report();
        let _ = group.replicas[0].receive(Message::Offer(report), NOW)?;
    }
    let all = args.cells + args.records;
    let messages = (args.cells..all).step_by(BATCH as usize);
    let messages: Vec<_> = messages
        .map(|from| group.batch(from..(from + BATCH).min(all)))
        .collect::<Result<_, _>>()?;
    let begun = Clock::now();
    for message in messages {
        let _ = group.replicas[1].receive(message, NOW)?;
    }
    let spent = begun.elapsed();
    let applied = group.replicas[1].value() == group.replicas[0].value();
    ensure!(applied, "the receiver lacks something");
    Ok(args.records as f64 / spent.as_secs_f64())
}

/// The time that this thread has run, where the system tells it; else the time of day.
struct Clock {
    ran: Option<Duration>,
    begun: Instant,
}

impl Clock {
    fn now() -> Self {
        Self {
            ran: ran(),
            begun: Instant::now(),
        }
    }

    fn elapsed(&self) -> Duration {
        match (self.ran, ran()) {
            (Some(before), Some(now)) if now > before => now - before,
            _ => self.begun.elapsed(),
        }
    }
}

/// To within some milliseconds.
fn ran() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn spread(replicas: u32, updates: u64) -> anyhow::Result<Spread> {
    let mut group = Group::new(replicas);
    let count = group.replicas.len();
    let mut content = 0;
    for made in 0..updates {
        // Each session goes from one replica to the next, so it has seen all.
        let at = (made + made / SESSIONS) as usize % count;
        content += group.update(at, made)?;
    }
    let (mut rounds, mut messages, mut bytes) = (0, 0_u64, 0);
    let mut records = 0;
    while !group.is_even() {
        rounds += 1;
        ensure!(rounds < 100, "the replicas do not become even");
        for from in 0..count {
            for to in (0..count).filter(|&to| to != from) {
                // All that there is, in messages of their limit.
                loop {
                    let id = group.replicas[to].id();
                    let message = group.replicas[from].message(id, Scope::Own);
                    let Message::Offer(sent) = &message else {
                        anyhow::bail!("a whole state was sent");
                    };
                    if sent.records.is_empty() {
                        break;
                    }
                    messages += 1;
                    records += sent.records.len() as u64;
                    bytes += encoded_len(&offer(sent, false, NOW)) as u64;
                    let _ = group.replicas[to].receive(message, NOW)?;
                    // The answer is a report.
                    let report = group.replicas[to].report();
                    messages += 1;
                    bytes += encoded_len(&offer(&report, false, NOW)) as u64;
                    let _ = group.replicas[from].receive(Message::Offer(report), NOW)?;
                }
            }
        }
    }
    let copies = records as f64 / updates as f64;
    Ok(Spread {
        replicas,
        updates,
        rounds,
        messages_per_update: messages as f64 / updates as f64,
        bytes_per_update: bytes as f64 / updates as f64,
        extra_bytes_per_record: (bytes as f64 - content as f64 * copies) / records as f64,
    })
}

/// Replicas that know each other, and sessions that write to them.
struct Group {
    replicas: Vec<Replica<Ratings>>,
    sessions: Vec<(Session, u64)>,
}

const SESSIONS: u64 = 100;
const MOVIES: u64 = 10_000;

impl Group {
    fn new(count: u32) -> Self {
        let base = Arc::new(Base::empty());
        let limits = Limits {
            log_bytes: usize::MAX,
            ..Limits::default()
        };
        // Incarnations are times in milliseconds.
        let id = |server| ReplicaId::new(server, 1_790_000_000_000 + u64::from(server));
        let new = |server| Replica::new(id(server), Ratings::new(base.clone()), limits);
        let mut replicas: Vec<_> = (1..=count).map(new).collect();
        replicas[0].found();
        // Until everybody has heard that everybody has joined.
        for _ in 0..4 {
            for from in 0..replicas.len() {
                for to in (0..replicas.len()).filter(|&to| to != from) {
                    let message = replicas[from].message(replicas[to].id(), Scope::All);
                    // The state of a replica that has just been made is well-formed.
                    let _ = replicas[to].receive(message, NOW).expect("a good message");
                }
            }
        }
        let session = |number: u128| (Session::new(SessionId((number << 64) | 0x5eed_u128)), 0);
        Self {
            replicas,
            sessions: (1..=u128::from(SESSIONS)).map(session).collect(),
        }
    }

    /// Makes the update of this number at a replica, and gives the bytes of its own
    /// content. Each is of another cell until there are ten billion.
    fn update(&mut self, at: usize, number: u64) -> anyhow::Result<u64> {
        let (session, sequence) = &mut self.sessions[(number % SESSIONS) as usize];
        *sequence += 1;
        let now = Time(1_790_000_000_000_000 + number);
        let update = Update {
            id: UpdateId::new(session.id, *sequence),
            prev: session.prev.clone(),
            time: now,
            operation: Operation::Rate {
                user: UserId((number / MOVIES * 31 % 1_000_003) as u32 + 1),
                movie: MovieId((number * 7_919 % MOVIES) as u32 + 1),
                rating: Rating::from_ten_thousandths((number % 11 * 5_000) as u32)
                    .context("at most 50,000")?,
            },
        };
        let mut content: v1::Update = decode(&backfence_wire::update(&update))?;
        content.prev = None;
        let content = encoded_len(&content) as u64;
        let accepted = self.replicas[at].update(update, now)?;
        session.observe(&accepted.ts, accepted.clock);
        Ok(content)
    }

    /// Updates of these numbers at the first replica, in one message.
    fn batch(&mut self, numbers: Range<u64>) -> anyhow::Result<Message<Ratings>> {
        let mut offer = self.replicas[0].report();
        for number in numbers {
            self.update(0, number)?;
            let id = self.replicas[0].id();
            let record = self.replicas[0].record(id, number + 1);
            offer
                .records
                .push(record.context("it was just made")?.clone());
        }
        offer.replica_ts = self.replicas[0].replica_ts().clone();
        Ok(Message::Offer(offer))
    }

    fn is_even(&self) -> bool {
        let first = &self.replicas[0];
        let all = |other: &Replica<Ratings>| {
            other.value_ts() == first.value_ts() && other.replica_ts() == first.replica_ts()
        };
        self.replicas.iter().all(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_replicas_become_even_and_every_record_is_counted() {
        let args = Args {
            cells: 500,
            records: 500,
            replicas: vec![2, 4],
            burst: 40,
        };
        let report = run(&args).expect("a report");
        assert!(report.records_per_second > 0.0);
        for spread in report.spread {
            assert!(spread.rounds >= 1 && spread.bytes_per_update > 0.0);
            assert!(spread.messages_per_update > 0.0);
        }
    }
}
