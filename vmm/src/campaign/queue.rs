//! The order in which experiments are run: by what leads to their faults, and by the event at which these
//! strike, so that each goes on where the one before it began.

use super::plan::Plan;

/// Experiments that are put in order at once: a plan can have more of them than there is memory for.
const BATCH: usize = 1 << 14;

/// The numbers of the experiments that are still to be run, each once.
pub(super) struct Queue<'a, F> {
    plan: &'a Plan,
    is_wanted: F,
    /// The first that was not looked at.
    next: u64,
    /// The next ones, the last first.
    batch: Vec<u64>,
}

impl<'a, F: Fn(u64) -> bool> Queue<'a, F> {
    /// Those of the plan's experiments that are wanted.
    pub(super) fn new(plan: &'a Plan, is_wanted: F) -> Self {
        Self {
            plan,
            is_wanted,
            next: 0,
            batch: Vec::new(),
        }
    }

    fn fill(&mut self) {
        let mut batch = Vec::new();
        while batch.len() < BATCH && self.next < self.plan.len() {
            let id = self.next;
            self.next += 1;
            if !(self.is_wanted)(id) {
                continue;
            }
            let planned = self.plan.get(id);
            let (lead_in, event) = planned.map_or((Vec::new(), None), |planned| {
                (planned.lead_in(), planned.first_event())
            });
            batch.push((lead_in, event, id));
        }
        batch.sort_unstable();
        self.batch = batch.into_iter().rev().map(|(_, _, id)| id).collect();
    }
}

impl<F: Fn(u64) -> bool> Iterator for Queue<'_, F> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.batch.is_empty() {
            self.fill();
        }
        self.batch.pop()
    }
}
