//! What happens in a run, as data.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// One thing that happens. Numbers are taken modulo what there is when it happens,
/// and a step that cannot happen then does nothing: so any part of a plan is a
/// plan, and a failing one can be made shorter by leaving steps out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are named after what they pick")]
pub enum Step {
    /// An idle session asks a replica for a cell, through a front end.
    Ask {
        session: u8,
        via: u8,
        to: u8,
        cell: u8,
    },
    /// An idle session sends a replica a write, through a front end.
    Write {
        session: u8,
        via: u8,
        to: u8,
        cell: u8,
    },
    /// An idle session makes another write with the id of one that it has made before, so many
    /// back, with the same time or not.
    Reuse {
        session: u8,
        via: u8,
        to: u8,
        cell: u8,
        back: u8,
        same_time: bool,
    },
    /// An idle session makes a write of which the number is so many powers of two ahead; with
    /// 0 one that fills a gap.
    Leap {
        session: u8,
        via: u8,
        to: u8,
        cell: u8,
        by: u8,
    },
    /// A session sends its open request once more, through any front end to any
    /// replica.
    Retry { session: u8, via: u8, to: u8 },
    /// A session gives its open request up; its packets travel on.
    GiveUp { session: u8 },
    /// An update that was given up is sent once more after all.
    LateRetry { session: u8, via: u8, to: u8 },
    /// A client starts anew, with another session that has seen nothing.
    NewSession { session: u8 },
    /// A front end dies and comes back: it knows nothing, and gets no reply to what
    /// was sent before.
    ReplaceFrontEnd { front_end: u8 },
    /// A packet arrives, whichever: the network reorders and delays.
    Deliver { packet: u16 },
    /// A packet is lost.
    Drop { packet: u16 },
    /// A packet will arrive twice.
    Duplicate { packet: u16 },
    /// A replica pushes to a peer.
    Push { from: u8, to: u8 },
    /// A replica pulls from a peer.
    Pull { from: u8, to: u8 },
    /// Queries at a replica stop waiting for what front ends merely hope for.
    Impatience { replica: u8 },
    /// What a replica with a slow disk has written reaches the disk.
    Sync { replica: u8 },
    /// A replica dies; what is not on its disk is gone.
    Crash { replica: u8 },
    /// A dead replica comes back with its disk, in a new incarnation.
    Restart { replica: u8 },
    /// A copy of a replica's disk is made.
    Backup { replica: u8 },
    /// A replica dies and comes back with the copy instead of its disk.
    Restore { replica: u8 },
    /// A replica dies and comes back with an empty disk.
    Wipe { replica: u8 },
    /// Packets from one replica to another are lost, until all is healed.
    Cut { from: u8, to: u8 },
    /// A replica is cut off from all others, both ways.
    Isolate { replica: u8 },
    /// No replica is cut off.
    Heal,
    /// A replica's clock is set apart from true time: it jumps.
    Skew { replica: u8, ms: i64 },
    /// Somebody who is no replica, or a replica that is broken, says something to this one
    /// that cannot be.
    Poison { replica: u8, how: u8 },
    /// A new, empty replica joins.
    Join,
    /// An operator retires a replica for good, dead or alive, by telling another.
    Retire { replica: u8, at: u8 },
    /// A server is stopped, and started with whichever program is there.
    Replace { replica: u8 },
}

/// The steps of a run, and what its replicas are like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// How many replicas there are at first.
    pub replicas: usize,
    /// How many there may come to be.
    pub most_replicas: usize,
    /// How many sessions there are.
    pub sessions: usize,
    /// How many front ends there are.
    pub front_ends: usize,
    /// One bit a replica: its disk syncs only at [`Step::Sync`].
    pub slow_disks: u8,
    /// The log budget, in bytes: small enough in some runs to need state transfer.
    pub log_bytes: usize,
    /// The limit of a message, in bytes.
    pub message_bytes: usize,
    /// How long ago an update may be dated, in milliseconds: in some runs so short that
    /// much of what is executed, and of what is deleted, is forgotten on the way.
    pub late_ms: u64,
    /// From what the version of each life's program is drawn, and which updates only the
    /// newer program understands. `None`: all programs are the older, and so are updates.
    pub versions: Option<u64>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed: the same for ever, for one version of the generator.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let replicas = rng.random_range(2..=5);
        let length = rng.random_range(800..=2000);
        let mut weather = Weather::draw(&mut rng);
        // By a generator of its own, so that earlier seeds keep their plans.
        weather.retire = *pick(&mut StdRng::seed_from_u64(!seed), &[0, 0, 0, 2]);
        let mut plan = Self {
            replicas,
            most_replicas: replicas + rng.random_range(0..=2),
            sessions: rng.random_range(2..=6),
            front_ends: rng.random_range(1..=3),
            slow_disks: *pick(&mut rng, &[0, 0b10, 0b101, 0xff]),
            log_bytes: *pick(&mut rng, &[600, 2_000, 1 << 20]),
            message_bytes: *pick(&mut rng, &[200, 1_000, 1 << 20]),
            late_ms: *pick(
                &mut StdRng::seed_from_u64(seed ^ u64::from(u32::MAX)),
                &[600_000, 600_000, 1_500, 300, 60],
            ),
            versions: None,
            steps: (0..length).map(|_| weather.step(&mut rng)).collect(),
        };
        plan.be_hostile(seed);
        plan.with_misuse(seed)
    }

    /// In some runs clients do not keep to what is asked of them. By a generator of its own, so
    /// that what else happens stays what it was.
    fn with_misuse(mut self, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed.rotate_left(32) ^ 0x1d);
        let most = *pick(&mut rng, &[0, 0, 10, 60]);
        for _ in 0..most {
            let at = rng.random_range(0..=self.steps.len());
            let (session, via, to) = (rng.random(), rng.random(), rng.random());
            let cell = rng.random_range(0..4);
            let reuse = Step::Reuse {
                session,
                via,
                to,
                cell,
                back: rng.random_range(0..16),
                same_time: rng.random(),
            };
            let leap = Step::Leap {
                session,
                via,
                to,
                cell,
                by: rng.random_range(0..8),
            };
            let step = if rng.random_range(0..3) < 2 {
                reuse
            } else {
                leap
            };
            self.steps.insert(at, step);
        }
        self
    }

    /// The same without what clients do that they are not to.
    #[must_use]
    pub fn without_misuse(mut self) -> Self {
        let is_fair = |step: &Step| !matches!(step, Step::Reuse { .. } | Step::Leap { .. });
        self.steps.retain(is_fair);
        self
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
    crash: u32,
    disk_loss: u32,
    front_end: u32,
    retire: u32,
}

impl Weather {
    fn draw(rng: &mut StdRng) -> Self {
        Self {
            drop: *pick(rng, &[0, 20, 80]),
            duplicate: *pick(rng, &[10, 40, 100]),
            cut: *pick(rng, &[0, 5, 15]),
            skew: *pick(rng, &[0, 5]),
            join: *pick(rng, &[0, 2]),
            gossip: *pick(rng, &[20, 60, 150]),
            crash: *pick(rng, &[0, 2, 8]),
            disk_loss: *pick(rng, &[0, 0, 0, 2]),
            front_end: *pick(rng, &[0, 4]),
            retire: 0,
        }
    }

    fn step(&self, rng: &mut StdRng) -> Step {
        let (from, to): (u8, u8) = (rng.random(), rng.random());
        let (session, via, replica) = (rng.random(), rng.random(), to);
        let (cell, packet, ms): (_, _, i16) = (
            rng.random_range(0..4),
            rng.random(),
            rng.random_range(-9000..9000),
        );
        // Two that are apart by more than 5 s are suspect, one of them.
        let ms = i64::from(ms) / 2;
        let choices = [
            (
                120,
                Step::Ask {
                    session,
                    via,
                    to,
                    cell,
                },
            ),
            (
                150,
                Step::Write {
                    session,
                    via,
                    to,
                    cell,
                },
            ),
            (90, Step::Retry { session, via, to }),
            (30, Step::GiveUp { session }),
            (15, Step::LateRetry { session, via, to }),
            (6, Step::NewSession { session }),
            (self.front_end, Step::ReplaceFrontEnd { front_end: via }),
            (700, Step::Deliver { packet }),
            (self.drop, Step::Drop { packet }),
            (self.duplicate, Step::Duplicate { packet }),
            (self.gossip, Step::Push { from, to }),
            (self.gossip, Step::Pull { from, to }),
            (60, Step::Impatience { replica }),
            (120, Step::Sync { replica }),
            (self.crash, Step::Crash { replica }),
            (self.crash * 8, Step::Restart { replica }),
            (self.disk_loss, Step::Backup { replica }),
            (self.disk_loss, Step::Restore { replica }),
            (self.disk_loss, Step::Wipe { replica }),
            (self.cut, Step::Cut { from, to }),
            (self.cut, Step::Isolate { replica }),
            (self.cut, Step::Heal),
            (self.skew, Step::Skew { replica, ms }),
            (self.join, Step::Join),
            (self.retire, Step::Retire { replica, at: from }),
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
