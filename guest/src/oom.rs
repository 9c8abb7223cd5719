//! Memory has run out: who is killed for it, and who is told. The choice and the report are
//! [`pagelab_mm::oom`]'s; the process itself ends in [`crate::task`].

use crate::{
    memory::{Memory, mm},
    root, serial,
};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use pagelab_abi::{
    gfp::Gfp,
    oom::{OomConstraint, OomKill},
};
use pagelab_mm::{
    Order,
    machine::Machine,
    memcg::GroupId,
    oom::{Candidate, Killed, Oom, OomControl},
};

/// There are victims that have not been sent their signal.
static PENDING: AtomicBool = AtomicBool::new(false);

/// It was said that nobody can be killed: once is enough until somebody was.
static HOPELESS: AtomicBool = AtomicBool::new(false);

/// Kills for an allocation. False if that was of no use: nobody can be killed, or the allocation is
/// that of a process that has been.
#[cold]
#[inline(never)]
pub(crate) fn kill(control: OomControl) -> bool {
    let oom = oom(mm(), control);
    if oom.is_for_victim() {
        return false;
    }
    let victim = oom.choose();
    if victim.is_some() || !HOPELESS.swap(victim.is_none(), Relaxed) {
        serial::log_text(|out| oom.report(victim.as_ref(), out));
    }
    let Some(victim) = victim else { return false };
    HOPELESS.store(false, Relaxed);
    PENDING.store(true, Relaxed);
    let killed = oom.kill(victim);
    let constraint = match control.memcg {
        None => OomConstraint::None,
        Some(_) => OomConstraint::Memcg,
    };
    record(&killed, control, constraint);
    true
}

/// The process that runs dies of a page that it does not get, and nobody else for it.
pub(crate) fn died_of_fault() {
    let control = OomControl {
        gfp: Gfp::HIGHUSER_MOVABLE,
        order: Order::ZERO,
        memcg: None,
    };
    let Some(victim) = oom(mm(), control).current() else {
        return;
    };
    serial::log_text(|out| victim.write_killed("Out of memory", out));
    let killed = Killed { victim, freed: 0 };
    record(&killed, control, OomConstraint::Fault);
}

/// Whether there are victims that were not asked for yet.
#[inline]
pub(crate) fn take_pending() -> bool {
    is_pending() && PENDING.swap(false, Relaxed)
}

/// Whether [`take_pending`] would say so.
#[inline]
pub(crate) fn is_pending() -> bool {
    PENDING.load(Relaxed)
}

/// A process as /proc shows it.
pub(crate) fn candidate(pid: u32) -> Option<Candidate> {
    let control = OomControl {
        gfp: Gfp::empty(),
        order: Order::ZERO,
        memcg: None,
    };
    oom(mm(), control).find(pid)
}

fn oom(mm: &'static Memory, control: OomControl) -> Oom<'static, impl Machine> {
    // SAFETY: the list is that of `task::table`, whose links and address spaces it keeps true; only
    // the running task's address space has a call under way, and none allocates with its tree of
    // areas borrowed.
    unsafe { Oom::new(mm, root::tasks(), control) }
}

/// Tells the host.
fn record(killed: &Killed, control: OomControl, constraint: OomConstraint) {
    let kills = root::oom();
    let count = kills.count.load(Relaxed);
    kills.count.store(count + 1, Relaxed);
    let Some(kill) = kills.kills.get(count as usize) else {
        return;
    };
    let OomKill {
        event,
        pid,
        group,
        comm,
        invoker,
        constraint: why,
        order,
        gfp,
        total_vm,
        rss,
        pgtables,
        freed,
        oom_score_adj,
        reserved: _,
    } = kill;
    let victim = &killed.victim;
    event.store(root::events(), Relaxed);
    pid.store(victim.pid, Relaxed);
    group.store(victim.group.map_or(0, GroupId::number), Relaxed);
    for (to, from) in comm.iter().zip(victim.comm) {
        to.store(from, Relaxed);
    }
    invoker.store(root::tasks().current.load(Relaxed), Relaxed);
    why.store(constraint as u32, Relaxed);
    order.store(control.order.get(), Relaxed);
    gfp.store(control.gfp.bits(), Relaxed);
    total_vm.store(victim.total_vm, Relaxed);
    for (to, from) in rss.iter().zip(victim.rss) {
        to.store(from, Relaxed);
    }
    pgtables.store(victim.pgtables, Relaxed);
    freed.store(killed.freed, Relaxed);
    oom_score_adj.store(victim.oom_score_adj.cast_unsigned(), Relaxed);
}
