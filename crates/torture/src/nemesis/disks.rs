//! Disks that are lost, and old copies of them that come back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use backfence_client::Timestamp;
use backfence_cluster::{Backup, Role};
use rand::RngExt as _;

use super::{Harm, Nemesis};
use crate::probe;

/// How long servers may take to have what one of them is about to lose.
const HANDED_OVER: Duration = Duration::from_secs(4);
/// How long a server may take to have everything again.
const FILLED: Duration = Duration::from_secs(30);
/// How long it is looked at before another fault may come.
const LOOK: Duration = Duration::from_secs(2);
/// Copies of directories that are kept, at most.
const COPIES: usize = 8;

impl Nemesis {
    /// Sometimes copies the directory of one that was killed.
    pub(super) fn copy_some(&mut self, harmed: &[(Role, Harm)]) -> anyhow::Result<()> {
        if !self.plan.disks {
            return Ok(());
        }
        for &(role, harm) in harmed {
            let (Role::Replica(replica), Harm::Kill) = (role, harm) else {
                continue;
            };
            let has = self.copies.iter().any(|(other, _)| *other == replica);
            let drawn = self.random.random_range(0..8) == 0;
            if self.copies.len() < COPIES && (!has || drawn) {
                let copy = self.cluster.back_up(replica)?;
                self.copies.push((replica, copy));
            }
        }
        Ok(())
    }

    /// Stops a replica, and starts it with an old disk or an empty one, if all others have
    /// all that any session has seen on theirs: else that would be lost, as it may.
    pub(super) fn replace_disk(&mut self, old: Option<Backup>) -> anyhow::Result<Option<bool>> {
        let drawn = self.random.random_range(1..=self.plan.replicas);
        let replica = old.as_ref().map_or(drawn, Backup::replica);
        let role = Role::Replica(replica);
        self.begins();
        let code = self.cluster.terminate(role)?;
        ensure!(
            code == Some(0),
            "{role} was asked to end, and ended with {code:?}"
        );
        let others: Vec<_> = (1..=self.plan.replicas)
            .filter(|&other| other != replica)
            .collect();
        let shared = Arc::clone(&self.shared);
        let seen = self.runtime.block_on(async {
            // Nobody has a request in work, so all that was told is noted.
            let _nobody = shared.at_work.write().await;
            shared.seen()
        });
        let have = probe::have(&self.client, &others, &seen, HANDED_OVER);
        let handed_over = self.runtime.block_on(have);
        if handed_over {
            match &old {
                Some(old) => self.cluster.restore(old)?,
                None => self.cluster.wipe(replica)?,
            }
        }
        self.keep_on()?;
        self.draw_version(role);
        self.cluster.restart(role)?;
        if !handed_over {
            return Ok(None);
        }
        self.fill(replica, &seen)?;
        Ok(Some(true))
    }

    /// Waits until a replica has everything again.
    fn fill(&mut self, replica: u32, all: &Timestamp) -> anyhow::Result<()> {
        let deadline = Instant::now() + FILLED;
        while !self.shared.is_over() {
            let itself = [replica];
            let filled = probe::have(&self.client, &itself, all, LOOK);
            if self.runtime.block_on(filled) {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "server {replica} did not get what its disk had lost within {FILLED:?}"
            );
            self.keep_on()?;
        }
        Ok(())
    }
}
