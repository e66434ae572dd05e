//! A run from its first step to rest.

use std::time::Duration;

use crate::{
    Violation,
    node::Node,
    oracle::Verdict,
    plan::Plan,
    report::Report,
    trace::Trace,
    world::{START, STEP, World},
};

/// Rounds without faults in which everything has to come to rest. A round moves one
/// message each way, and a message may hold as little as one record.
const ROUNDS: usize = 400;
/// True time that passes in such a round, in steps: no clock stays behind.
const ROUND: u32 = 5_000;

/// Runs a plan, and checks I1 to I7 on the way and at its end.
///
/// # Errors
///
/// The first [`Violation`].
pub fn run(plan: &Plan) -> Result<Report, Violation> {
    play(plan, Trace::off()).0
}

/// The same, and what happened in a picture: time runs downwards, each session and
/// each replica has a column.
pub fn picture(plan: &Plan) -> (Result<Report, Violation>, String) {
    let (result, trace) = play(plan, Trace::on());
    (result, trace.draw(plan.sessions, plan.most_replicas))
}

fn play(plan: &Plan, trace: Trace) -> (Result<Report, Violation>, Trace) {
    let mut world = World::new(plan, trace);
    world.report.steps = plan.steps.len();
    let mut played = plan.steps.iter().try_for_each(|step| world.step(*step));
    if played.is_ok() {
        played = world.rest();
    }
    (played.map(|()| world.report), world.trace)
}

impl World<'_> {
    /// Ends all faults, lets every request be answered and gossip flow, and demands
    /// that everything comes to rest.
    fn rest(&mut self) -> Result<(), Violation> {
        self.calm = true;
        self.cuts.clear();
        for node in 0..self.nodes.len() {
            self.nodes[node].skew = 0;
            if self.nodes[node].retired {
                self.nodes[node].crash();
            } else {
                self.restart(node)?;
            }
        }
        self.retire_again();
        let mut verdict = Ok(());
        for round in 0..ROUNDS {
            self.round(round)?;
            // Where nobody remains that one could join by, the operator has to say so,
            // when all have come back.
            if round == 2 && !self.replicas().iter().any(|replica| replica.has_joined()) {
                self.nodes.iter_mut().for_each(Node::found);
            }
            verdict = self.at_rest();
            if verdict.is_ok() {
                self.report.rounds = round + 1;
                self.report.acknowledged = self.oracle.acknowledgements();
                let first = self.replicas()[0];
                self.report.folded = first.replica_ts().folds().count();
                return Ok(());
            }
        }
        self.judge(verdict)
    }

    /// The disk that knew of a retirement may have been lost: the operator sees that the
    /// server is listed still, and retires it once more.
    fn retire_again(&mut self) {
        let retired = |node: &&Node| node.retired;
        let servers: Vec<_> = self
            .nodes
            .iter()
            .filter(retired)
            .map(|node| node.id().server)
            .collect();
        for node in self.nodes.iter_mut().filter(|node| !node.retired) {
            for &server in &servers {
                node.retire(server);
            }
        }
    }

    fn round(&mut self, round: usize) -> Result<(), Violation> {
        self.steps += ROUND as usize;
        self.upgrade_where_needed()?;
        let (nodes, front_ends) = (self.nodes.len(), self.front_ends.len());
        for client in 0..self.clients.len() {
            let turn = client + round;
            self.retry(client, turn % front_ends, turn % nodes);
        }
        for from in 0..nodes {
            for to in 0..nodes {
                self.pull(from, to);
            }
            self.lose_patience(from)?;
        }
        while !self.packets.is_empty() {
            let packet = self.packets.remove(0);
            self.report.steps += 1;
            self.deliver(packet)?;
        }
        Ok(())
    }

    fn at_rest(&self) -> Verdict {
        let replicas = self.replicas();
        self.oracle.check_rest(&replicas)?;
        if Duration::from_millis(self.plan.late_ms) < STEP * ROUND {
            let now = START.after(self.elapsed());
            self.oracle.check_settled(&replicas, now)?;
        }
        self.check_clocks()?;
        match self.clients.iter().position(|client| client.open.is_some()) {
            Some(number) => Err((
                "I4",
                format!("a request of session {number} is never answered"),
            )),
            None => Ok(()),
        }
    }
}
