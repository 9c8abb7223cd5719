//! The birth of a process.

use super::{Pid, Slot, Task, Tasks, WaitFor};
use crate::arch::user;
use bitflags::bitflags;
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

bitflags! {
    /// What clone can be asked for and can do here, with Linux's names without `CLONE_`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct CloneFlags: u64 {
        /// The child runs in the parent's memory: only together with `VFORK`.
        const VM = linux::CLONE_VM as u64;
        /// The parent waits until the child has called execve or ended.
        const VFORK = linux::CLONE_VFORK as u64;
        /// FS gets a new base in the child.
        const SETTLS = linux::CLONE_SETTLS as u64;
        /// The child's number is written in the parent's memory.
        const PARENT_SETTID = linux::CLONE_PARENT_SETTID as u64;
        /// It is written in the child's memory.
        const CHILD_SETTID = linux::CLONE_CHILD_SETTID as u64;
        /// That word becomes 0 when the child ends.
        const CHILD_CLEARTID = linux::CLONE_CHILD_CLEARTID as u64;
        /// The child's handlers are those of a new program.
        const CLEAR_SIGHAND = linux::CLONE_CLEAR_SIGHAND;
    }
}

/// What fork, vfork and clone ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloneRequest {
    pub(crate) flags: CloneFlags,
    /// The child's stack pointer, unless it is 0.
    pub(crate) stack: u64,
    pub(crate) parent_tid: u64,
    pub(crate) child_tid: u64,
    pub(crate) tls: u64,
}

impl Tasks {
    /// Makes a child of a task. If anything fails, nothing is left of it.
    ///
    /// # Errors
    /// ENOMEM; EAGAIN if there are too many processes; EINVAL for memory that would be shared for
    /// longer than a vfork.
    pub(crate) fn fork(&mut self, slot: Slot, request: &CloneRequest) -> Result<Pid, Errno> {
        let flags = request.flags;
        let shares = flags.contains(CloneFlags::VM);
        if shares && !flags.contains(CloneFlags::VFORK) {
            return Err(Errno::EINVAL);
        }
        let parent = self.get(slot).pid();
        self.check_process_limit(slot)?;
        let child = self.add(parent)?;
        if let Err(errno) = self.fill_child(slot, child, request) {
            self.remove(child);
            return Err(errno);
        }
        let pid = self.get(child).pid();
        if flags.contains(CloneFlags::PARENT_SETTID)
            && let Some(space) = &mut self.get_mut(slot).space
        {
            // As Linux: the child exists, whatever becomes of the word.
            let _ = space.write(request.parent_tid, &pid.0.to_le_bytes());
        }
        if shares {
            self.lend(slot, child);
        }
        if flags.contains(CloneFlags::CHILD_SETTID)
            && let Some(space) = &mut self.get_mut(child).space
        {
            let _ = space.write(request.child_tid, &pid.0.to_le_bytes());
        }
        if flags.contains(CloneFlags::VFORK) {
            self.get_mut(slot).wait_for(WaitFor::Vfork(pid));
        }
        Ok(pid)
    }

    /// Whether the user of a task may have one more process: root may.
    fn check_process_limit(&self, slot: Slot) -> Result<(), Errno> {
        let task = self.get(slot);
        if task.cred.is_capable() || task.cred.uid.real == 0 {
            return Ok(());
        }
        let user = task.cred.uid.real;
        let count = self
            .iter()
            .filter(|(_, one)| one.cred.uid.real == user)
            .count();
        if count as u64 >= task.rlimits[linux::RLIMIT_NPROC as usize].current {
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    /// Copies what a child has of its parent.
    #[inline(never)]
    fn fill_child(&mut self, slot: Slot, child: Slot, request: &CloneRequest) -> Result<(), Errno> {
        let flags = request.flags;
        let is_loaded = self.loaded == Some(slot);
        let (parent, child) = self.get_two(slot, child);
        if is_loaded {
            user::suspend(&mut parent.context);
            parent.fail.update();
        }
        // Both where they are: they are too large for a stack.
        child.context.copy_from(&parent.context);
        child.context.regs.rax = 0;
        if request.stack != 0 {
            child.context.regs.rsp = request.stack;
        }
        if flags.contains(CloneFlags::SETTLS) {
            child.context.fs_base = request.tls;
        }
        child.signals.inherit(&parent.signals);
        if flags.contains(CloneFlags::CLEAR_SIGHAND) {
            child.signals.reset_handlers();
        }
        if flags.contains(CloneFlags::VM) {
            child.signals.forget_stack();
        } else {
            child.rseq = parent.rseq;
        }
        child.set_group(parent.pgid());
        child.set_session(parent.sid());
        child.rlimits = parent.rlimits;
        child.cred = parent.cred.copy()?;
        child.tell_ids();
        child.set_nice(parent.nice());
        child.prctl = parent.prctl.inherited();
        child.fail = parent.fail.for_child();
        child.set_comm(&parent.comm());
        let adj = parent.shared.oom_score_adj.load(Relaxed);
        child.shared.oom_score_adj.store(adj, Relaxed);
        let least = parent.shared.oom_score_adj_min.load(Relaxed);
        child.shared.oom_score_adj_min.store(least, Relaxed);
        let group = parent.shared.memory_group.load(Relaxed);
        child.shared.memory_group.store(group, Relaxed);
        child.inherit_files(parent)?;
        if let Some(space) = &mut parent.space
            && !flags.contains(CloneFlags::VM)
        {
            let space = space.fork().map_err(|_| Errno::ENOMEM)?;
            child.replace_space(Some(space));
        }
        if flags.contains(CloneFlags::CHILD_CLEARTID) {
            child.clear_child_tid = request.child_tid;
        }
        Ok(())
    }

    /// Moves a parent's memory to the child that runs in it.
    fn lend(&mut self, parent: Slot, child: Slot) {
        let lender = self.get(parent).pid();
        let space = self.get_mut(parent).replace_space(None);
        let child = self.get_mut(child);
        child.replace_space(space);
        child.shared.lender.store(lender.0, Relaxed);
    }

    /// Gives memory back that a process no longer runs in, at execve or its end: to the parent who
    /// lent it, or altogether.
    pub(crate) fn return_loan(&mut self, slot: Slot, space: super::Space) {
        let task = self.get_mut(slot);
        let pid = task.pid();
        let lender = task.lender();
        task.shared.lender.store(0, Relaxed);
        match lender {
            Some(lender) => self.give_back(lender, pid, Some(space)),
            None => {
                space.destroy();
                // A vfork without shared memory is over as well.
                self.wake_vfork_parent(pid);
            }
        }
    }
}

impl Task {
    /// Gives it its parent's files. Not together with the rest of a fork: a stack has no room for both.
    #[inline(never)]
    fn inherit_files(&mut self, parent: &Self) -> Result<(), Errno> {
        if let Some(files) = &parent.files {
            self.files = Some(files.fork()?);
        }
        Ok(())
    }
}
