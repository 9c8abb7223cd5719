//! What the host will do, by the event at which it will do it.

use crate::fault::{BitflipSpec, FaultSpec};
use std::collections::BTreeMap;

/// One act upon the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask the balloon for this many bytes.
    Balloon(u64),
    /// The last step of the pressure profile is done.
    PressureOver,
    /// Note requested beside achieved.
    Sample,
    /// Let allocations fail.
    Arm(FaultSpec),
    /// Show each candidate.
    Observe(FaultSpec),
    /// Give the run up.
    Limit,
    /// Turn a bit over.
    Flip(BitflipSpec),
    /// Make all audits, and again after twice as many events.
    Audit,
    /// Stand still: the next event is to be told from this one.
    Stand,
    /// Take the first of two moments.
    Since,
    /// End the run here.
    End,
}

/// Actions by event number; those of one event in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    actions: BTreeMap<u64, Vec<Action>>,
}

impl Agenda {
    /// Adds an action.
    pub(super) fn add(&mut self, event: u64, action: Action) {
        self.actions.entry(event).or_default().push(action);
    }

    /// The event of the first action that does something to the guest.
    pub(super) fn first_act(&self) -> Option<u64> {
        let harmless = [
            Action::Audit,
            Action::Stand,
            Action::Since,
            Action::End,
            Action::Limit,
        ];
        let mut events = self.actions.iter();
        events.find_map(|(event, actions)| {
            let acts = actions.iter().any(|action| !harmless.contains(action));
            acts.then_some(*event)
        })
    }

    /// The event at which the guest must stop next.
    pub(super) fn next(&self) -> Option<u64> {
        self.actions.keys().next().copied()
    }

    /// Takes all that is due at `event` or was before.
    pub(super) fn due(&mut self, event: u64) -> Vec<Action> {
        let later = event
            .checked_add(1)
            .map(|next| self.actions.split_off(&next));
        let due = std::mem::replace(&mut self.actions, later.unwrap_or_default());
        due.into_values().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_due_in_order() {
        let mut agenda = Agenda::default();
        agenda.add(20, Action::End);
        agenda.add(10, Action::Balloon(1));
        agenda.add(10, Action::Sample);
        agenda.add(5, Action::PressureOver);
        assert_eq!(agenda.next(), Some(5));
        assert_eq!(
            agenda.due(10),
            [Action::PressureOver, Action::Balloon(1), Action::Sample]
        );
        assert_eq!(agenda.next(), Some(20));
        assert_eq!(agenda.due(u64::MAX), [Action::End]);
        assert_eq!(agenda.next(), None);
    }
}
