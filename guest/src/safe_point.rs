//! Safe points: where the kernel holds nothing and looks at what the world wants of it.

use crate::{
    arch::interrupt,
    drivers::balloon,
    memory::{Memory, mm},
    memory_failure, root,
    task::as_kernel,
    view,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Events between two runs of background reclaim: what it frees has to be used up before it is
/// worth another look at all caches.
const BACKGROUND_EVENTS: u64 = 256;

/// Event count from which background reclaim may run again.
static BACKGROUND_DUE: AtomicU64 = AtomicU64::new(0);

/// Serves raised interrupt lines, machine checks, background reclaim, dirty pages, the balloon and the host's wish for views. A
/// workload calls it after each step; with nothing to do it costs a few instructions.
#[inline]
pub(crate) fn pass() {
    if interrupt::is_pending() {
        let raised = interrupt::take();
        if interrupt::has_machine_check(raised) {
            memory_failure::deal_with_noted();
        }
        balloon::interrupt(raised);
    }
    let mm = mm();
    if is_background_due(mm, root::events()) {
        background(mm);
    }
    mm.balance_dirty_pages();
    balloon::work();
    if root::control().views_wanted.load(Relaxed) != 0 {
        view::show_wanted();
    }
}

/// Whether [`pass`] has something to do.
#[inline]
pub(crate) fn is_due() -> bool {
    let events = root::events();
    interrupt::is_pending()
        || is_background_due(mm(), events)
        || balloon::is_due(events)
        || root::control().views_wanted.load(Relaxed) != 0
}

/// Whether background reclaim has something to do after so many events.
#[inline]
fn is_background_due(mm: &Memory, events: u64) -> bool {
    mm.kswapd_is_awake() && events >= BACKGROUND_DUE.load(Relaxed)
}

/// Kept out of line, as [`pass`] is in every step.
#[cold]
#[inline(never)]
fn background(mm: &Memory) {
    as_kernel(|| mm.background_step());
    BACKGROUND_DUE.store(root::events() + BACKGROUND_EVENTS, Relaxed);
}
