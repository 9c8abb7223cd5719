//! What a process has to do with fault injection. While it has the CPU this stands in the control
//! block, where the allocators look; otherwise with the process.

use super::Task;
use crate::root;
use core::sync::atomic::Ordering::Relaxed;

/// Linux: `fail_nth` and `make_it_fail` of `struct task_struct`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fail {
    nth: u32,
    make_it_fail: u32,
    /// Page faults in a row that an injected failure has ended.
    failed_faults: u32,
}

/// Page faults in a row that may fail by injection before the process is killed.
const MAX_FAILED_FAULTS: u32 = 64;

impl Fail {
    /// What a child gets: as in Linux, the wish to fail, but no number of its parent's allocations.
    pub(super) const fn for_child(self) -> Self {
        Self {
            nth: 0,
            failed_faults: 0,
            ..self
        }
    }

    /// Takes over what the process that has the CPU has written.
    pub(super) fn update(&mut self) {
        let caller = &root::control().caller;
        self.nth = caller.fail_nth.load(Relaxed);
        self.make_it_fail = caller.make_it_fail.load(Relaxed);
    }

    /// Failures injected so far.
    pub(super) fn injected() -> u64 {
        let control = root::control();
        let attrs = [&control.fail_page_alloc, &control.failslab];
        attrs.iter().map(|attr| attr.injected.load(Relaxed)).sum()
    }

    /// Whether a page fault that failed by injection is to be taken again, as there is memory (Linux
    /// mm/oom_kill.c: `pagefault_out_of_memory`). Not for ever: an injector may let each fail.
    pub(super) fn may_retry(&mut self) -> bool {
        self.failed_faults += 1;
        self.failed_faults < MAX_FAILED_FAULTS
    }

    /// A page fault came to its end.
    pub(super) fn no_longer(&mut self) {
        self.failed_faults = 0;
    }
}

impl Task {
    /// Allocations from now on are on its behalf.
    pub(super) fn begin_to_allocate(&self) {
        let caller = &root::control().caller;
        caller.pid.store(self.pid().0, Relaxed);
        self.tell_comm();
        caller.make_it_fail.store(self.fail.make_it_fail, Relaxed);
        caller.fail_nth.store(self.fail.nth, Relaxed);
    }

    /// Its name is a new one, or it is its turn.
    pub(super) fn tell_comm(&self) {
        let caller = &root::control().caller;
        if caller.pid.load(Relaxed) == self.pid().0 {
            for (to, byte) in caller.comm.iter().zip(self.comm()) {
                to.store(byte, Relaxed);
            }
        }
    }

    /// Allocations from now on are the kernel's own.
    pub(super) fn end_to_allocate(&mut self) {
        self.fail.update();
        let caller = &root::control().caller;
        caller.pid.store(0, Relaxed);
        caller.comm[0].store(0, Relaxed);
        caller.make_it_fail.store(0, Relaxed);
        caller.fail_nth.store(0, Relaxed);
    }
}

/// Does something that the process which has the CPU has no part in (in Linux, work of a kernel
/// thread).
pub(crate) fn as_kernel<R>(work: impl FnOnce() -> R) -> R {
    let caller = &root::control().caller;
    let (pid, nth) = (
        caller.pid.swap(0, Relaxed),
        caller.fail_nth.swap(0, Relaxed),
    );
    let make_it_fail = caller.make_it_fail.swap(0, Relaxed);
    let letter = caller.comm[0].swap(0, Relaxed);
    let result = work();
    caller.comm[0].store(letter, Relaxed);
    caller.make_it_fail.store(make_it_fail, Relaxed);
    caller.fail_nth.store(nth, Relaxed);
    caller.pid.store(pid, Relaxed);
    result
}
