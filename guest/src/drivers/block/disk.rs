//! A disk: features, the queue, requests and waiting for them.

use super::PAGE_SECTORS;
use crate::drivers::virtio::{
    mmio::{Error, Transport},
    physical,
    queue::{Buffer, Direction, Queue, Rings},
};
use core::{
    cell::UnsafeCell,
    fmt,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};
use pagelab_abi::PAGE_SIZE;
use pagelab_mm::{Pfn, page_cache::READ_BATCH};

/// Device ID of a block device (section 5).
const BLOCK_ID: u32 = 2;

/// Bytes of a sector, whatever the block size is (section 5.2.4).
pub(super) const SECTOR_SIZE: u64 = 512;

/// Feature bits (section 5.2.3).
mod feature {
    pub(super) const SEG_MAX: u64 = 1 << 2;
    pub(super) const RO: u64 = 1 << 5;
    pub(super) const FLUSH: u64 = 1 << 9;
}

/// Requests (section 5.2.6).
mod request {
    pub(super) const IN: u32 = 0;
    pub(super) const OUT: u32 = 1;
    pub(super) const FLUSH: u32 = 4;
}

/// Statuses (section 5.2.6), and what stands there before the device answers.
mod status {
    pub(super) const OK: u8 = 0;
    pub(super) const IOERR: u8 = 1;
    pub(super) const UNSUPP: u8 = 2;
    pub(super) const NONE: u8 = 0xff;
}

/// Looks at the device before it is given up.
const PATIENCE: u32 = 1_000_000;

/// Entries of the queue: header, status and [`MAX_PAGES`] make 34, and its size is a power of two.
const ENTRIES: usize = 64;

/// Most pages that one request has; a device may take fewer.
const MAX_PAGES: usize = READ_BATCH;

/// Offset of `seg_max` in the configuration (section 5.2.4).
const SEG_MAX_OFFSET: usize = 12;

/// What a request has besides its pages.
#[repr(C, align(32))]
struct Frame {
    header: UnsafeCell<Header>,
    status: AtomicU8,
}

/// `struct virtio_blk_req`, as far as the device reads it.
#[repr(C)]
struct Header {
    kind: u32,
    reserved: u32,
    sector: u64,
}

// SAFETY: the header is written only through the one `Disk` that has the frame, by `&mut`, while the device has no request.
unsafe impl Sync for Frame {}

/// The memory that a driver shares with its device.
pub(super) struct Parts {
    rings: Rings<ENTRIES>,
    frame: Frame,
}

impl Parts {
    /// Nothing is asked for.
    pub(super) const fn new() -> Self {
        Self {
            rings: Rings::new(),
            frame: Frame {
                header: UnsafeCell::new(Header {
                    kind: 0,
                    reserved: 0,
                    sector: 0,
                }),
                status: AtomicU8::new(status::NONE),
            },
        }
    }
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskError {
    /// There is no disk.
    NoDisk,
    /// There is no such page on it.
    BeyondEnd,
    /// It cannot be written.
    ReadOnly,
    /// The device answered with an I/O error.
    Io,
    /// The device does not know the request.
    Unsupported,
    /// The device broke the protocol or stopped answering; it is not used any more.
    Broken,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDisk => "there is no disk",
            Self::BeyondEnd => "beyond the end of the disk",
            Self::ReadOnly => "the disk is read-only",
            Self::Io => "I/O error",
            Self::Unsupported => "the disk does not know the request",
            Self::Broken => "the disk is broken",
        })
    }
}

/// The driver's view of the device.
pub(super) struct Disk {
    /// Its own: no other disk has these.
    frame: &'static Frame,
    transport: Transport,
    queue: Queue<ENTRIES>,
    features: u64,
    sectors: u64,
    /// Pages that a request may have.
    seg_max: usize,
    broken: bool,
}

impl Disk {
    /// The disk in a register window; none if something else is there. `parts` are for this disk alone.
    pub(super) fn probe(window: u64, parts: &'static Parts) -> Result<Option<Self>, Error> {
        // SAFETY: the window is a mapped device window from the command line; the balloon's driver,
        // which looks into every window, leaves those alone that are not its own.
        let (transport, id) = unsafe { Transport::new(window)? };
        if id != BLOCK_ID {
            return Ok(None);
        }
        let features = transport.negotiate(feature::SEG_MAX | feature::RO | feature::FLUSH)?;
        let mut queue = Queue::new(&parts.rings);
        queue.refuse_interrupts();
        transport.start_queue(0, &queue)?;
        // A disk does not change its size while it has no other driver: two reads are consistent.
        let sectors = u64::from(transport.config(0)) | u64::from(transport.config(4)) << 32;
        // Without that feature, one buffer of data is what any device takes.
        let seg_max = match features & feature::SEG_MAX {
            0 => 1,
            _ => (transport.config(SEG_MAX_OFFSET) as usize).clamp(1, MAX_PAGES),
        };
        transport.start();
        Ok(Some(Self {
            frame: &parts.frame,
            transport,
            queue,
            features,
            sectors,
            seg_max,
            broken: false,
        }))
    }

    /// Whole pages that it has.
    pub(super) fn pages(&self) -> u64 {
        self.sectors / PAGE_SECTORS
    }

    /// Pages that it takes in one request.
    pub(super) fn seg_max(&self) -> usize {
        self.seg_max
    }

    /// Reads pages from `page` on into frames, from 1 to [`Self::seg_max`], in one request.
    pub(super) fn read_pages(&mut self, page: u64, frames: &[Pfn]) -> Result<(), DiskError> {
        let sector = self.sector(page, frames.len())?;
        self.request(request::IN, sector, frames, Direction::FromDevice)
    }

    /// Writes a frame to a page.
    pub(super) fn write_page(&mut self, page: u64, frame: Pfn) -> Result<(), DiskError> {
        if self.features & feature::RO != 0 {
            return Err(DiskError::ReadOnly);
        }
        let sector = self.sector(page, 1)?;
        self.request(request::OUT, sector, &[frame], Direction::ToDevice)
    }

    /// Waits until everything that was written stays written. A device that cannot flush keeps
    /// everything from the start (section 5.2.6.2).
    pub(super) fn flush(&mut self) -> Result<(), DiskError> {
        if self.features & feature::FLUSH == 0 {
            return Ok(());
        }
        self.request(request::FLUSH, 0, &[], Direction::ToDevice)
    }

    /// The first sector of so many pages.
    fn sector(&self, page: u64, count: usize) -> Result<u64, DiskError> {
        let end = page.checked_add(count as u64);
        if end.is_none_or(|end| end > self.pages()) {
            return Err(DiskError::BeyondEnd);
        }
        Ok(page * PAGE_SECTORS)
    }

    /// Asks for something with the content of frames, which go one way, and waits.
    fn request(
        &mut self,
        kind: u32,
        sector: u64,
        frames: &[Pfn],
        direction: Direction,
    ) -> Result<(), DiskError> {
        if self.broken {
            return Err(DiskError::Broken);
        }
        let header = Header {
            kind,
            reserved: 0,
            sector,
        };
        // SAFETY: the frame's one disk, by `&mut`; the device has no request that names the header.
        unsafe { *self.frame.header.get() = header };
        self.frame.status.store(status::NONE, Relaxed);
        let header = Buffer {
            address: physical(self.frame.header.get()),
            len: size_of::<Header>() as u32,
        };
        let answer = Buffer {
            address: physical(&raw const self.frame.status),
            len: 1,
        };
        let page = |frame: Pfn| Buffer {
            address: u64::from(frame.0) * PAGE_SIZE,
            len: PAGE_SIZE as u32,
        };
        let chain = (0..frames.len() + 2).map(|place| match place.checked_sub(1) {
            None => (header, Direction::ToDevice),
            Some(place) => match frames.get(place) {
                Some(&frame) => (page(frame), direction),
                None => (answer, Direction::FromDevice),
            },
        });
        self.queue.give_chain(chain);
        self.transport.notify(0);
        self.wait()
    }

    /// Waits for the answer. pagelab's own host is done when the notification returns; another one
    /// works while the guest looks at a register.
    fn wait(&mut self) -> Result<(), DiskError> {
        for _ in 0..PATIENCE {
            match self.queue.take() {
                Ok(true) => match self.frame.status.load(Relaxed) {
                    status::OK => return Ok(()),
                    status::IOERR => return Err(DiskError::Io),
                    status::UNSUPP => return Err(DiskError::Unsupported),
                    _ => break,
                },
                Ok(false) if self.transport.needs_reset() => break,
                Ok(false) => {}
                Err(_) => break,
            }
        }
        self.broken = true;
        log::warn!("the disk broke the protocol or stopped answering; it is not used any more");
        Err(DiskError::Broken)
    }
}
