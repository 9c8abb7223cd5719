//! The end of those whom the OOM killer has chosen.

use super::{Pid, Task, Tasks, WaitFor};
use crate::{oom, signal};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general::SIGKILL;

impl Tasks {
    /// Kills the tasks whose memory the OOM killer has taken, and those who lent it to them. Called
    /// where no task is in the middle of anything.
    #[inline]
    pub(super) fn kill_oom_victims(&mut self) {
        if oom::take_pending() {
            self.kill_all_oom_victims();
        }
    }

    #[cold]
    fn kill_all_oom_victims(&mut self) {
        for (_, task) in self.iter_mut() {
            if task.is_oom_victim() {
                signal::send_kill(task);
            }
        }
        let is_lender = |tasks: &Self, task: &Task| match task.waits_for() {
            Some(WaitFor::Vfork(child)) if !task.signals.pending().contains(SIGKILL) => {
                let child = tasks.find(child).map(|child| tasks.get(child));
                child.is_some_and(|child| {
                    child.lender() == Some(task.pid()) && child.is_oom_victim()
                })
            }
            _ => false,
        };
        while let Some(slot) = self.first(|task| is_lender(self, task)) {
            signal::send_kill(self.get_mut(slot));
        }
    }
}

impl Task {
    fn is_oom_victim(&self) -> bool {
        let space = self.space.as_ref();
        space.is_some_and(super::Space::is_oom_victim)
    }

    /// In whose memory it runs, between vfork and execve.
    pub(super) fn lender(&self) -> Option<Pid> {
        let pid = self.shared.lender.load(Relaxed);
        (pid != 0).then_some(Pid(pid))
    }
}
