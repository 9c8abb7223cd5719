//! The audits of a program while it runs.

use super::Run;
use crate::{
    scenario::{RunError, agenda::Action},
    trace::Mark,
};
use pagelab_abi::{event::EventKind, root::Root};
use std::sync::atomic::Ordering::Relaxed;

/// Events from the end of boot to the first audit of a program that runs. Each later one comes after
/// twice as many, so that their number grows with the logarithm of the run, unless the user says otherwise.
pub(super) const FIRST_AUDIT: u64 = 64;

impl Run<'_, '_> {
    /// Whether the event of now is a system call, if the guest stood at the event before as well.
    pub(super) fn is_call(&mut self, root: &Root, now: u64) -> bool {
        let calls = root.clock.by_kind[EventKind::Syscall as usize - 1].load(Relaxed);
        let before = self.calls_before.replace((now, calls));
        before.is_some_and(|(event, count)| event.checked_add(1) == Some(now) && count < calls)
    }

    /// Makes all audits if the event of now is a system call, and otherwise goes on to the next
    /// event: between two operations more can be said than within one.
    pub(super) fn audit(&mut self, now: u64, is_call: bool) -> Result<(), RunError> {
        if !is_call {
            self.agenda.add(now.saturating_add(1), Action::Audit);
            return Ok(());
        }
        let before = self.observer.audits.len();
        self.observer.at_event(self.machine, now);
        let made = self.observer.audits.iter().skip(before);
        let violated = made.filter(|audit| !audit.result.held()).count();
        self.recorder.mark(now, &Mark::Audit { violated })?;
        let ready = self.observer.boot.events;
        let next = match self.config.audit_every {
            Some(events) => now.saturating_add(events.get()),
            None => ready
                .saturating_add(now.saturating_sub(ready).saturating_mul(2))
                .max(now.saturating_add(FIRST_AUDIT)),
        };
        self.agenda.add(next, Action::Audit);
        Ok(())
    }
}
