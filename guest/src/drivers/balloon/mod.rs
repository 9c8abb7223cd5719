//! virtio-balloon (virtio 1.2, section 5.5): gives memory to the host and takes it back.
//!
//! All work is done at safe points, or as the last step of reclaim before an allocation fails; an
//! interrupt only says that there is some.
//!
//! * [`device`]: features, queues, waiting for the device.
//! * [`held`]: which blocks the host has.
//! * [`adjust`]: towards the host's target.
//! * [`stats`], [`report`]: what the host is told.

mod adjust;
mod device;
mod held;
mod report;
mod stats;

use crate::{
    cmdline::Device,
    drivers::virtio::mmio::{INTERRUPT_CONFIG, INTERRUPT_USED},
    memory::{Memory, mm},
};
use core::{
    cmp::Ordering,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use device::BalloonDevice;
use held::Held;
use pagelab_mm::{Order, Pfn};
use spin::{Mutex, Once};

/// Events after which an inflation that found no memory is tried again.
const RETRY_EVENTS: u64 = 1024;

/// Events after which an inflation is tried again when memory ran out for somebody else.
const OOM_RETRY_EVENTS: u64 = 1 << 14;

/// Pages given back at once when memory runs out (Linux: VIRTIO_BALLOON_OOM_NR_PAGES).
const OOM_PAGES: u32 = 256;

/// Events between two rounds of free page reporting.
const REPORT_EVENTS: u64 = 4096;

/// The balloon.
struct Balloon {
    device: BalloonDevice,
    held: Held,
    /// Pages that the host wants.
    target: u32,
    /// Event count before which no inflation is tried.
    retry_at: u64,
    /// Event count at which free pages are reported next.
    report_at: u64,
}

/// Event count from which [`work`] has something to do.
static DUE: AtomicU64 = AtomicU64::new(u64::MAX);

static BALLOON: Once<Mutex<Balloon>> = Once::new();

/// Starts the balloon if a register window has one; there is at most one.
pub(crate) fn probe(devices: &[Device], windows: impl Iterator<Item = u64>) {
    for (device, window) in devices.iter().zip(windows) {
        if device.window.end - device.window.start < 0x200 || BALLOON.is_completed() {
            continue;
        }
        match BalloonDevice::probe(window, device.line) {
            Ok(None) => {}
            Ok(Some(device)) => start(device),
            Err(error) => log::warn!("device at {:#x}: {error}", device.window.start),
        }
    }
}

fn start(device: BalloonDevice) {
    BALLOON.call_once(|| {
        let mut balloon = Balloon {
            target: 0,
            held: Held::new(),
            retry_at: 0,
            report_at: REPORT_EVENTS,
            device,
        };
        balloon.target = balloon.device.target();
        balloon.update_stats(mm());
        DUE.store(0, Relaxed);
        Mutex::new(balloon)
    });
}

/// Serves the lines that were raised, bit `n` for line `n`.
#[cold]
#[inline(never)]
pub(crate) fn interrupt(lines: u32) {
    if let Some(mut balloon) = BALLOON.get().and_then(Mutex::try_lock) {
        balloon.device.note_lines(lines);
        DUE.store(0, Relaxed);
    }
}

/// Whether [`work`] has something to do after so many events.
#[inline]
pub(crate) fn is_due(events: u64) -> bool {
    events >= DUE.load(Relaxed)
}

/// Does a bounded amount of work, if there is any. At safe points.
#[inline]
pub(crate) fn work() {
    if is_due(crate::root::events()) {
        crate::task::as_kernel(work_now);
    }
}

#[cold]
#[inline(never)]
fn work_now() {
    DUE.store(u64::MAX, Relaxed);
    let Some(balloon) = BALLOON.get() else { return };
    let Some(mut balloon) = balloon.try_lock() else {
        return;
    };
    let mm = mm();
    let reasons = balloon.device.take_reasons();
    if reasons & INTERRUPT_CONFIG != 0 {
        balloon.target = balloon.device.target();
        balloon.retry_at = 0;
    }
    if reasons & INTERRUPT_USED != 0 {
        balloon.update_stats(mm);
    }
    balloon.adjust(mm);
    balloon.report_free_pages(mm);
    DUE.store(balloon.next_work(), Relaxed);
}

impl Balloon {
    /// Event count at which there is work again, if no interrupt comes first.
    fn next_work(&self) -> u64 {
        if !self.device.is_usable() {
            return u64::MAX;
        }
        if self.device.has_reasons() {
            return 0;
        }
        let adjust = match self.target.cmp(&self.held.pages()) {
            Ordering::Less => 0,
            Ordering::Equal => u64::MAX,
            Ordering::Greater => self.retry_at,
        };
        let report = if self.device.has_reporting() {
            self.report_at
        } else {
            u64::MAX
        };
        adjust.min(report)
    }
}

/// Pages that the host has.
pub(crate) fn held_pages() -> u32 {
    let balloon = BALLOON.get().and_then(Mutex::try_lock);
    balloon.map_or(0, |balloon| balloon.held.pages())
}

/// Gives some pages back to the memory manager, which is about to fail an allocation; returns how
/// many. 0 if the host did not allow it (deflate on OOM), or the balloon itself is what allocates.
#[cold]
#[inline(never)]
pub(crate) fn out_of_memory(mm: &Memory) -> u32 {
    let Some(mut balloon) = BALLOON.get().and_then(Mutex::try_lock) else {
        return 0;
    };
    if !balloon.device.deflates_on_oom() {
        return 0;
    }
    let keep = balloon.held.pages().saturating_sub(OOM_PAGES);
    balloon.retry_at = crate::root::events() + OOM_RETRY_EVENTS;
    DUE.store(0, Relaxed);
    balloon.deflate_to(mm, keep)
}

/// Frames of a block, as the device counts them: from 0, 4 KiB each.
fn frames(pfn: Pfn, order: Order) -> core::ops::Range<u32> {
    pfn.0..pfn.0 + order.pages()
}
