//! The end of a process.

use super::{Pid, Slot, Task, Tasks, WaitFor};
use crate::{memory::mm, signal};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::task::TaskState;

impl Tasks {
    /// Ends a process with a wait status. Everything it held goes back; what is left is a zombie,
    /// or nothing if nobody will ask.
    pub(crate) fn exit(&mut self, slot: Slot, status: u32) {
        if self.loaded == Some(slot) {
            self.forget_loaded();
        }
        self.release_robust_futexes(slot);
        self.clear_child_tid(slot);
        let task = self.get_mut(slot);
        task.keep_max_rss();
        let (pid, parent) = (task.pid(), task.ppid());
        task.files = None;
        task.waits_for = None;
        task.restart = None;
        self.release_space(slot);
        self.tell_bad_entries(pid);
        let task = self.get_mut(slot);
        task.shared.exit_code.store(status, Relaxed);
        task.set_state(TaskState::Zombie);
        self.find_next_timer();
        self.wake_file_waiters();
        self.orphan_children(pid);
        if pid == Pid::INIT {
            self.init_ended(slot, status);
            return;
        }
        self.tell_parent(slot, parent, status);
    }

    /// The memory of a process goes back, or to whom it belongs.
    fn release_space(&mut self, slot: Slot) {
        let task = self.get_mut(slot);
        if let Some(space) = task.replace_space(None) {
            self.return_loan(slot, space);
        }
    }

    /// Returns memory to the parent that lent it to a vfork child. A parent that has gone meanwhile
    /// cannot exist: it waits for nothing but this.
    pub(super) fn give_back(&mut self, lender: Pid, child: Pid, space: Option<super::Space>) {
        match self.find(lender) {
            Some(parent) => {
                let old = self.get_mut(parent).replace_space(space);
                debug_assert!(old.is_none());
                self.wake_vfork_parent(child);
            }
            None => {
                if let Some(space) = space {
                    space.destroy();
                }
            }
        }
    }

    /// One line about entries of page tables that were found not to be as they were written.
    fn tell_bad_entries(&mut self, pid: Pid) {
        let found = mm().bad_entries();
        if found > self.bad_entries_told {
            let new = found - self.bad_entries_told;
            log::error!("process {}: {new} bad entries of page tables", pid.0);
            self.bad_entries_told = found;
        }
    }

    /// The word of set_tid_address becomes 0 in memory that is another's as well, who might wait for it
    /// (Linux kernel/fork.c: `mm_release`). That is so of a vfork child.
    fn clear_child_tid(&mut self, slot: Slot) {
        let task = self.get_mut(slot);
        let address = core::mem::take(&mut task.clear_child_tid);
        let pid = task.pid();
        if address == 0 {
            return;
        }
        let mut others = self.iter();
        if !others.any(|(_, task)| task.waits_for() == Some(WaitFor::Vfork(pid))) {
            return;
        }
        drop(others);
        if let Some(space) = &mut self.get_mut(slot).space {
            // As Linux: a bad address is nobody's fault any more.
            let _ = space.write(address, &0_u32.to_le_bytes());
        }
    }

    /// Children of a process that has ended become those of the first one.
    fn orphan_children(&mut self, parent: Pid) {
        for (_, task) in self.iter_mut() {
            if task.ppid() == parent {
                task.shared.ppid.store(Pid::INIT.0, Relaxed);
                let signal = task.pdeath_signal;
                if signal != 0 && task.state() != TaskState::Zombie {
                    signal::send_kernel(task, signal);
                }
            }
        }
        let init = self.find(Pid::INIT);
        let zombie = self
            .iter()
            .any(|(_, task)| task.ppid() == Pid::INIT && task.state() == TaskState::Zombie);
        if let Some(init) = init
            && zombie
        {
            self.child_changed(init);
        }
    }

    /// With the first process all others end.
    fn init_ended(&mut self, slot: Slot, status: u32) {
        self.ended = Some(status);
        self.remove(slot);
        while let Some(other) = self.first(|task| task.state() != TaskState::Zombie) {
            self.exit_quietly(other);
        }
        while let Some(zombie) = self.first(|_| true) {
            self.remove(zombie);
        }
    }

    /// Ends a process that nobody will wait for.
    fn exit_quietly(&mut self, slot: Slot) {
        let killed = linux_raw_sys::general::SIGKILL;
        let task = self.get_mut(slot);
        task.files = None;
        self.release_space(slot);
        let task = self.get_mut(slot);
        task.shared.exit_code.store(killed, Relaxed);
        task.set_state(TaskState::Zombie);
    }

    fn tell_parent(&mut self, slot: Slot, parent: Pid, status: u32) {
        let Some(parent) = self.find(parent) else {
            self.remove(slot);
            return;
        };
        let child = self.get(slot);
        let (child, uid) = (child.pid(), child.cred().uid.real);
        let ignores = self.get(parent).signals.ignores_children();
        signal::send_child(self.get_mut(parent), child, uid, status);
        if ignores {
            self.remove(slot);
        }
        self.child_changed(parent);
    }

    /// Ends a wait for children.
    pub(crate) fn child_changed(&mut self, parent: Slot) {
        let task = self.get_mut(parent);
        if task.waits_for() == Some(WaitFor::Child) && task.state() == TaskState::Interruptible {
            task.wake();
        }
    }
}

impl Task {
    /// How it ended, of a zombie.
    pub(super) fn exit_code(&self) -> u32 {
        self.shared.exit_code.load(Relaxed)
    }
}

/// The wait status of a process that called exit.
pub(crate) const fn exited(code: u32) -> u32 {
    (code & 0xff) << 8
}
