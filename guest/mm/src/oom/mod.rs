//! The OOM killer (Linux mm/oom_kill.c): when no memory is left, one process dies and its memory is
//! free at once.
//!
//! * `choice`: who is the worst. `tasks`: the processes as they stand in RAM.
//! * `report`: what the log says of it. `mem_info`: the state of memory in it. `gfp`: flags as text.
//!
//! An allocation that finds nothing to reclaim asks [`Machine::oom_kill`], which makes an [`Oom`],
//! kills by it, and says whether it is worth trying again. The process itself ends later, where
//! the kernel holds nothing; what it had in memory does not wait for that (Linux: the OOM reaper). A
//! process that the allocation is for may be in the middle of changing its areas, so it loses only
//! the pages of its private ones, and its allocation fails if that was not enough.

mod choice;
mod gfp;
mod mem_info;
mod report;
mod tasks;
#[cfg(test)]
mod tests;

pub use choice::{badness, oom_score};
pub use tasks::Candidate;

use crate::{Mm, Order, machine::Machine, memcg::GroupId};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{event::EventKind, gfp::Gfp, task::TaskList, vmstat::VmEvent};

/// The allocation that asks (Linux: `struct oom_control`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomControl {
    /// Its flags.
    pub gfp: Gfp,
    /// Its order.
    pub order: Order,
    /// The group at its limit, if it is not that of the machine.
    pub memcg: Option<GroupId>,
}

/// A process that was killed.
#[derive(Clone, Copy, Debug)]
pub struct Killed {
    /// It, as it was before.
    pub victim: Candidate,
    /// Pages that became free.
    pub freed: u64,
}

/// Memory that has run out, and the processes among which to choose.
pub struct Oom<'a, M: Machine + 'static> {
    mm: &'static Mm<M>,
    tasks: &'a TaskList,
    control: OomControl,
}

impl<'a, M: Machine + 'static> Oom<'a, M> {
    /// For an allocation.
    ///
    /// # Safety
    /// Each link of `tasks` leads to a live `TaskStruct` in the direct map, and `mm` of each to a
    /// live address space of `mm`, in which only the kernel work of `tasks.current` may be under way.
    /// Its tree of areas is not borrowed.
    pub unsafe fn new(mm: &'static Mm<M>, tasks: &'a TaskList, control: OomControl) -> Self {
        Self { mm, tasks, control }
    }

    /// Pages to which `oom_score_adj` refers: RAM and swap, or what a group may have (Linux:
    /// `totalpages`).
    fn total_pages(&self) -> u64 {
        let all = self.mm.oom_total_pages();
        self.control.memcg.map_or(all, |group| {
            let max = self.mm.memory_group(group).max.load(Relaxed);
            max.clamp(1, all)
        })
    }

    /// Those among whom to choose: those of the group, if it is one that is at its limit.
    fn eligible(&self) -> impl Iterator<Item = Candidate> {
        let group = self.control.memcg;
        let is_in = move |task: &Candidate| {
            let number = task.group.map_or(0, GroupId::number);
            self.mm.is_in_memory_group(number, group)
        };
        self.candidates().filter(is_in)
    }

    /// Whether the allocation is that of a process that has been killed already: it is to fail, so
    /// that the process can end (Linux: `tsk_is_oom_victim(current)`).
    pub fn is_for_victim(&self) -> bool {
        self.current().is_some_and(|task| task.is_victim) && !self.control.gfp.contains(Gfp::NOFAIL)
    }

    /// The process to kill.
    pub fn choose(&self) -> Option<Candidate> {
        choice::select(self.eligible(), self.total_pages())
    }

    /// Writes the report. Without a victim it says so.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn report(&self, victim: Option<&Candidate>, out: &mut dyn Write) -> fmt::Result {
        report::write(self, victim, out)
    }

    /// Takes from a process what it has in memory. The caller sees to its end.
    pub fn kill(&self, victim: Candidate) -> Killed {
        let current = self.current();
        let in_use = current.is_some_and(|task| task.mm == victim.mm);
        // SAFETY: by the contract of `new`; a process that does not run has no kernel work.
        let freed = unsafe { self.mm.oom_reap(victim.mm, in_use) };
        self.mm.count_event(VmEvent::OomKill, 1);
        if let Some(group) = victim.group {
            self.mm.count_group_oom_kill(group);
        }
        self.mm
            .machine
            .event(EventKind::OomKill, victim.pid.into(), freed);
        Killed { victim, freed }
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Pages to which `oom_score_adj` refers: RAM and swap (Linux: `totalpages`).
    pub fn oom_total_pages(&self) -> u64 {
        (self.total_ram() + self.swap_slots().0).max(1)
    }
}
