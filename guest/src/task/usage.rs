//! What processes have used (Linux kernel/sys.c: `getrusage`).

use super::{Slot, Task, Tasks};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::task::TaskUsage;

/// What a process has used, or some have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Nanoseconds of the CPU.
    pub(crate) cpu_time: u64,
    /// Page faults, those that needed I/O included.
    pub(crate) faults: u64,
    /// Those that did.
    pub(crate) major_faults: u64,
    /// Most resident pages at any time, of any one of them.
    pub(crate) max_rss: u64,
}

impl Usage {
    fn load(from: &TaskUsage) -> Self {
        Self {
            cpu_time: from.cpu_time.load(Relaxed),
            faults: from.faults.load(Relaxed),
            major_faults: from.major_faults.load(Relaxed),
            max_rss: from.max_rss.load(Relaxed),
        }
    }

    fn store(self, to: &TaskUsage) {
        to.cpu_time.store(self.cpu_time, Relaxed);
        to.faults.store(self.faults, Relaxed);
        to.major_faults.store(self.major_faults, Relaxed);
        to.max_rss.store(self.max_rss, Relaxed);
    }

    /// What both have used.
    fn and(self, other: Self) -> Self {
        Self {
            cpu_time: self.cpu_time.saturating_add(other.cpu_time),
            faults: self.faults + other.faults,
            major_faults: self.major_faults + other.major_faults,
            max_rss: self.max_rss.max(other.max_rss),
        }
    }
}

impl Tasks {
    /// What a task has used.
    pub(crate) fn usage(&self, slot: Slot) -> Usage {
        let task = self.get(slot);
        let space = task.space.as_ref();
        Usage {
            cpu_time: self.cpu_time(slot),
            faults: task.faults(),
            major_faults: task.major_faults,
            max_rss: space
                .map_or(0, |space| space.max_resident())
                .max(task.max_rss),
        }
    }

    /// What the children have used that it has waited for, and theirs.
    pub(crate) fn usage_of_children(&self, slot: Slot) -> Usage {
        Usage::load(&self.get(slot).shared.children)
    }

    /// Tells who reads [`pagelab_abi::task::TaskStruct`] what a task has used.
    pub(crate) fn tell_usage(&self, slot: Slot) {
        self.usage(slot).store(&self.get(slot).shared.usage);
    }

    /// What a child that is waited for has used, its children included.
    pub(super) fn usage_of_child(&self, child: Slot) -> Usage {
        self.usage(child).and(self.usage_of_children(child))
    }

    /// A parent has waited for a child that has ended.
    pub(super) fn add_child_usage(&self, parent: Slot, child: Usage) {
        let all = self.usage_of_children(parent).and(child);
        all.store(&self.get(parent).shared.children);
    }
}

impl Task {
    /// Its memory is about to go: the most of it that was resident stays known.
    pub(crate) fn keep_max_rss(&mut self) {
        if let Some(space) = &self.space {
            self.max_rss = self.max_rss.max(space.max_resident());
        }
    }
}
