//! What /proc says of the whole machine, apart from its memory (Linux fs/proc/stat.c, loadavg.c,
//! uptime.c).

use super::all;
use crate::{fs::clock, fs::proc::SystemFile, root, task::EPOCH_NS};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::task::TaskState;

/// Nanoseconds of a clock tick.
const TICK: u64 = 10_000_000;

/// Nanoseconds of an event, which is time that the CPU worked.
const EVENT: u64 = 1000;

/// Writes a text.
pub(in crate::fs) fn system_text(file: SystemFile, out: &mut dyn Write) -> fmt::Result {
    let uptime = clock::now().saturating_sub(EPOCH_NS);
    let busy = root::events().saturating_mul(EVENT).min(uptime);
    let idle = uptime - busy;
    match file {
        SystemFile::Uptime => {
            let cents = |ns: u64| (ns / TICK / 100, ns / TICK % 100);
            let ((up, up_cents), (idle, idle_cents)) = (cents(uptime), cents(idle));
            writeln!(out, "{up}.{up_cents:02} {idle}.{idle_cents:02}")
        }
        SystemFile::Loadavg => {
            let (running, count) = (running(), root::tasks().count.load(Relaxed));
            let last = all().map(|task| task.pid.load(Relaxed)).max().unwrap_or(0);
            // No average is kept: what runs now is the load.
            writeln!(
                out,
                "{running}.00 {running}.00 {running}.00 {running}/{count} {last}"
            )
        }
        SystemFile::Stat => {
            let (busy, idle) = (busy / TICK, idle / TICK);
            for name in ["cpu ", "cpu0"] {
                writeln!(out, "{name} 0 0 {busy} {idle} 0 0 0 0 0 0")?;
            }
            writeln!(
                out,
                "intr 0\nctxt 0\nbtime {}\nprocesses {}\nprocs_running {}\nprocs_blocked 0",
                EPOCH_NS / 1_000_000_000,
                root::tasks().count.load(Relaxed),
                running()
            )
        }
    }
}

fn running() -> usize {
    let state = TaskState::Running as u32;
    all()
        .filter(|task| task.state.load(Relaxed) == state)
        .count()
}
