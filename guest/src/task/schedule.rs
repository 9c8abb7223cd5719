//! Who runs.

use super::{FutexKey, Pid, Slot, Task, Tasks, WaitFor};
use crate::{
    arch::user::{self, Trap},
    machine::kernel_pgd,
    memory::mm,
    oom, root, safe_point, signal,
    syscall::{self, Flow},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::task::TaskState;
use x86_64::instructions::interrupts;

/// Traps after which another task gets its turn.
const SHARE: u32 = 512;

impl Tasks {
    /// Runs all tasks until none is left. Returns how the first one ended.
    pub(crate) fn run(&mut self) -> u32 {
        let mut last = None;
        while self.count() > 0 {
            match self.next_running(last) {
                Some(slot) => {
                    self.load(slot);
                    self.turn(slot);
                    last = Some(slot);
                }
                None => self.idle(),
            }
        }
        self.ended.unwrap_or(0)
    }

    /// Runs a task until it is another's turn.
    fn turn(&mut self, slot: Slot) {
        let mut left = SHARE;
        while left > 0 {
            self.kill_oom_victims();
            if self.timer_is_due() {
                self.fire_timers();
            }
            if self.get(slot).signals.has_work() {
                let flow = signal::deliver(self, slot);
                if flow == Flow::Gone || self.get(slot).state() != TaskState::Running {
                    return;
                }
            }
            let (trap, rest) = self.get_mut(slot).run_ring3(left);
            left = rest;
            let flow = match trap {
                Trap::Syscall => syscall::dispatch(self, slot),
                other => self.trap(slot, other),
            };
            safe_point::pass();
            self.kill_oom_victims();
            if flow == Flow::Continue {
                continue;
            }
            if flow == Flow::Gone {
                return;
            }
            let task = self.get_mut(slot);
            if task.is_interruptible() && task.signals.interrupts() {
                task.wake();
            } else {
                return;
            }
        }
        self.get_mut(slot).interrupt_rseq();
    }

    /// Puts a task's registers and memory into the CPU.
    fn load(&mut self, slot: Slot) {
        if self.loaded == Some(slot) {
            return;
        }
        self.unload();
        let task = self.get(slot);
        let pgd = match &task.space {
            Some(space) => space.pgd(),
            // Killed while its memory was lent: it has one more signal to die of.
            None => kernel_pgd(),
        };
        // SAFETY: an address space has the kernel's half, and lives until `unload` or `reload`.
        unsafe { user::resume(&task.context, pgd) };
        task.begin_to_allocate();
        root::tasks().current.store(task.pid().0, Relaxed);
        mm().set_current_memory_group(task.memory_group());
        self.loaded = Some(slot);
        self.begin_cpu_time(slot);
    }

    /// Takes the registers of the task in the CPU into its context, and the CPU out of its memory.
    pub(super) fn unload(&mut self) {
        if let Some(slot) = self.loaded.take() {
            self.end_cpu_time(slot);
            let task = self.get_mut(slot);
            user::suspend(&mut task.context);
            task.end_to_allocate();
        }
        // SAFETY: the kernel's own tables.
        unsafe { user::load_space(kernel_pgd()) };
    }

    /// Leaves the CPU without any task's memory, the registers being of no use to anyone.
    pub(super) fn forget_loaded(&mut self) {
        if let Some(slot) = self.loaded.take() {
            self.end_cpu_time(slot);
            self.get_mut(slot).end_to_allocate();
        }
        // SAFETY: the kernel's own tables.
        unsafe { user::load_space(kernel_pgd()) };
    }

    /// Before the memory of the running task is replaced.
    pub(crate) fn leave_space(&mut self) {
        self.forget_loaded();
    }

    /// After the memory or all registers of the running task have been replaced.
    pub(crate) fn reload(&mut self, slot: Slot) {
        self.forget_loaded();
        self.load(slot);
    }

    /// Nobody can run: time goes on to the first that waits for it. If nobody does, nobody will
    /// ever run again.
    fn idle(&mut self) {
        let waits = self.iter().filter_map(|(_, task)| task.wakes_at());
        let until = waits.chain(self.next_timer()).min();
        if let Some(until) = until {
            self.skip_to(until);
            self.wake_if(|task, _| task.wakes_at().is_some_and(|at| at <= until));
            if self.timer_is_due() {
                self.fire_timers();
            }
            return;
        }
        self.report_deadlock();
        for (_, task) in self.iter_mut() {
            signal::send_kill(task);
        }
    }

    /// Makes tasks run that wait for what `is_over` says is over.
    pub(super) fn wake_if(&mut self, is_over: impl Fn(&Task, WaitFor) -> bool) {
        for (_, task) in self.iter_mut() {
            let waits_for = task.waits_for;
            if task.state() == TaskState::Interruptible
                && waits_for.is_some_and(|what| is_over(task, what))
            {
                task.wake();
            }
        }
    }

    /// Makes the tasks run that wait for time, once it has come.
    pub(crate) fn wake_sleepers(&mut self) {
        let now = self.clock.monotonic();
        self.wake_if(|task, _| task.wakes_at().is_some_and(|at| at <= now));
    }

    /// Makes the tasks run that wait for what others do with files.
    pub(crate) fn wake_file_waiters(&mut self) {
        self.wake_if(|_, what| matches!(what, WaitFor::File | WaitFor::Poll(_)));
    }

    /// Makes up to `count` tasks run that wait for a word of memory and hear one of the bits of
    /// `bitset`; says how many.
    pub(crate) fn wake_futex(&mut self, word: FutexKey, count: u32, bitset: u32) -> u64 {
        let mut woken = 0;
        for task in self.futex_waiters(word) {
            let hears = matches!(task.waits_for, Some(WaitFor::Futex { bitset: of, .. }) if of & bitset != 0);
            if woken < u64::from(count) && hears {
                task.futex_woken = true;
                task.wake();
                woken += 1;
            }
        }
        woken
    }

    /// Has up to `count` tasks that wait for a word wait for another; says how many.
    pub(crate) fn requeue_futex(&mut self, from: FutexKey, to: FutexKey, count: u32) -> u64 {
        let mut moved = 0;
        for task in self.futex_waiters(from).take(count as usize) {
            if let Some(WaitFor::Futex { key, .. }) = &mut task.waits_for {
                *key = to;
                moved += 1;
            }
        }
        moved
    }

    fn futex_waiters(&mut self, word: FutexKey) -> impl Iterator<Item = &mut Task> {
        let waits = move |task: &Task| {
            matches!(task.waits_for, Some(WaitFor::Futex { key, .. }) if key == word)
                && task.state() == TaskState::Interruptible
        };
        self.iter_mut()
            .filter_map(move |(_, task)| waits(task).then_some(task))
    }

    /// Makes the parent of a vfork child run, as it has its memory back.
    pub(super) fn wake_vfork_parent(&mut self, child: Pid) {
        self.wake_if(|_, what| what == WaitFor::Vfork(child));
    }
}

impl Task {
    /// Enters ring 3 until there is a trap that takes more than a look at the task, or `left`, which
    /// each trap counts against, is 0. Returns that trap and what is left.
    ///
    /// Not in line: in [`Tasks::turn`] the count and the task are not kept in registers.
    #[inline(never)]
    fn run_ring3(&mut self, mut left: u32) -> (Trap, u32) {
        // What the host raises meanwhile arrives when interrupts are on again.
        interrupts::disable();
        let trap = loop {
            let trap = user::enter(&mut self.context);
            left -= 1;
            match trap {
                Trap::Syscall if syscall::quick(self) => {}
                Trap::PageFault { address, code } => {
                    interrupts::enable();
                    self.page_fault(address, code);
                    interrupts::disable();
                    if self.signals.has_work() || safe_point::is_due() || oom::is_pending() {
                        break Trap::None;
                    }
                }
                other => break other,
            }
            if left == 0 {
                break Trap::None;
            }
        };
        interrupts::enable();
        (trap, left)
    }

    /// Waits. The system call is made again when the wait is over.
    pub(crate) fn wait_for(&mut self, what: WaitFor) {
        self.waits_for = Some(what);
        self.set_state(TaskState::Interruptible);
    }

    /// Ends a wait or a stop.
    pub(crate) fn wake(&mut self) {
        self.waits_for = None;
        self.set_state(TaskState::Running);
    }

    /// Stops it, as job control does.
    pub(crate) fn stop(&mut self) {
        self.set_state(TaskState::Stopped);
    }

    /// Whether a signal may end what it waits for.
    pub(crate) fn is_interruptible(&self) -> bool {
        self.state() == TaskState::Interruptible
            && !matches!(self.waits_for, Some(WaitFor::Vfork(_)))
    }

    /// What it waits for.
    pub(crate) fn waits_for(&self) -> Option<WaitFor> {
        self.waits_for
    }

    /// When its wait is over, if time ends it.
    fn wakes_at(&self) -> Option<u64> {
        if self.state() != TaskState::Interruptible {
            return None;
        }
        match self.waits_for? {
            WaitFor::Time(until) => Some(until),
            WaitFor::Futex { until, .. } | WaitFor::SignalOf(_, until) | WaitFor::Poll(until) => {
                until
            }
            _ => None,
        }
    }
}
