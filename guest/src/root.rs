//! The root page: the one structure that the host knows by its place.

use crate::cmdline::Cmdline;
use core::{
    cell::UnsafeCell,
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    access::AccessBatch,
    control::Control,
    event::EventClock,
    event_log::EventLog,
    oom::OomKills,
    platform::{KERNEL_BASE, ROOT_PORT},
    program::ProgramEnd,
    root::{KernelMap, MmLayout, Root},
    swap::DiskIo,
    task::TaskList,
    tlb::TlbFlushes,
    view::ViewBuffer,
    workload::Progress,
};

struct RootPage(UnsafeCell<Root>);

// SAFETY: what changes after boot and is shared is atomic; the plain fields are written by the one
// CPU through raw pointers in this module and read by the host only while that CPU stands at a
// doorbell.
unsafe impl Sync for RootPage {}

static ROOT: RootPage = RootPage(UnsafeCell::new(Root::new()));

/// The event clock.
#[inline]
pub(crate) fn clock() -> &'static EventClock {
    // SAFETY: all atomics, never moved.
    unsafe { &(*ROOT.0.get()).clock }
}

/// Events so far.
#[inline]
pub(crate) fn events() -> u64 {
    clock().count.load(Relaxed)
}

/// What the host asks for.
#[inline]
pub(crate) fn control() -> &'static Control {
    // SAFETY: the guest and the host write only its atomics while it is shared.
    unsafe { &(*ROOT.0.get()).control }
}

/// The workload's account.
#[inline]
pub(crate) fn progress() -> &'static Progress {
    // SAFETY: all atomics, never moved.
    unsafe { &(*ROOT.0.get()).progress }
}

/// The account of the swap device.
#[inline]
pub(crate) fn swap_io() -> &'static DiskIo {
    // SAFETY: all atomics, never moved.
    unsafe { &(*ROOT.0.get()).swap_io }
}

/// The account of the disk for files.
#[inline]
pub(crate) fn file_io() -> &'static DiskIo {
    // SAFETY: all atomics, never moved.
    unsafe { &(*ROOT.0.get()).file_io }
}

/// All processes, for the host.
pub(crate) fn tasks() -> &'static TaskList {
    // SAFETY: all atomics, never moved.
    unsafe { &(*ROOT.0.get()).tasks }
}

/// Who was killed for want of memory.
pub(crate) fn oom() -> &'static OomKills {
    // SAFETY: all atomics, never moved.
    unsafe { &(*ROOT.0.get()).oom }
}

/// Where events are recorded.
pub(crate) fn log() -> &'static EventLog {
    // SAFETY: all atomics, never moved.
    unsafe { &(*ROOT.0.get()).log }
}

/// What the CPU was made to forget.
#[inline]
pub(crate) fn tlb() -> &'static TlbFlushes {
    // SAFETY: all atomics, never moved.
    unsafe { &(*ROOT.0.get()).tlb }
}

/// What became of the program.
pub(crate) fn program() -> &'static ProgramEnd {
    // SAFETY: all atomics, never moved.
    unsafe { &(*ROOT.0.get()).program }
}

/// Counts one more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

/// The place of the panic record.
pub(crate) fn panic_record() -> *mut pagelab_abi::panic::PanicRecord {
    // SAFETY: only the address is taken.
    unsafe { &raw mut (*ROOT.0.get()).panic }
}

/// Notes where the kernel is.
pub(crate) fn set_kernel(map: KernelMap) {
    // SAFETY: a plain field, written by the one CPU.
    unsafe { (*ROOT.0.get()).kernel = map };
}

/// Notes where the memory manager's structures are.
pub(crate) fn set_mm(layout: MmLayout) {
    // SAFETY: as above.
    unsafe { (*ROOT.0.get()).mm = layout };
}

/// Notes a batch of the access test.
pub(crate) fn set_access(batch: AccessBatch) {
    // SAFETY: as above.
    unsafe { (*ROOT.0.get()).access = batch };
}

/// Notes what stands in the view buffer.
pub(crate) fn set_view(view: ViewBuffer) {
    // SAFETY: as above.
    unsafe { (*ROOT.0.get()).view = view };
}

/// Tells the host where the root page is.
pub(crate) fn announce() {
    let physical = ROOT.0.get() as u64 - KERNEL_BASE;
    let pfn = (physical / crate::arch::layout::PAGE_SIZE) as u32;
    // SAFETY: pagelab's own port, which only names a page.
    unsafe { x86_64::instructions::port::Port::new(ROOT_PORT).write(pfn) };
}

/// Notes that the workload is over.
pub(crate) fn set_done() {
    progress().done.store(1, Relaxed);
}

/// Arms the fault attributes that the command line sets.
pub(crate) fn arm_faults(cmdline: &Cmdline<'_>) {
    let control = control();
    for (attr, knobs) in [
        (&control.fail_page_alloc, cmdline.fail_page_alloc),
        (&control.failslab, cmdline.failslab),
    ] {
        let Some(knobs) = knobs else { continue };
        attr.interval.store(knobs.interval, Relaxed);
        attr.space.store(knobs.space, Relaxed);
        attr.times.store(knobs.times, Relaxed);
        attr.rng.store(cmdline.seed | 1, Relaxed);
        attr.probability.store(knobs.probability, Relaxed);
    }
}

/// The workload's account as a line of text.
pub(crate) struct Account;

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = progress();
        let clock = clock();
        write!(
            f,
            "{} steps, {}+{} pages, {}+{} objects, {} kmaps, {} checks, {} mismatches, \
             {} events, trace {:016x}",
            progress.steps.load(Relaxed),
            progress.pages_ok.load(Relaxed),
            progress.pages_failed.load(Relaxed),
            progress.objects_ok.load(Relaxed),
            progress.objects_failed.load(Relaxed),
            progress.kmaps.load(Relaxed),
            progress.checks.load(Relaxed),
            progress.mismatches.load(Relaxed),
            clock.count.load(Relaxed),
            clock.hash.load(Relaxed),
        )
    }
}
