//! virtio-blk (virtio 1.2, section 5.2): the disk that the kernel swaps to.
//!
//! One request at a time, and the kernel waits for it: interrupts are off for the queue, so a disk never
//! decides when something happens. Pages go by their physical addresses, and so need no address in
//! the kernel.
//!
//! * `disk`: features, the queue, waiting for the device.

mod disk;

pub(crate) use disk::DiskError;

use crate::{cmdline::Device, root};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use disk::Disk;
use pagelab_abi::PAGE_SIZE;
use pagelab_mm::Pfn;
use spin::{Mutex, Once};

static SWAP: Once<Mutex<Disk>> = Once::new();

/// Starts the disk for swap, which is at the physical address `swap`, if it is among the devices.
pub(crate) fn probe(devices: &[Device], windows: impl Iterator<Item = u64>, swap: Option<u64>) {
    let Some(swap) = swap else { return };
    let device = devices
        .iter()
        .zip(windows)
        .find(|(device, _)| device.window.start == swap);
    let Some((device, window)) = device else {
        log::warn!("swap: no device is announced at {swap:#x}");
        return;
    };
    if device.window.end - device.window.start < 0x200 {
        log::warn!("swap: the window at {swap:#x} is too small");
        return;
    }
    match Disk::probe(window) {
        Ok(Some(disk)) => {
            root::swap_io().pages.store(disk.pages(), Relaxed);
            SWAP.call_once(|| Mutex::new(disk));
        }
        Ok(None) => log::warn!("swap: the device at {swap:#x} is no disk"),
        Err(error) => log::warn!("swap: the device at {swap:#x}: {error}"),
    }
}

/// Pages of the disk for swap; 0 without one.
pub(crate) fn swap_pages() -> u64 {
    root::swap_io().pages.load(Relaxed)
}

/// Reads page `slot` of the disk for swap into a frame. After an error the frame has no content that
/// anybody can rely on.
pub(crate) fn swap_read(slot: u64, frame: Pfn) -> Result<(), DiskError> {
    let io = root::swap_io();
    let done = with_swap(|disk| disk.read_page(slot, frame));
    account(done, &io.reads, &io.read_errors)
}

/// Writes a frame to page `slot` of the disk for swap. After an error the page may have its old
/// content, the new one, or part of each.
pub(crate) fn swap_write(slot: u64, frame: Pfn) -> Result<(), DiskError> {
    let io = root::swap_io();
    let done = with_swap(|disk| disk.write_page(slot, frame));
    account(done, &io.writes, &io.write_errors)
}

/// Waits until everything that was written stays written.
pub(crate) fn swap_flush() -> Result<(), DiskError> {
    let io = root::swap_io();
    account(with_swap(Disk::flush), &io.flushes, &io.flush_errors)
}

fn with_swap<R>(act: impl FnOnce(&mut Disk) -> Result<R, DiskError>) -> Result<R, DiskError> {
    let disk = SWAP.get().ok_or(DiskError::NoDisk)?;
    // Nobody holds it while an event is raised: there is one CPU, so it is free.
    act(&mut *disk.try_lock().ok_or(DiskError::Broken)?)
}

/// Counts what the device answered; what never reached it is not its doing.
fn account(
    done: Result<(), DiskError>,
    good: &AtomicU64,
    bad: &AtomicU64,
) -> Result<(), DiskError> {
    let counter = match done {
        Ok(()) => good,
        Err(DiskError::Io | DiskError::Unsupported) => bad,
        Err(_) => return done,
    };
    counter.store(counter.load(Relaxed) + 1, Relaxed);
    done
}

/// Sectors of a page.
const PAGE_SECTORS: u64 = PAGE_SIZE / disk::SECTOR_SIZE;
