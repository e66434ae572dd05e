//! What goes wrong, and what an operator does about it.

use backfence_gossip::Timestamp;
use fixedbitset::FixedBitSet;

use crate::{
    Violation,
    node::Comeback,
    trace::Lane,
    world::{FrontEnd, World},
};

impl World<'_> {
    pub(crate) fn replace_front_end(&mut self, front_end: usize) {
        self.report.front_ends_lost += 1;
        let life = self.front_ends[front_end].life + 1;
        self.front_ends[front_end] = FrontEnd {
            life,
            ..FrontEnd::default()
        };
    }

    pub(crate) fn crash(&mut self, node: usize) {
        if self.nodes[node].replica.is_some() {
            self.report.crashed += 1;
            self.trace
                .note(self.steps, Lane::Replica(node), None, || "dies".to_owned());
            self.nodes[node].crash();
        }
    }

    pub(crate) fn restart(&mut self, node: usize) -> Result<(), Violation> {
        if self.nodes[node].replica.is_some() {
            return Ok(());
        }
        self.start(node, Comeback::Disk, self.next_program(node))
    }

    pub(crate) fn lose_disk(&mut self, node: usize, comeback: Comeback) -> Result<(), Violation> {
        self.report.disks_lost += 1;
        let held = self.nodes[node].holds();
        self.start(node, comeback, self.next_program(node))?;
        self.lose(held);
        let node = &self.nodes[node];
        if !node.retired {
            self.oracle.found(node.disk.indices.ones());
        }
        Ok(())
    }

    /// An operator tells `at` that a server will not come back, true or not.
    pub(crate) fn retire(&mut self, node: usize, at: usize) -> Result<(), Violation> {
        // Who would be left alone with a clock that is wrong could not tell.
        let is_done = self.nodes[node].retired || self.nodes[at].retired;
        if node == at || is_done || self.is_far() {
            return Ok(());
        }
        let server = self.nodes[node].id().server;
        if !self.nodes[at].retire(server) {
            return Ok(());
        }
        // The operator waits until it is on the disk.
        self.sync(at);
        self.nodes[node].retired = true;
        self.report.retired += 1;
        self.trace.note(self.steps, Lane::Replica(at), None, || {
            format!("retires server {server}")
        });
        self.lose(self.nodes[node].holds());
        self.answer_held(at)?;
        self.check(at)
    }

    /// What is on no disk of those who remain may be lost.
    fn lose(&mut self, (mut updates, records): (FixedBitSet, Timestamp)) {
        let mut left = Timestamp::new();
        for node in self.nodes.iter().filter(|node| !node.retired) {
            updates.difference_with(&node.disk.indices);
            left.merge(&node.disk.held());
        }
        self.oracle.lost(updates.ones(), &records, &left);
    }

    /// A server comes back, with the program of a version where its disk allows that.
    pub(crate) fn start(
        &mut self,
        node: usize,
        comeback: Comeback,
        version: u32,
    ) -> Result<(), Violation> {
        self.report.restarted += 1;
        let before = self.nodes[node].version();
        self.nodes[node].start(comeback, version);
        self.introduce(node);
        let id = self.nodes[node].id();
        self.trace.note(self.steps, Lane::Replica(node), None, || {
            format!("comes back as {id} with {comeback:?}")
        });
        self.note_program(node, before, version);
        self.check(node)
    }

    /// A replica that starts says who it is to those that it can reach, and hears from
    /// them who takes part.
    pub(crate) fn introduce(&mut self, node: usize) {
        let id = self.nodes[node].id();
        let mut heard = Vec::new();
        for other in 0..self.nodes.len() {
            if !self.cuts.contains(&(node, other))
                && !self.cuts.contains(&(other, node))
                && let Some(replica) = &mut self.nodes[other].replica
            {
                heard.extend(replica.members());
                replica.meet([id]);
                self.nodes[other].met();
            }
        }
        if let Some(replica) = &mut self.nodes[node].replica {
            replica.meet(heard);
            self.nodes[node].met();
        }
    }

    pub(crate) fn cut(&mut self, links: impl IntoIterator<Item = (usize, usize)>) {
        self.report.cuts += 1;
        self.cuts.extend(links);
    }
}
