//! virtio-blk (virtio 1.2, section 5.2): the disks that the kernel swaps to and that it has files on.
//!
//! The kernel gives one request, or some at once, and waits until all are answered: interrupts are off for the
//! queue, so a disk never decides when something happens. Pages go by their physical addresses, and so
//! need no address in the kernel. A host may keep a request back until an event of the clock, as a slow disk would: the
//! kernel waits in its place, and each event of that time is an `io_wait`.
//!
//! * `disk`: features, the queue, waiting for the device.

mod disk;

pub(crate) use disk::{DiskError, Way};

use crate::{cmdline::Device, root};
use core::{slice, sync::atomic::Ordering::Relaxed};
use disk::{Disk, Parts, Request};
use pagelab_abi::{PAGE_SIZE, swap::DiskIo};
use pagelab_mm::{
    Pfn,
    machine::{SwapIoError, SwapRequest},
};
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
        match Disk::probe(window, &self.parts, (self.io)()) {
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
        self.transfer_one(Way::Read, first, frames)
    }

    /// Writes a frame to a page of the disk. After an error the page may have its old content, the
    /// new one, or part of each.
    pub(crate) fn write(&self, page: u64, frame: Pfn) -> Result<(), DiskError> {
        self.transfer_one(Way::Write, page, &[frame])
    }

    /// Carries requests out that the disk gets at once, as many as there is room for; each has its own answer.
    pub(crate) fn transfer<R: Request>(&self, way: Way, requests: &mut [R]) {
        let done = self.with(|disk| {
            disk.transfer(way, requests);
            Ok(())
        });
        if let Err(error) = done {
            for request in requests {
                request.answer(Err(error));
            }
        }
    }

    fn transfer_one(&self, way: Way, first: u64, frames: &[Pfn]) -> Result<(), DiskError> {
        let mut request = Single {
            first,
            frames,
            answer: Err(DiskError::NoDisk),
        };
        self.transfer(way, slice::from_mut(&mut request));
        request.answer
    }

    /// Waits until everything that was written stays written.
    pub(crate) fn flush(&self) -> Result<(), DiskError> {
        self.with(Disk::flush)
    }

    fn with<R>(&self, act: impl FnOnce(&mut Disk) -> Result<R, DiskError>) -> Result<R, DiskError> {
        let disk = self.disk.get().ok_or(DiskError::NoDisk)?;
        // Nobody holds it while an event is raised: there is one CPU, so it is free.
        act(&mut *disk.try_lock().ok_or(DiskError::Broken)?)
    }
}

/// A request by itself.
struct Single<'a> {
    first: u64,
    frames: &'a [Pfn],
    answer: Result<(), DiskError>,
}

impl Request for Single<'_> {
    fn first(&self) -> u64 {
        self.first
    }

    fn frames(&self) -> &[Pfn] {
        self.frames
    }

    fn answer(&mut self, answer: Result<(), DiskError>) {
        self.answer = answer;
    }
}

/// One of those that the memory manager has for its swap device.
impl Request for SwapRequest<'_> {
    fn first(&self) -> u64 {
        self.slot
    }

    fn frames(&self) -> &[Pfn] {
        self.frames
    }

    fn answer(&mut self, answer: Result<(), DiskError>) {
        self.done = answer.map_err(|_| SwapIoError);
    }
}
