//! The configurations that are checked.

use crate::setup::{Disk, Setup};

/// Log bytes for less than one record, so that every record is discarded as soon as
/// it is applied.
const TINY: usize = 90;

impl Setup {
    /// Those that take seconds: the tests check them.
    pub fn small() -> Vec<Self> {
        vec![
            Self {
                pulls_and_pushes: true,
                ..Self::new("pair", 2, &["w", "rw"])
            },
            Self {
                pulls_and_pushes: true,
                copies: 1,
                in_flight: 1,
                ..Self::new("pair-retries", 2, &["w", "rw"])
            },
            Self {
                crashes: 1,
                copies: 1,
                in_flight: 1,
                disk: Disk::Lagging,
                ..Self::new("pair-crash", 2, &["w", "rw"])
            },
            Self {
                crashes: 1,
                same_id: true,
                copies: 1,
                in_flight: 1,
                disk: Disk::Lagging,
                ..Self::new("pair-crash-same-id", 2, &["w", "rw"])
            },
            Self {
                log_bytes: TINY,
                pulls_and_pushes: true,
                copies: 1,
                ..Self::new("pair-discard", 2, &["w", "rw"])
            },
            Self {
                log_bytes: TINY,
                pulls_and_pushes: true,
                met: false,
                crashes: 1,
                in_flight: 1,
                ..Self::new("pair-strangers", 2, &["w", "rw"])
            },
            Self::new("trio-roaming", 3, &["wrw"]),
            Self {
                in_flight: 1,
                ..Self::new("trio-one", 3, &["w", "rw"])
            },
            Self {
                log_bytes: TINY,
                in_flight: 1,
                ..Self::new("trio-discard", 3, &["ww"])
            },
            Self {
                newcomers: 1,
                in_flight: 1,
                ..Self::new("trio-newcomer", 3, &["wr"])
            },
            Self {
                in_flight: 1,
                ..Self::new("three-updates", 2, &["w", "rw", "rw"])
            },
        ]
    }

    /// Those that take minutes.
    pub fn large() -> Vec<Self> {
        vec![
            Self::new("trio", 3, &["w", "rw"]),
            Self {
                log_bytes: TINY,
                in_flight: 1,
                copies: 1,
                ..Self::new("trio-discard-retries", 3, &["ww"])
            },
            Self {
                crashes: 1,
                in_flight: 1,
                forget_idle: true,
                ..Self::new("trio-crash", 3, &["ww"])
            },
            Self {
                copies: 1,
                in_flight: 1,
                forget_idle: true,
                ..Self::new("trio-retries", 3, &["w", "rw"])
            },
            Self {
                crashes: 1,
                copies: 1,
                disk: Disk::Lagging,
                pulls_and_pushes: true,
                depth: Some(9),
                ..Self::new("trio-all", 3, &["w", "rw"])
            },
            Self {
                log_bytes: TINY,
                in_flight: 1,
                crashes: 1,
                copies: 1,
                disk: Disk::Lagging,
                met: false,
                ..Self::new("pair-discard-all", 2, &["w", "rw"])
            },
            Self {
                log_bytes: TINY,
                copies: 1,
                depth: Some(7),
                ..Self::new("three-updates-discard", 3, &["w", "rw", "rw"])
            },
            Self {
                crashes: 1,
                copies: 1,
                depth: Some(7),
                ..Self::new("three-updates-all", 3, &["ww", "rw"])
            },
        ]
    }
}
