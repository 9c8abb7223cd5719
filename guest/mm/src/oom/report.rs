//! What the log says (Linux mm/oom_kill.c: `dump_header`, `dump_tasks`, `__oom_kill_process`).

use super::{Candidate, Oom, gfp::Flags};
use crate::{machine::Machine, memcg::GroupId};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{PAGE_SIZE, mm_struct::RssStat};

/// KiB of a page.
const PAGE_KIB: u64 = PAGE_SIZE >> 10;

pub(super) fn write<M: Machine>(
    oom: &Oom<'_, M>,
    victim: Option<&Candidate>,
    out: &mut dyn Write,
) -> fmt::Result {
    header(oom, out)?;
    match oom.control.memcg {
        Some(group) => group_info(oom, group, out)?,
        None => oom.mm.mem_info(out)?,
    }
    tasks(oom, out)?;
    let Some(victim) = victim else {
        return writeln!(out, "Out of memory and no killable processes...");
    };
    let task_group = Group(victim.group);
    match oom.control.memcg {
        None => write!(
            out,
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,task_memcg={task_group}"
        )?,
        Some(group) => write!(
            out,
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg={},\
             task_memcg={task_group}",
            Group(Some(group))
        )?,
    }
    writeln!(
        out,
        ",task={},pid={},uid={}",
        victim.name(),
        victim.pid,
        victim.uid
    )?;
    let reason = match oom.control.memcg {
        None => "Out of memory",
        Some(_) => "Memory cgroup out of memory",
    };
    victim.write_killed(reason, out)
}

/// A group by its path. Groups have no names but their numbers.
struct Group(Option<GroupId>);

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("/"),
            Some(group) => write!(f, "/{}", group.number()),
        }
    }
}

/// What a group has (Linux: `mem_cgroup_print_oom_meminfo`).
fn group_info<M: Machine>(oom: &Oom<'_, M>, group: GroupId, out: &mut dyn Write) -> fmt::Result {
    let counts = oom.mm.memory_group(group);
    writeln!(
        out,
        "memory: usage {}kB, limit {}kB, failcnt {}",
        counts.usage.load(Relaxed) * PAGE_KIB,
        counts.max.load(Relaxed).saturating_mul(PAGE_KIB),
        counts.max_events.load(Relaxed)
    )
}

/// Who asked for what.
fn header<M: Machine>(oom: &Oom<'_, M>, out: &mut dyn Write) -> fmt::Result {
    let current = oom.current();
    match &current {
        Some(task) => write!(out, "{}", task.name())?,
        // Linux: the idle task.
        None => write!(out, "swapper")?,
    }
    let control = &oom.control;
    writeln!(
        out,
        " invoked oom-killer: gfp_mask={:#x}({}), order={}, oom_score_adj={}",
        control.gfp.bits(),
        Flags(control.gfp),
        control.order.get(),
        current.map_or(0, |task| task.oom_score_adj)
    )
}

fn tasks<M: Machine>(oom: &Oom<'_, M>, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "Tasks state (memory values in pages):")?;
    writeln!(
        out,
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name"
    )?;
    // The child of a vfork has no line: its memory is in its parent's.
    for task in oom.eligible().filter(|task| !task.in_vfork) {
        writeln!(
            out,
            "[{:7}] {:5} {:5} {:8} {:8} {:8} {:8}         {:5} {}",
            task.pid,
            task.uid,
            task.pid,
            task.total_vm,
            task.resident(),
            task.pgtables * PAGE_SIZE,
            task.rss[RssStat::Swap as usize],
            task.oom_score_adj,
            task.name()
        )?;
    }
    Ok(())
}

impl Candidate {
    /// Writes the line about its end.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_killed(&self, reason: &str, out: &mut dyn Write) -> fmt::Result {
        let kib = |kind: RssStat| self.rss[kind as usize] * PAGE_KIB;
        writeln!(
            out,
            "{reason}: Killed process {} ({}) total-vm:{}kB, anon-rss:{}kB, file-rss:{}kB, \
             shmem-rss:{}kB, UID:{} pgtables:{}kB oom_score_adj:{}",
            self.pid,
            self.name(),
            self.total_vm * PAGE_KIB,
            kib(RssStat::Anon),
            kib(RssStat::File),
            kib(RssStat::Shmem),
            self.uid,
            self.pgtables * PAGE_KIB,
            self.oom_score_adj
        )
    }
}
