//! All tasks.

use super::{Clock, Task, object::TaskBox};
use crate::{root, workload::rng::Rng};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    errno::Errno,
    task::{PID_MAX, TaskState},
};

/// Processes that there may be at once.
pub(super) const MAX_TASKS: usize = 256;

/// Numbers up to this one are not given out again after the highest (Linux: `RESERVED_PIDS`).
const RESERVED_PIDS: u32 = 300;

/// A process's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pid(pub(crate) u32);

impl Pid {
    /// Nobody.
    pub(crate) const NONE: Self = Self(0);
    /// The first process.
    pub(crate) const INIT: Self = Self(1);
}

/// A task's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// All tasks, and what they share.
pub(crate) struct Tasks {
    slots: [Option<TaskBox>; MAX_TASKS],
    /// Slots below this one have been used.
    high: usize,
    last_pid: u32,
    /// Whose registers and memory are in the CPU.
    pub(super) loaded: Option<Slot>,
    /// Since when, in nanoseconds of the clock.
    pub(super) loaded_at: u64,
    pub(super) clock: Clock,
    /// When the first timer of any task fires.
    pub(super) next_timer: Option<u64>,
    /// Where random bytes come from.
    pub(crate) rng: Rng,
    /// System calls that do not exist and have been told about.
    pub(crate) unknown_told: [u64; 8],
    /// Bad entries of page tables that have been told about.
    pub(super) bad_entries_told: u64,
    /// How the first process ended.
    pub(super) ended: Option<u32>,
}

impl Tasks {
    /// No tasks.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: [const { None }; MAX_TASKS],
            high: 0,
            last_pid: 0,
            loaded: None,
            loaded_at: 0,
            clock: Clock::new(),
            next_timer: None,
            rng: Rng::new(seed),
            unknown_told: [0; 8],
            bad_entries_told: 0,
            ended: None,
        }
    }

    /// A process without memory and files, child of `parent`.
    #[inline(never)]
    pub(super) fn add(&mut self, parent: Pid) -> Result<Slot, Errno> {
        let free = self.slots.iter().position(Option::is_none);
        let free = free.ok_or(Errno::EAGAIN)?;
        let pid = self.free_pid();
        let task = TaskBox::new(pid, parent).map_err(|_| Errno::ENOMEM)?;
        self.last_pid = pid.0;
        self.slots[free] = Some(task);
        self.high = self.high.max(free + 1);
        self.relink();
        Ok(Slot(free))
    }

    /// The first process.
    pub(crate) fn add_init(&mut self) -> Result<Slot, Errno> {
        let slot = self.add(Pid::NONE)?;
        let task = self.get(slot);
        let pid = task.pid();
        task.set_group(pid);
        task.set_session(pid);
        Ok(slot)
    }

    /// Ends a task's existence.
    pub(super) fn remove(&mut self, slot: Slot) {
        if self.loaded == Some(slot) {
            self.loaded = None;
        }
        let task = self.slots[slot.0].take();
        self.relink();
        drop(task);
    }

    /// Takes all tasks away.
    pub(crate) fn clear(&mut self) {
        self.forget_loaded();
        while let Some(slot) = self.first(|_| true) {
            self.remove(slot);
        }
    }

    /// The next number that no process, group or session has.
    fn free_pid(&self) -> Pid {
        let mut pid = self.last_pid;
        loop {
            pid += 1;
            if pid >= PID_MAX {
                pid = RESERVED_PIDS;
            }
            let candidate = Pid(pid);
            let taken = self
                .iter()
                .any(|(_, task)| [task.pid(), task.pgid(), task.sid()].contains(&candidate));
            if !taken {
                return candidate;
            }
        }
    }

    /// Makes the host's list anew: the oldest first, which is not the order of the slots.
    fn relink(&self) {
        let list = root::tasks();
        let mut count = 0;
        let mut after: Option<(u64, Pid)> = None;
        let mut link = &list.head;
        loop {
            // By birth: two tasks can share an event, but then their numbers differ.
            let next = self.slots[..self.high]
                .iter()
                .flatten()
                .filter(|task| after.is_none_or(|last| birth(task) > last))
                .min_by_key(|task| birth(task));
            let Some(next) = next else { break };
            link.store(next.gpa(), Relaxed);
            link = &next.shared.next;
            after = Some(birth(next));
            count += 1;
        }
        link.store(0, Relaxed);
        list.count.store(count, Relaxed);
    }

    /// A task.
    ///
    /// # Panics
    /// If it has been removed: slots are not kept across a removal.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> &Task {
        self.slots[slot.0].as_ref().expect("the slot is in use")
    }

    /// As [`Self::get`].
    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Task {
        self.slots[slot.0].as_mut().expect("the slot is in use")
    }

    /// Two tasks at once.
    ///
    /// # Panics
    /// As [`Self::get`], and if they are one.
    pub(super) fn get_two(&mut self, one: Slot, other: Slot) -> (&mut Task, &mut Task) {
        let both = self.slots.get_disjoint_mut([one.0, other.0]);
        let [one, other] = both.expect("they are two");
        let one = one.as_mut().expect("the slot is in use");
        let other = other.as_mut().expect("the slot is in use");
        (one, other)
    }

    /// All tasks with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Task)> {
        let slots = self.slots[..self.high].iter().enumerate();
        slots.filter_map(|(i, task)| Some((Slot(i), &**task.as_ref()?)))
    }

    /// All tasks, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut Task)> {
        let slots = self.slots[..self.high].iter_mut().enumerate();
        slots.filter_map(|(i, task)| Some((Slot(i), &mut **task.as_mut()?)))
    }

    /// The first task in the order of the slots that is wanted.
    pub(super) fn first(&self, wanted: impl Fn(&Task) -> bool) -> Option<Slot> {
        let mut tasks = self.iter();
        tasks.find_map(|(slot, task)| wanted(task).then_some(slot))
    }

    /// The process with a number.
    pub(crate) fn find(&self, pid: Pid) -> Option<Slot> {
        self.first(|task| task.pid() == pid)
    }

    /// The task after `slot` that is running, in turn.
    pub(super) fn next_running(&self, slot: Option<Slot>) -> Option<Slot> {
        let first = slot.map_or(0, |slot| slot.0 + 1);
        let order = (first..self.high).chain(0..first.min(self.high));
        let running = |i: &usize| {
            let task = self.slots[*i].as_ref();
            task.is_some_and(|task| task.state() == TaskState::Running)
        };
        order.into_iter().find(running).map(Slot)
    }

    /// Processes that exist.
    pub(crate) fn count(&self) -> usize {
        self.iter().count()
    }

    /// What time it is.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How the first process ended, once it has.
    pub(crate) fn ended(&self) -> Option<u32> {
        self.ended
    }
}

fn birth(task: &Task) -> (u64, Pid) {
    (task.shared.start.load(Relaxed), task.pid())
}
