//! A disk: features, the queue, requests and waiting for them.

use super::PAGE_SECTORS;
use crate::{
    drivers::virtio::{
        mmio::{Error, Transport},
        physical,
        queue::{Buffer, Direction, Queue, Rings},
    },
    memory::mm,
    root,
};
use core::{
    cell::UnsafeCell,
    fmt,
    sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SIZE,
    event::EventKind,
    swap::{DiskIo, IO_TIMEOUT},
};
use pagelab_mm::{Pfn, machine::Machine, page_cache::READ_BATCH};

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

/// Entries of the queue: [`MAX_REQUESTS`] of a page have 96, with header and status, and its size is a power of
/// two.
const ENTRIES: usize = 128;

/// Most requests that the device has at once: what reclaim writes together.
const MAX_REQUESTS: usize = 32;

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

// SAFETY: the header is written only through the one `Disk` that has the frame, by `&mut`, while the device has
// no request in this place.
unsafe impl Sync for Frame {}

/// Lets time go on until an event: nobody else can run, for the kernel is in the middle of something. False if that is
/// too far away.
fn wait_for_event(due: u64) -> bool {
    let until = due.min(root::events().saturating_add(IO_TIMEOUT));
    while root::events() < until {
        mm().machine()
            .event(EventKind::IoWait, due, root::events() + 1);
    }
    until == due
}

/// What a disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the disk to memory.
    Read,
    /// From memory to the disk.
    Write,
    /// What was written stays written.
    Flush,
}

impl Way {
    const fn kind(self) -> u32 {
        match self {
            Self::Read => request::IN,
            Self::Write => request::OUT,
            Self::Flush => request::FLUSH,
        }
    }

    /// Where requests that succeeded are counted, and those that the device failed.
    const fn counters(self, io: &DiskIo) -> (&AtomicU64, &AtomicU64) {
        match self {
            Self::Read => (&io.reads, &io.read_errors),
            Self::Write => (&io.writes, &io.write_errors),
            Self::Flush => (&io.flushes, &io.flush_errors),
        }
    }
}

/// Pages of a disk that follow one another, and their frames, one or more.
pub(crate) trait Request {
    /// The first page.
    fn first(&self) -> u64;

    /// The frames.
    fn frames(&self) -> &[Pfn];

    /// Takes the answer.
    fn answer(&mut self, answer: Result<(), DiskError>);
}

/// The memory that a driver shares with its device.
pub(super) struct Parts {
    rings: Rings<ENTRIES>,
    frames: [Frame; MAX_REQUESTS],
}

impl Parts {
    /// Nothing is asked for.
    pub(super) const fn new() -> Self {
        Self {
            rings: Rings::new(),
            frames: [const {
                Frame {
                    header: UnsafeCell::new(Header {
                        kind: 0,
                        reserved: 0,
                        sector: 0,
                    }),
                    status: AtomicU8::new(status::NONE),
                }
            }; MAX_REQUESTS],
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
    /// Its own: no other disk has these. One for each request that the device has.
    frames: &'static [Frame; MAX_REQUESTS],
    /// What it was asked for, and how it answered.
    io: &'static DiskIo,
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
    pub(super) fn probe(
        window: u64,
        parts: &'static Parts,
        io: &'static DiskIo,
    ) -> Result<Option<Self>, Error> {
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
            frames: &parts.frames,
            io,
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

    /// Carries requests out, as many at once as there is room for. Each is answered for itself.
    pub(super) fn transfer<R: Request>(&mut self, way: Way, requests: &mut [R]) {
        let mut rest = requests;
        while !rest.is_empty() {
            let count = self.group(way, rest);
            let (group, after) = rest.split_at_mut(count.max(1));
            if count > 0 {
                for (place, request) in group.iter().enumerate() {
                    self.give(way, request.first(), request.frames(), place);
                }
                self.finish();
                for (place, request) in group.iter_mut().enumerate() {
                    request.answer(self.answer(way, place));
                }
            } else {
                let answer = self.transfer_in_parts(way, group[0].first(), group[0].frames());
                group[0].answer(answer);
            }
            rest = after;
        }
    }

    /// How many of the requests, from the first one on, the device can have at once.
    fn group<R: Request>(&self, way: Way, requests: &[R]) -> usize {
        let mut room = self.queue.room();
        let fits = |request: &&R| {
            let count = request.frames().len();
            let fits = count <= self.seg_max
                && count + 2 <= room
                && self.check(way, request.first(), count).is_ok();
            room -= if fits { count + 2 } else { 0 };
            fits
        };
        requests.iter().take(MAX_REQUESTS).take_while(fits).count()
    }

    /// Carries a request out that has more pages than the device takes at once, or says why not.
    fn transfer_in_parts(&mut self, way: Way, first: u64, frames: &[Pfn]) -> Result<(), DiskError> {
        self.usable(way, first, frames.len())?;
        for (page, frames) in (first..)
            .step_by(self.seg_max)
            .zip(frames.chunks(self.seg_max))
        {
            self.give(way, page, frames, 0);
            self.finish();
            self.answer(way, 0)?;
        }
        Ok(())
    }

    /// Waits until everything that was written stays written. A device that cannot flush keeps
    /// everything from the start (section 5.2.6.2).
    pub(super) fn flush(&mut self) -> Result<(), DiskError> {
        if self.features & feature::FLUSH == 0 {
            return Ok(());
        }
        self.usable(Way::Flush, 0, 0)?;
        self.give(Way::Flush, 0, &[], 0);
        self.finish();
        self.answer(Way::Flush, 0)
    }

    /// As [`Self::check`]; that the disk is broken is counted.
    fn usable(&self, way: Way, first: u64, count: usize) -> Result<(), DiskError> {
        let checked = self.check(way, first, count);
        if checked == Err(DiskError::Broken) {
            root::count(&self.io.unanswered);
        }
        checked
    }

    /// Why a request for so many pages is of no use, if it is.
    fn check(&self, way: Way, first: u64, count: usize) -> Result<(), DiskError> {
        let end = first.checked_add(count as u64);
        if self.broken {
            Err(DiskError::Broken)
        } else if end.is_none_or(|end| end > self.pages()) {
            Err(DiskError::BeyondEnd)
        } else if way == Way::Write && self.features & feature::RO != 0 {
            Err(DiskError::ReadOnly)
        } else {
            Ok(())
        }
    }

    /// Gives a request that is of use to the device, in a place that no other request has.
    fn give(&mut self, way: Way, first: u64, frames: &[Pfn], place: usize) {
        let header = Header {
            kind: way.kind(),
            reserved: 0,
            sector: first * PAGE_SECTORS,
        };
        let Frame { header: at, status } = &self.frames[place];
        // SAFETY: a place of this one disk, by `&mut`; the device has no request that names the header.
        unsafe { *at.get() = header };
        status.store(status::NONE, Relaxed);
        let header = Buffer {
            address: physical(at.get()),
            len: size_of::<Header>() as u32,
        };
        let answer = Buffer {
            address: physical(&raw const *status),
            len: 1,
        };
        let page = |frame: Pfn| Buffer {
            address: u64::from(frame.0) * PAGE_SIZE,
            len: PAGE_SIZE as u32,
        };
        let direction = match way {
            Way::Read => Direction::FromDevice,
            Way::Write | Way::Flush => Direction::ToDevice,
        };
        let chain = (0..frames.len() + 2).map(|place| match place.checked_sub(1) {
            None => (header, Direction::ToDevice),
            Some(place) => match frames.get(place) {
                Some(&frame) => (page(frame), direction),
                None => (answer, Direction::FromDevice),
            },
        });
        self.queue.give_chain(chain);
    }

    /// Waits until all requests that were given are back. pagelab's own host is done when the notification
    /// returns, or says at which event it will be; another one works while the guest looks at a register.
    fn finish(&mut self) {
        self.transport.notify(0);
        for _ in 0..PATIENCE {
            match self.queue.take() {
                Ok(Some(_)) if self.queue.is_busy() => {}
                Ok(Some(_)) => return,
                Ok(None) => match self.io.due.load(Relaxed) {
                    0 if self.transport.needs_reset() => break,
                    0 => {}
                    due => {
                        if !wait_for_event(due) {
                            self.broken = true;
                            log::warn!(
                                "the disk did not answer within {IO_TIMEOUT} events; it is not used any more"
                            );
                            return;
                        }
                        self.transport.notify(0);
                    }
                },
                Err(_) => break,
            }
        }
        self.give_up();
    }

    /// What the device says of the request in a place, and counts it.
    fn answer(&mut self, way: Way, place: usize) -> Result<(), DiskError> {
        if self.broken {
            root::count(&self.io.unanswered);
            return Err(DiskError::Broken);
        }
        let (good, bad) = way.counters(self.io);
        let (answer, counter) = match self.frames[place].status.load(Relaxed) {
            status::OK => (Ok(()), good),
            status::IOERR => (Err(DiskError::Io), bad),
            status::UNSUPP => (Err(DiskError::Unsupported), bad),
            _ => {
                self.give_up();
                root::count(&self.io.unanswered);
                return Err(DiskError::Broken);
            }
        };
        root::count(counter);
        answer
    }

    fn give_up(&mut self) {
        self.broken = true;
        log::warn!("the disk broke the protocol or stopped answering; it is not used any more");
    }
}
