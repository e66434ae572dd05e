//! The language of the scenarios.
//!
//! ```text
//! replica 1                  a replica; 1.2 is server 1 in incarnation 2
//! log 200                    the log budget of replicas that follow, in bytes
//! S write CELL TEXT at 1     session S writes; "lost" at the end: the reply is lost
//! S delete CELL at 1
//! S retry at 2               the last update once more, elsewhere
//! S read CELL at 2
//! S time +9000               the session's clock goes ahead, in milliseconds
//! S claims 1 99              the session claims to have seen update 99 of replica 1
//! push 1 2                   replica 1 pushes to 2, which reports back
//! pull 1 2                   replica 1 reports to 2, which sends what 1 lacks
//! send 1 2 NAME              as push, but the message is kept
//! deliver NAME               ... until here; it can be delivered again
//! meet 1 2 3                 replica 1 hears of 2 and 3 when it starts
//! found 1                    others can join by replica 1
//! show 1
//! ```

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use backfence_gossip::{
    Digest, HybridClock, Limits, Message, Replica, ReplicaId, Scope, Session, SessionId, Time,
    Timestamp, Update, UpdateId, Value,
};

/// Cells with the last write, and how often each update took effect.
#[derive(Clone, PartialEq, Debug, Default)]
struct Cells {
    cells: BTreeMap<String, (Time, UpdateId, Option<String>)>,
    effects: BTreeMap<UpdateId, u32>,
}

impl Value for Cells {
    type Operation = (String, Option<String>);

    fn apply(&mut self, update: &Update<Self::Operation>) {
        let (cell, text) = update.operation.clone();
        *self.effects.entry(update.id).or_default() += 1;
        self.write(cell, (update.time, update.id, text));
    }

    fn merge(&mut self, other: Self) {
        for (cell, written) in other.cells {
            self.write(cell, written);
        }
        for (id, times) in other.effects {
            let effects = self.effects.entry(id).or_default();
            *effects = times.max(*effects);
        }
    }

    fn size(_: &Self::Operation) -> usize {
        10
    }

    fn digest(update: &Update<Self::Operation>) -> Digest {
        let (cell, text) = &update.operation;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&update.time.0.to_be_bytes());
        let letters = cell
            .bytes()
            .chain(text.iter().flat_map(|text| text.bytes()));
        for (at, letter) in letters.enumerate() {
            bytes[8 + at % 8] = bytes[8 + at % 8].rotate_left(1) ^ letter;
        }
        Digest(bytes)
    }
}

impl Cells {
    fn write(&mut self, cell: String, written: (Time, UpdateId, Option<String>)) {
        let last = self.cells.entry(cell).or_insert_with(|| written.clone());
        if (written.0, written.1) > (last.0, last.1) {
            *last = written;
        }
    }
}

struct Client {
    session: Session,
    clock: HybridClock,
    ahead: Duration,
    last: Option<Update<(String, Option<String>)>>,
    sequence: u64,
}

#[derive(Default)]
struct Stage {
    replicas: BTreeMap<String, Replica<Cells>>,
    clients: BTreeMap<String, Client>,
    messages: BTreeMap<String, (String, Message<Cells>)>,
    log_bytes: Option<usize>,
    millis: u64,
}

/// Plays a script; gives it with its trace.
pub(crate) fn play(script: &str) -> String {
    let mut stage = Stage::default();
    let mut played = String::new();
    for line in script.lines().filter(|line| !line.starts_with(' ')) {
        writeln!(played, "{line}").expect("a string takes everything");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        stage.millis += 1;
        let words: Vec<_> = line.split_whitespace().collect();
        for line in stage.command(&words).lines() {
            writeln!(played, "    {line}").expect("a string takes everything");
        }
    }
    played
}

impl Stage {
    fn command(&mut self, words: &[&str]) -> String {
        match words {
            ["replica", name] => self.add(name),
            ["log", bytes] => {
                self.log_bytes = Some(bytes.parse().expect("a number of bytes"));
                String::new()
            }
            ["push", from, to] => {
                let message = self.message(from, to);
                self.deliver(to, message) + &self.report(to, from)
            }
            ["pull", to, from] => {
                let report = Message::Offer(self.replicas[*to].report());
                self.deliver(from, report);
                let message = self.message(from, to);
                self.deliver(to, message)
            }
            ["send", from, to, name] => {
                let message = self.message(from, to);
                let described = describe(&message);
                let kept = ((*to).to_owned(), message);
                self.messages.insert((*name).to_owned(), kept);
                described
            }
            ["deliver", name] => {
                let (to, message) = self.messages[*name].clone();
                self.deliver(&to, message)
            }
            ["meet", name, others @ ..] => {
                let replica = self.replicas.get_mut(*name).expect(name);
                replica.meet(others.iter().copied().map(id));
                String::new()
            }
            ["found", name] => {
                self.replicas.get_mut(*name).expect(name).found();
                String::new()
            }
            ["show", name] => self.show(name),
            [session, rest @ ..] => self.client_command(session, rest),
            [] => unreachable!("blank lines are skipped"),
        }
    }

    fn client_command(&mut self, name: &str, words: &[&str]) -> String {
        let number = self.clients.len() as u128 + 1;
        let client = self.clients.entry(name.to_owned()).or_insert(Client {
            session: Session::new(SessionId(number)),
            clock: HybridClock::default(),
            ahead: Duration::ZERO,
            last: None,
            sequence: 0,
        });
        match words {
            ["write", cell, text, "at", at, lost @ ..] => {
                client.make(cell, Some(text), self.millis);
                self.send(name, at, lost.is_empty())
            }
            ["delete", cell, "at", at] => {
                client.make(cell, None, self.millis);
                self.send(name, at, true)
            }
            ["retry", "at", at] => self.send(name, at, true),
            ["retry", "as", text, "at", at] => {
                let last = client.last.as_mut().expect("there was an update");
                last.operation.1 = Some((*text).to_owned());
                self.send(name, at, true)
            }
            ["read", cell, "at", at] => self.read(name, cell, at),
            ["time", ahead] => {
                let millis = ahead.trim_start_matches('+').parse().expect("milliseconds");
                client.ahead = Duration::from_millis(millis);
                String::new()
            }
            ["claims", replica, count] => {
                let count = count.parse().expect("a number");
                client.session.prev.set(id(replica), count);
                String::new()
            }
            _ => panic!("no such command: {name} {words:?}"),
        }
    }

    fn now(&self) -> Time {
        Time(self.millis * 1000)
    }

    fn add(&mut self, name: &str) -> String {
        let limits = Limits {
            log_bytes: self.log_bytes.unwrap_or(1 << 20),
            ..Limits::default()
        };
        let mut replica = Replica::new(id(name), Cells::default(), limits);
        replica.found();
        self.replicas.insert(name.to_owned(), replica);
        String::new()
    }

    fn send(&mut self, name: &str, at: &str, arrives: bool) -> String {
        let now = self.now();
        let client = self.clients.get_mut(name).expect("it was just used");
        let update = client.last.clone().expect("there was an update");
        let replica = self.replicas.get_mut(at).expect(at);
        match replica.update(update, now) {
            Ok(accepted) => {
                if arrives {
                    client.observe(&accepted.ts, (accepted.clock, now), self.millis);
                }
                let again = if accepted.number.is_none() {
                    " again"
                } else {
                    ""
                };
                format!("accepted{again} {}", short(&accepted.ts))
            }
            Err(refusal) => format!("refused: {refusal}"),
        }
    }

    fn read(&mut self, name: &str, cell: &str, at: &str) -> String {
        let client = self.clients.get_mut(name).expect("it was just used");
        let replica = &self.replicas[at];
        match replica.query(&client.session.prev, Time(self.millis * 1000)) {
            Ok(Some(view)) => {
                let text = view
                    .value
                    .cells
                    .get(cell)
                    .and_then(|last| last.2.as_deref());
                client.observe(view.ts, (view.clock, Time(self.millis * 1000)), self.millis);
                let told = match client.session.lose(&view.lost) {
                    true => ", a past is lost",
                    false => "",
                };
                format!("{} {}{told}", text.unwrap_or("nothing"), short(view.ts))
            }
            Ok(None) => {
                let missing = replica.missing(&client.session.prev);
                let sources = replica.sources(&client.session.prev);
                format!("waits for {}, to be had from {sources:?}", short(&missing))
            }
            Err(refusal) => format!("refused: {refusal}"),
        }
    }

    fn message(&self, from: &str, to: &str) -> Message<Cells> {
        self.replicas[from].message(id(to), Scope::All)
    }

    fn deliver(&mut self, to: &str, message: Message<Cells>) -> String {
        let described = describe(&message);
        let now = self.now();
        let replica = self.replicas.get_mut(to).expect(to);
        let received = replica.receive(message, now).expect("a state that can be");
        let numbers: Vec<_> = received
            .accepted
            .iter()
            .map(|(origin, numbers)| format!("{}:{numbers:?}", name(*origin)))
            .collect();
        let ignored = match received.ignored {
            _ if received.retired => ", for the sender is retired".to_owned(),
            0 => String::new(),
            count => format!(", ignores {count}"),
        };
        format!(
            "{described}\n{to} accepts [{}]{ignored}\n",
            numbers.join(" ")
        )
    }

    fn report(&mut self, from: &str, to: &str) -> String {
        let report = Message::Offer(self.replicas[from].report());
        let now = self.now();
        let replica = self.replicas.get_mut(to).expect(to);
        let _ = replica.receive(report, now).expect("a report");
        String::new()
    }

    fn show(&self, at: &str) -> String {
        let replica = &self.replicas[at];
        let cells: Vec<_> = replica
            .value()
            .cells
            .iter()
            .map(|(cell, last)| format!("{cell}={}", last.2.as_deref().unwrap_or("nothing")))
            .collect();
        let twice = replica.value().effects.values().any(|times| *times != 1);
        assert!(!twice, "an update took effect more than once");
        format!(
            "[{}] value_ts {} replica_ts {} log {} waiting {}",
            cells.join(" "),
            short(replica.value_ts()),
            short(replica.replica_ts()),
            replica.log_len(),
            replica.waiting_len()
        )
    }
}

impl Client {
    fn make(&mut self, cell: &str, text: Option<&str>, millis: u64) {
        self.sequence += 1;
        self.last = Some(Update {
            id: UpdateId::new(self.session.id, self.sequence),
            prev: self.session.prev.clone(),
            time: self.clock.tick(Duration::from_millis(millis) + self.ahead),
            operation: (cell.to_owned(), text.map(str::to_owned)),
        });
    }

    fn observe(&mut self, ts: &Timestamp, (clock, now): (Time, Time), millis: u64) {
        self.session.observe(ts, clock);
        self.clock
            .observe(clock, now, Duration::from_millis(millis) + self.ahead);
    }
}

fn describe(message: &Message<Cells>) -> String {
    match message {
        Message::Offer(offer) => {
            let records: Vec<_> = offer
                .records
                .iter()
                .map(|record| format!("{}:{}", name(record.origin()), record.number()))
                .collect();
            format!("records [{}]", records.join(" "))
        }
        Message::State(state) => format!("state {}", short(&state.value_ts)),
    }
}

fn id(name: &str) -> ReplicaId {
    let (server, incarnation) = name.split_once('.').unwrap_or((name, "1"));
    let number = |text: &str| text.parse().expect("a number");
    ReplicaId::new(number(server) as u32, number(incarnation))
}

fn name(id: ReplicaId) -> String {
    match id.incarnation {
        1 => id.server.to_string(),
        incarnation => format!("{}.{incarnation}", id.server),
    }
}

fn short(ts: &Timestamp) -> String {
    let entries: Vec<_> = ts
        .iter()
        .map(|(id, count)| match count {
            Timestamp::ALL => format!("..{}:all", name(id)),
            _ => format!("{}:{count}", name(id)),
        })
        .collect();
    format!("{{{}}}", entries.join(" "))
}
