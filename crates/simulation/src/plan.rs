//! What happens in a run, as data.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// One thing that happens. Numbers are taken modulo what there is when it happens,
/// and a step that cannot happen then does nothing: so any part of a plan is a
/// plan, and a failing one can be made shorter by leaving steps out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are named after what they pick")]
pub enum Step {
    /// An idle session asks a replica for a cell.
    Ask { session: u8, replica: u8, cell: u8 },
    /// An idle session sends a replica a write.
    Write { session: u8, replica: u8, cell: u8 },
    /// A session sends its open request once more, to any replica.
    Retry { session: u8, replica: u8 },
    /// A session gives its open request up; its packets travel on.
    GiveUp { session: u8 },
    /// A packet arrives, whichever: the network reorders.
    Deliver { packet: u16 },
    /// A packet is lost.
    Drop { packet: u16 },
    /// A packet will arrive twice.
    Duplicate { packet: u16 },
    /// A replica pushes to a peer.
    Push { replica: u8, peer: u8 },
    /// A replica pulls from a peer.
    Pull { replica: u8, peer: u8 },
    /// Packets from one replica to another are lost, until all is healed.
    Cut { from: u8, to: u8 },
    /// A replica is cut off from all others, both ways.
    Isolate { replica: u8 },
    /// No replica is cut off.
    Heal,
    /// A replica's clock is set apart from true time.
    Skew { replica: u8, ms: i16 },
    /// A new, empty replica joins.
    Join,
}

/// The steps of a run, and the limits that its replicas have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// How many replicas there are at first.
    pub replicas: usize,
    /// How many there may come to be.
    pub most_replicas: usize,
    /// How many sessions there are.
    pub sessions: usize,
    /// The log budget, in bytes: small enough in some runs to need state transfer.
    pub log_bytes: usize,
    /// The limit of a message, in bytes.
    pub message_bytes: usize,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed: the same for ever, for one version of the generator.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let replicas = rng.random_range(2..=5);
        let length = rng.random_range(600..=1600);
        let weather = Weather::draw(&mut rng);
        Self {
            replicas,
            most_replicas: replicas + rng.random_range(0..=2),
            sessions: rng.random_range(2..=6),
            log_bytes: *pick(&mut rng, &[600, 2_000, 1 << 20]),
            message_bytes: *pick(&mut rng, &[200, 1_000, 1 << 20]),
            steps: (0..length).map(|_| weather.step(&mut rng)).collect(),
        }
    }
}

/// How likely each fault is in a run: runs differ in what they are hard on.
struct Weather {
    drop: u32,
    duplicate: u32,
    cut: u32,
    skew: u32,
    join: u32,
    gossip: u32,
}

impl Weather {
    fn draw(rng: &mut StdRng) -> Self {
        Self {
            drop: *pick(rng, &[0, 20, 80]),
            duplicate: *pick(rng, &[10, 40, 100]),
            cut: *pick(rng, &[0, 5, 15]),
            skew: *pick(rng, &[0, 5]),
            join: *pick(rng, &[0, 2]),
            gossip: *pick(rng, &[40, 120, 300]),
        }
    }

    fn step(&self, rng: &mut StdRng) -> Step {
        let (session, replica, peer) = (rng.random(), rng.random(), rng.random());
        let (cell, packet) = (rng.random_range(0..4), rng.random());
        let choices = [
            (
                120,
                Step::Ask {
                    session,
                    replica,
                    cell,
                },
            ),
            (
                150,
                Step::Write {
                    session,
                    replica,
                    cell,
                },
            ),
            (60, Step::Retry { session, replica }),
            (15, Step::GiveUp { session }),
            (550, Step::Deliver { packet }),
            (self.drop, Step::Drop { packet }),
            (self.duplicate, Step::Duplicate { packet }),
            (self.gossip, Step::Push { replica, peer }),
            (self.gossip, Step::Pull { replica, peer }),
            (
                self.cut,
                Step::Cut {
                    from: replica,
                    to: peer,
                },
            ),
            (self.cut, Step::Isolate { replica }),
            (self.cut, Step::Heal),
            (
                self.skew,
                Step::Skew {
                    replica,
                    ms: rng.random_range(-9000..9000),
                },
            ),
            (self.join, Step::Join),
        ];
        let total = choices.iter().map(|choice| choice.0).sum();
        let mut drawn = rng.random_range(0..total);
        for (weight, step) in choices {
            if drawn < weight {
                return step;
            }
            drawn -= weight;
        }
        unreachable!("the weights add up to the total")
    }
}

fn pick<'a, T>(rng: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}
