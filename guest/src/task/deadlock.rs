//! All processes wait, and nothing will end that: the host is told who waits for what.

use super::{FutexKey, Task, Tasks, WaitFor};
use crate::root;
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{program::WaitReason, task::TaskState};

impl Tasks {
    /// Notes who waits for what.
    #[cold]
    pub(super) fn report_deadlock(&self) {
        let deadlock = &root::program().deadlock;
        let living = self
            .iter()
            .filter(|(_, task)| task.state() != TaskState::Zombie);
        let mut count = 0;
        for (_, task) in living {
            let (reason, detail) = task.waits_without_end();
            if let Some(waiter) = deadlock.waiters.get(count) {
                waiter.pid.store(task.pid().0, Relaxed);
                waiter.reason.store(reason as u32, Relaxed);
                waiter.detail.store(detail, Relaxed);
                for (to, byte) in waiter.comm.iter().zip(task.comm()) {
                    to.store(byte, Relaxed);
                }
            }
            count += 1;
        }
        deadlock.count.store(count as u32, Relaxed);
        log::error!("every process waits for another: all are killed");
    }
}

impl Task {
    /// What it waits for, if no time ends that, and the number that goes with it.
    fn waits_without_end(&self) -> (WaitReason, u64) {
        if self.state() == TaskState::Stopped {
            return (WaitReason::Stopped, 0);
        }
        match self.waits_for() {
            Some(WaitFor::Child) => (WaitReason::Child, 0),
            Some(WaitFor::Vfork(child)) => (WaitReason::Vfork, child.0.into()),
            Some(WaitFor::Futex { key, .. }) => {
                let (FutexKey::Private { address: at, .. } | FutexKey::Shared { offset: at, .. }) =
                    key;
                (WaitReason::Futex, at)
            }
            Some(WaitFor::File | WaitFor::Poll(_)) => (WaitReason::File, 0),
            Some(WaitFor::Signal | WaitFor::SignalOf(..) | WaitFor::Time(_)) | None => {
                (WaitReason::Signal, 0)
            }
        }
    }
}
