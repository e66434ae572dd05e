//! A space-time picture of a run, in text.

use std::fmt::Write as _;

/// Who has a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    Session(usize),
    Replica(usize),
}

/// What happened, if anyone wants to know.
pub(crate) struct Trace {
    events: Option<Vec<Event>>,
}

struct Event {
    step: usize,
    from: Lane,
    to: Option<Lane>,
    what: String,
}

impl Trace {
    pub(crate) const fn on() -> Self {
        Self {
            events: Some(Vec::new()),
        }
    }

    pub(crate) const fn off() -> Self {
        Self { events: None }
    }

    /// Notes that something happened at `from`, or went from there to `to`.
    pub(crate) fn note(
        &mut self,
        step: usize,
        from: Lane,
        to: Option<Lane>,
        what: impl FnOnce() -> String,
    ) {
        if let Some(events) = &mut self.events {
            let what = what();
            events.push(Event {
                step,
                from,
                to,
                what,
            });
        }
    }

    /// Draws a line for each event: `o` where it happened, `o-->` where it went.
    pub(crate) fn draw(&self, sessions: usize, replicas: usize) -> String {
        const WIDTH: usize = 4;
        let column = |lane| match lane {
            Lane::Session(number) => number * WIDTH,
            Lane::Replica(number) => (sessions + number) * WIDTH,
        };
        let names = (0..sessions).map(|number| format!("s{number}"));
        let names = names.chain((1..=replicas).map(|number| format!("r{number}")));
        let mut picture = format!("{:>6} ", "step");
        for name in names {
            write!(picture, "{name:<WIDTH$}").expect("a string takes everything");
        }
        picture.push('\n');
        for event in self.events.iter().flatten() {
            let mut lanes: Vec<char> = "|   ".repeat(sessions + replicas).chars().collect();
            let from = column(event.from);
            lanes[from] = 'o';
            if let Some(to) = event.to.map(column) {
                for lane in &mut lanes[from.min(to) + 1..from.max(to)] {
                    *lane = '-';
                }
                lanes[to] = if to > from { '>' } else { '<' };
            }
            let lanes: String = lanes.into_iter().collect();
            writeln!(picture, "{:>6} {lanes}{}", event.step, event.what)
                .expect("a string takes everything");
        }
        picture
    }
}
