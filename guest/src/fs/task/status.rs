//! /proc/PID/status, stat and statm (Linux fs/proc/array.c, fs/proc/task_mmu.c). What pagelab does
//! not have is left out of status, and 0 in the others.

use super::Name;
use crate::task::Space;
use core::{
    fmt::{self, Write},
    mem::ManuallyDrop,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SIZE,
    mm_struct::RssStat,
    task::{TaskState, TaskStruct},
};
use pagelab_mm::user_mm::Stats;

/// KiB of a page.
const PAGE_KIB: u64 = PAGE_SIZE >> 10;

/// Events in a clock tick: a hundred ticks a second, an event a microsecond.
const EVENTS_PER_TICK: u64 = 10_000;

/// Nanoseconds of a clock tick.
const TICK: u64 = 10_000_000;

/// Linux's `struct mm_struct` of a process, or none.
type Memory = Option<ManuallyDrop<Space>>;

fn state(task: &TaskStruct) -> TaskState {
    TaskState::from_u32(task.state.load(Relaxed)).unwrap_or(TaskState::Running)
}

fn resident(stats: &Stats) -> u64 {
    let swap = stats.rss[RssStat::Swap as usize];
    stats.rss.iter().sum::<u64>() - swap
}

pub(super) fn status(task: &TaskStruct, memory: Memory, out: &mut dyn Write) -> fmt::Result {
    let state = match state(task) {
        TaskState::Running => "R (running)",
        TaskState::Interruptible => "S (sleeping)",
        TaskState::Stopped => "T (stopped)",
        TaskState::Zombie => "Z (zombie)",
    };
    let pid = task.pid.load(Relaxed);
    writeln!(
        out,
        "Name:\t{}\nState:\t{state}\nTgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{}\nTracerPid:\t0\n\
         Uid:{}\nGid:{}",
        Name::of(task),
        task.ppid.load(Relaxed),
        Ids(&task.uid),
        Ids(&task.gid)
    )?;
    if let Some(mut memory) = memory {
        memory_lines(&memory.stats(), out)?;
    }
    writeln!(out, "Threads:\t1")
}

fn memory_lines(stats: &Stats, out: &mut dyn Write) -> fmt::Result {
    let rss = |kind: RssStat| stats.rss[kind as usize];
    for (name, pages) in [
        ("VmSize", stats.total_vm),
        ("VmLck", stats.locked_vm),
        ("VmHWM", stats.hiwater_rss),
        ("VmRSS", resident(stats)),
        ("RssAnon", rss(RssStat::Anon)),
        ("RssFile", rss(RssStat::File)),
        ("RssShmem", rss(RssStat::Shmem)),
        ("VmData", stats.data_vm),
        ("VmStk", stats.stack_vm),
        ("VmExe", stats.exec_vm),
        ("VmPTE", stats.pgtables),
        ("VmSwap", rss(RssStat::Swap)),
    ] {
        writeln!(out, "{name}:\t{:8} kB", pages * PAGE_KIB)?;
    }
    Ok(())
}

/// Users or groups, a tab before each.
struct Ids<'a>(&'a [AtomicU32; 4]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.0.iter();
        ids.try_for_each(|id| write!(f, "\t{}", id.load(Relaxed)))
    }
}

/// Clock ticks of a process's time.
fn ticks(time: &AtomicU64) -> u64 {
    time.load(Relaxed) / TICK
}

pub(super) fn stat(task: &TaskStruct, memory: Memory, out: &mut dyn Write) -> fmt::Result {
    let stats = memory.map(|mut memory| memory.stats()).unwrap_or_default();
    let number = |word: &AtomicU32| word.load(Relaxed);
    let long = |word: &AtomicU64| word.load(Relaxed);
    let (own, children) = (&task.usage, &task.children);
    let nice = number(&task.nice).cast_signed();
    write!(
        out,
        "{} ({}) {} {} {} {} 0 -1 0 {} {} {} {} {} 0 {} 0 {} {nice} 1 0",
        number(&task.pid),
        Name::of(task),
        state(task).letter(),
        number(&task.ppid),
        number(&task.pgid),
        number(&task.sid),
        long(&task.faults) - long(&own.major_faults),
        long(&children.faults) - long(&children.major_faults),
        long(&own.major_faults),
        long(&children.major_faults),
        ticks(&own.cpu_time),
        ticks(&children.cpu_time),
        20 + nice
    )?;
    let start = task.start.load(Relaxed) / EVENTS_PER_TICK;
    write!(
        out,
        " {start} {} {} {} 0 0 {}",
        stats.total_vm * PAGE_SIZE,
        resident(&stats),
        u64::MAX,
        stats.start_stack
    )?;
    // From kstkesp to cnswap; then SIGCHLD at the end, and up to start_data.
    write!(out, " 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0")?;
    writeln!(
        out,
        " {} {} {} {} {} {}",
        stats.start_brk,
        stats.args.start,
        stats.args.end,
        stats.env.start,
        stats.env.end,
        number(&task.exit_code)
    )
}

pub(super) fn statm(memory: Memory, out: &mut dyn Write) -> fmt::Result {
    let stats = memory.map(|mut memory| memory.stats()).unwrap_or_default();
    let shared = stats.rss[RssStat::File as usize] + stats.rss[RssStat::Shmem as usize];
    writeln!(
        out,
        "{} {} {shared} {} 0 {} 0",
        stats.total_vm,
        resident(&stats),
        stats.exec_vm,
        stats.data_vm + stats.stack_vm
    )
}
