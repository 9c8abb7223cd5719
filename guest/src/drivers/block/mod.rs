//! virtio-blk (virtio 1.2, section 5.2): the disks that the kernel swaps to and that it has files on.
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
use disk::{Disk, Parts};
use pagelab_abi::{PAGE_SIZE, swap::DiskIo};
use pagelab_mm::Pfn;
use spin::{Mutex, Once};

/// Sectors of a page.
const PAGE_SECTORS: u64 = PAGE_SIZE / disk::SECTOR_SIZE;

/// A disk with a purpose. There is one of each, and they have nothing in common.
pub(crate) struct Drive {
    /// What it is for: the key on the command line.
    name: &'static str,
    parts: Parts,
    disk: Once<Mutex<Disk>>,
    io: fn() -> &'static DiskIo,
}

/// The disk for swap.
pub(crate) static SWAP: Drive = Drive::new("swap", root::swap_io);

/// The disk for files.
pub(crate) static FILES: Drive = Drive::new("disk", root::file_io);

impl Drive {
    const fn new(name: &'static str, io: fn() -> &'static DiskIo) -> Self {
        Self {
            name,
            parts: Parts::new(),
            disk: Once::new(),
            io,
        }
    }

    /// Starts the disk, which is at the physical address `at`, if it is among the devices.
    pub(crate) fn probe(
        &'static self,
        devices: &[Device],
        windows: impl Iterator<Item = u64>,
        at: Option<u64>,
    ) {
        let (name, Some(at)) = (self.name, at) else {
            return;
        };
        let device = devices
            .iter()
            .zip(windows)
            .find(|(device, _)| device.window.start == at);
        let Some((device, window)) = device else {
            log::warn!("{name}: no device is announced at {at:#x}");
            return;
        };
        if device.window.end - device.window.start < 0x200 {
            log::warn!("{name}: the window at {at:#x} is too small");
            return;
        }
        match Disk::probe(window, &self.parts) {
            Ok(Some(disk)) => {
                (self.io)().pages.store(disk.pages(), Relaxed);
                self.disk.call_once(|| Mutex::new(disk));
            }
            Ok(None) => log::warn!("{name}: the device at {at:#x} is no disk"),
            Err(error) => log::warn!("{name}: the device at {at:#x}: {error}"),
        }
    }

    /// Pages of the disk; 0 without one.
    pub(crate) fn pages(&self) -> u64 {
        (self.io)().pages.load(Relaxed)
    }

    /// Reads a page of the disk into a frame. After an error the frame has no content that anybody
    /// can rely on.
    pub(crate) fn read(&self, page: u64, frame: Pfn) -> Result<(), DiskError> {
        self.read_many(page, &[frame])
    }

    /// Reads pages of the disk that follow one another, in as few requests as the disk allows. After
    /// an error, what [`Self::read`] says holds of all frames.
    pub(crate) fn read_many(&self, first: u64, frames: &[Pfn]) -> Result<(), DiskError> {
        let io = (self.io)();
        let most = self.with(|disk| Ok(disk.seg_max()))?;
        for (page, frames) in (first..).step_by(most).zip(frames.chunks(most)) {
            let done = self.with(|disk| disk.read_pages(page, frames));
            account(done, &io.reads, &io.read_errors)?;
        }
        Ok(())
    }

    /// Writes a frame to a page of the disk. After an error the page may have its old content, the
    /// new one, or part of each.
    pub(crate) fn write(&self, page: u64, frame: Pfn) -> Result<(), DiskError> {
        let io = (self.io)();
        let done = self.with(|disk| disk.write_page(page, frame));
        account(done, &io.writes, &io.write_errors)
    }

    /// Waits until everything that was written stays written.
    pub(crate) fn flush(&self) -> Result<(), DiskError> {
        let io = (self.io)();
        account(self.with(Disk::flush), &io.flushes, &io.flush_errors)
    }

    fn with<R>(&self, act: impl FnOnce(&mut Disk) -> Result<R, DiskError>) -> Result<R, DiskError> {
        let disk = self.disk.get().ok_or(DiskError::NoDisk)?;
        // Nobody holds it while an event is raised: there is one CPU, so it is free.
        act(&mut *disk.try_lock().ok_or(DiskError::Broken)?)
    }
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
