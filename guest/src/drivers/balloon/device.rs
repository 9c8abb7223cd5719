//! The device: features, queues, and waiting for it.

use crate::{
    arch::interrupt,
    drivers::virtio::{
        mmio::{Error, INTERRUPT_USED, Transport},
        physical,
        queue::{Broken, Buffer, Direction, Queue, Rings},
    },
};
use core::{cell::UnsafeCell, ops::Range};
use zerocopy::{Immutable, IntoBytes};

/// Device ID of a memory balloon (section 5).
const BALLOON_ID: u32 = 5;

/// Feature bits (section 5.5.3).
mod feature {
    pub(super) const MUST_TELL_HOST: u64 = 1 << 0;
    pub(super) const STATS_VQ: u64 = 1 << 1;
    pub(super) const DEFLATE_ON_OOM: u64 = 1 << 2;
    pub(super) const REPORTING: u64 = 1 << 5;
    pub(super) const ALL: u64 = MUST_TELL_HOST | STATS_VQ | DEFLATE_ON_OOM | REPORTING;
}

/// Configuration space (section 5.5.4): byte offsets.
mod config {
    pub(super) const NUM_PAGES: usize = 0;
    pub(super) const ACTUAL: usize = 4;
}

/// Frames named to the device at once: a block of the largest order.
pub(super) const CHUNK: usize = 1024;

/// Pairs of frames listed in one turn of a loop: a gibibyte is a quarter of a million frames, and a
/// host that interprets ring 0 counts each instruction.
const UNROLLED: usize = 16;

/// Free blocks reported at once (Linux: PAGE_REPORTING_CAPACITY).
pub(super) const REPORT_BLOCKS: usize = 32;

/// Statistics sent at once.
pub(super) const MAX_STATS: usize = 16;

/// Rounds of waiting for the device before it is given up.
const PATIENCE: u32 = 1_000_000;

static INFLATE: Rings<2> = Rings::new();
static DEFLATE: Rings<2> = Rings::new();
static STATS: Rings<2> = Rings::new();
static REPORT: Rings<REPORT_BLOCKS> = Rings::new();

/// Memory that the device reads.
#[repr(C, align(4096))]
struct Shared<T>(UnsafeCell<T>);

// SAFETY: reached only through the one `BalloonDevice`, behind its lock.
unsafe impl<T> Sync for Shared<T> {}

static PFNS: Shared<[u64; CHUNK / 2]> = Shared(UnsafeCell::new([0; CHUNK / 2]));
static STAT_BUFFER: Shared<[Stat; MAX_STATS]> = Shared(UnsafeCell::new(
    [const {
        Stat {
            tag: 0,
            value: [0; 8],
        }
    }; MAX_STATS],
));

/// One statistic, as the device reads it (`struct virtio_balloon_stat`, packed).
#[derive(Clone, Copy, Immutable, IntoBytes)]
#[repr(C, packed)]
pub(super) struct Stat {
    pub(super) tag: u16,
    pub(super) value: [u8; 8],
}

/// Which way frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Inflate,
    Deflate,
}

/// The driver's view of the device.
pub(super) struct BalloonDevice {
    transport: Transport,
    features: u64,
    line: u32,
    inflate: Queue<2>,
    deflate: Queue<2>,
    stats: Queue<2>,
    report: Queue<REPORT_BLOCKS>,
    /// Interrupt reasons not yet taken.
    reasons: u32,
    /// Frames in [`PFNS`].
    listed: usize,
    broken: bool,
}

impl BalloonDevice {
    /// The balloon in a register window; none if something else is there.
    pub(super) fn probe(window: u64, line: u32) -> Result<Option<Self>, Error> {
        // SAFETY: the window is a mapped device window from the command line, each used once.
        let (transport, id) = unsafe { Transport::new(window)? };
        if id != BALLOON_ID {
            return Ok(None);
        }
        let features = transport.negotiate(feature::ALL)?;
        let this = Self {
            transport,
            features,
            line,
            inflate: Queue::new(&INFLATE),
            deflate: Queue::new(&DEFLATE),
            stats: Queue::new(&STATS),
            report: Queue::new(&REPORT),
            reasons: 0,
            listed: 0,
            broken: false,
        };
        this.transport.start_queue(0, &this.inflate)?;
        this.transport.start_queue(1, &this.deflate)?;
        if this.has_stats() {
            this.transport.start_queue(2, &this.stats)?;
        }
        if this.has_reporting() {
            this.transport
                .start_queue(this.report_index(), &this.report)?;
        }
        this.transport.start();
        Ok(Some(this))
    }

    pub(super) fn has_stats(&self) -> bool {
        self.features & feature::STATS_VQ != 0
    }

    pub(super) fn has_reporting(&self) -> bool {
        self.features & feature::REPORTING != 0
    }

    pub(super) fn deflates_on_oom(&self) -> bool {
        self.features & feature::DEFLATE_ON_OOM != 0
    }

    /// False once the device broke the protocol or stopped answering.
    pub(super) fn is_usable(&self) -> bool {
        !self.broken
    }

    /// As Linux and QEMU have it, queues that were not negotiated do not count.
    fn report_index(&self) -> u32 {
        2 + u32::from(self.has_stats())
    }

    /// Pages that the host wants.
    pub(super) fn target(&self) -> u32 {
        self.transport.config(config::NUM_PAGES)
    }

    /// Tells the host how many pages it has.
    pub(super) fn set_actual(&self, pages: u32) {
        self.transport.set_config(config::ACTUAL, pages);
    }

    /// Asks the device why it raised its line, if it is among those raised.
    pub(super) fn note_lines(&mut self, lines: u32) {
        if lines & 1 << self.line != 0 {
            self.reasons |= self.transport.take_interrupt();
        }
    }

    /// Whether an interrupt gave reasons that nobody took.
    pub(super) fn has_reasons(&self) -> bool {
        self.reasons != 0
    }

    /// Takes the reasons of all interrupts so far.
    pub(super) fn take_reasons(&mut self) -> u32 {
        core::mem::take(&mut self.reasons)
    }

    /// Frames that [`Self::list`] has room for; even.
    pub(super) fn room(&self) -> u32 {
        (CHUNK - self.listed) as u32
    }

    /// Lists frames for the next [`Self::tell`].
    ///
    /// # Panics
    /// If there are more than [`Self::room`].
    pub(super) fn list(&mut self, mut frames: Range<u32>) {
        // SAFETY: behind the balloon's lock, and the device has no chain that names the array.
        let pfns = unsafe { &mut *PFNS.0.get() };
        // One frame to fill a word that is half full, then two at a time, then what is left.
        if !self.listed.is_multiple_of(2)
            && let Some(frame) = frames.next()
        {
            let word = &mut pfns[self.listed / 2];
            *word = (*word & 0xffff_ffff) | (u64::from(frame) << 32);
            self.listed += 1;
        }
        let last = (!frames.len().is_multiple_of(2))
            .then(|| frames.next_back())
            .flatten();
        if !frames.is_empty() {
            let start = self.listed / 2;
            let mut pair = u64::from(frames.start) | (u64::from(frames.start + 1) << 32);
            let step = core::hint::black_box(2 | (2 << 32));
            let words = &mut pfns[start..start + frames.len() / 2];
            let (groups, rest) = words.as_chunks_mut::<UNROLLED>();
            let mut put = |word: &mut u64| {
                *word = pair;
                pair = pair.wrapping_add(step);
            };
            groups
                .iter_mut()
                .for_each(|group| group.iter_mut().for_each(&mut put));
            rest.iter_mut().for_each(put);
            self.listed += frames.len();
        }
        if let Some(frame) = last {
            pfns[self.listed / 2] = frame.into();
            self.listed += 1;
        }
    }

    /// Tells the host of the frames that were listed and waits until it knows.
    pub(super) fn tell(&mut self, way: Way) -> Result<(), Broken> {
        let listed = core::mem::take(&mut self.listed);
        if listed == 0 {
            return Ok(());
        }
        let buffer = Buffer {
            address: physical(PFNS.0.get()),
            len: listed as u32 * 4,
        };
        let (queue, index) = match way {
            Way::Inflate => (&mut self.inflate, 0),
            Way::Deflate => (&mut self.deflate, 1),
        };
        queue.give([buffer].into_iter(), Direction::ToDevice);
        self.transport.notify(index);
        self.wait(|this| match way {
            Way::Inflate => this.inflate.take(),
            Way::Deflate => this.deflate.take(),
        })
    }

    /// Reports free blocks: physical addresses and bytes. Waits until the host knows.
    pub(super) fn report(
        &mut self,
        blocks: impl ExactSizeIterator<Item = Buffer>,
    ) -> Result<(), Broken> {
        self.report.give(blocks, Direction::FromDevice);
        self.transport.notify(self.report_index());
        self.wait(|this| this.report.take())
    }

    /// Sends statistics, unless the device still has the last ones.
    pub(super) fn send_stats(&mut self, stats: impl Iterator<Item = Stat>) -> Result<(), Broken> {
        self.stats.take()?;
        if self.stats.is_busy() {
            return Ok(());
        }
        // SAFETY: behind the balloon's lock, and the device has no chain that names the array.
        let slots = unsafe { &mut *STAT_BUFFER.0.get() };
        let count = slots
            .iter_mut()
            .zip(stats)
            .map(|(slot, stat)| *slot = stat)
            .count();
        let buffer = Buffer {
            address: physical(STAT_BUFFER.0.get()),
            len: (count * size_of::<Stat>()) as u32,
        };
        self.stats.give([buffer].into_iter(), Direction::ToDevice);
        self.transport.notify(2);
        Ok(())
    }

    /// Waits for the device, asleep if it takes its time. pagelab's own host is done when the
    /// notification returns.
    fn wait(
        &mut self,
        mut done: impl FnMut(&mut Self) -> Result<Option<u16>, Broken>,
    ) -> Result<(), Broken> {
        for _ in 0..PATIENCE {
            match done(self) {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {}
                Err(Broken) => break,
            }
            interrupt::wait();
            let lines = interrupt::take();
            self.note_lines(lines);
            // Others' lines are not lost: there is no other driver.
            self.reasons |= INTERRUPT_USED;
        }
        self.broken = true;
        log::warn!("the balloon device broke the protocol; it is not used any more");
        Err(Broken)
    }
}
