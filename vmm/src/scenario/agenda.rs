//! What the host will do, by the event at which it will do it.

use crate::fault::{BitflipSpec, FaultSpec, HostFault};
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
    /// Do something to the machine itself.
    Host(HostFault),
    /// Make all audits, and again after twice as many events.
    Audit,
    /// Stand still: the next event is to be told from this one.
    Stand,
    /// Take the first of two moments.
    Since,
    /// End the run here.
    End,
}

impl Action {
    /// Place among the actions of one event; equal ones keep the order in which they were added.
    fn rank(&self) -> u8 {
        match self {
            Self::Arm(_) | Self::Observe(_) => 0,
            Self::Flip(_) | Self::Host(_) => 1,
            _ => 2,
        }
    }
}

/// Actions by event number; those of one event in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    actions: BTreeMap<u64, Vec<Action>>,
}

impl Agenda {
    /// Adds an action.
    pub(super) fn add(&mut self, event: u64, action: Action) {
        self.actions.entry(event).or_default().push(action);
    }

    /// Arms other faults in the place of those for which `instead` has one.
    pub(super) fn arm_instead(&mut self, mut instead: impl FnMut(&FaultSpec) -> Option<FaultSpec>) {
        for action in self.actions.values_mut().flatten() {
            if let Action::Arm(spec) = action
                && spec.is_held()
                && let Some(other) = instead(spec)
            {
                *spec = other;
            }
        }
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

    /// Takes all that is due at `event` or was before. Of one event, bits are turned over before everything but
    /// what lets requests fail, whenever they were added.
    pub(super) fn due(&mut self, event: u64) -> Vec<Action> {
        let later = event
            .checked_add(1)
            .map(|next| self.actions.split_off(&next));
        let due = std::mem::replace(&mut self.actions, later.unwrap_or_default());
        let in_order = due.into_values().flat_map(|mut actions| {
            actions.sort_by_key(Action::rank);
            actions
        });
        in_order.collect()
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

    #[test]
    fn a_bit_is_turned_over_before_what_was_added_before_it() {
        let mut agenda = Agenda::default();
        let flip = Action::Flip("bitflip,at=0x1000,bit=1".parse().unwrap());
        let arm = Action::Arm("failslab,nth=3".parse().unwrap());
        for action in [Action::Audit, flip.clone(), arm.clone(), Action::Sample] {
            agenda.add(7, action);
        }
        let expected = [arm, flip, Action::Audit, Action::Sample];
        assert_eq!(agenda.due(7), expected);
    }

    #[test]
    fn held_faults_give_way_and_others_stay() {
        let mut agenda = Agenda::default();
        let [counted, drawn] = ["failslab,nth=3", "failslab,probability=3"]
            .map(|text| text.parse::<FaultSpec>().unwrap());
        agenda.add(7, Action::Arm(counted.held()));
        agenda.add(9, Action::Arm(drawn.clone()));
        agenda.arm_instead(|_| Some(counted.clone()));
        let expected = [Action::Arm(counted), Action::Arm(drawn)];
        assert_eq!(agenda.due(9), expected);
    }
}
