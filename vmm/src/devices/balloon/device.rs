//! The device: queues and configuration space.

use std::ops::Range;

use log::warn;
use virtio_bindings::virtio_ids::VIRTIO_ID_BALLOON;
use vm_memory::GuestMemoryBackend;

use super::config::Config;
use super::discard::in_ram;
use super::held::HeldPages;
use super::stats::{self, Stats};
use super::{
    Counters, FEATURE_DEFLATE_ON_OOM, FEATURE_REPORTING, FEATURE_STATS_VQ, MAX_PFNS_PER_CHAIN,
    PAGE_SIZE, QUEUE_SIZE, ranges,
};
use crate::devices::virtio::queue::Virtqueue;
use crate::devices::virtio::{Violation, VirtioDevice};

/// What a queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueRole {
    Inflate,
    Deflate,
    Stats,
    Reporting,
}

/// The balloon. The host's side of it is on [`super::BalloonDevice`].
#[derive(Debug, Default)]
pub struct Balloon {
    pub(super) config: Config,
    pub(super) features: u64,
    pub(super) held: HeldPages,
    pub(super) stats: Stats,
    /// The chain with the last statistics; given back to ask for new ones.
    pub(super) stats_chain: Option<u16>,
    pub(super) counters: Counters,
}

impl Balloon {
    /// An empty balloon.
    pub fn new() -> Self {
        Self::default()
    }

    /// The queue's role. As Linux and QEMU have it, the queues of features that the driver has
    /// not accepted are left out and the later ones move up.
    pub(super) fn role(&self, index: usize) -> Option<QueueRole> {
        [
            (QueueRole::Inflate, true),
            (QueueRole::Deflate, true),
            (QueueRole::Stats, self.accepted(FEATURE_STATS_VQ)),
            (QueueRole::Reporting, self.accepted(FEATURE_REPORTING)),
        ]
        .into_iter()
        .filter_map(|(role, exists)| exists.then_some(role))
        .nth(index)
    }

    pub(super) fn accepted(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    fn inflate<M: GuestMemoryBackend>(&mut self, pfns: &[Range<u64>], ram: &M) {
        let mut inside = 0;
        for range in pfns.iter().flat_map(|pfns| in_ram(ram, pfns.clone())) {
            let pages = range.pfns.end - range.pfns.start;
            let added = self.held.insert(&range.pfns);
            inside += pages;
            self.counters.inflated_pages += added;
            self.counters.stray_pages += pages - added;
            if self.count_discard(range.discard()) {
                self.counters.reclaimed_bytes += pages * PAGE_SIZE;
            }
        }
        self.counters.pages_outside_ram += ranges::pages(pfns) - inside;
    }

    fn deflate<M: GuestMemoryBackend>(&mut self, pfns: &[Range<u64>], ram: &M) {
        let mut inside = 0;
        for range in pfns.iter().flat_map(|pfns| in_ram(ram, pfns.clone())) {
            let pages = range.pfns.end - range.pfns.start;
            let removed = self.held.remove(&range.pfns);
            inside += pages;
            self.counters.deflated_pages += removed;
            self.counters.stray_pages += pages - removed;
        }
        self.counters.pages_outside_ram += ranges::pages(pfns) - inside;
    }

    fn discard_reported<M: GuestMemoryBackend>(&mut self, pfns: &[Range<u64>], ram: &M) {
        let mut inside = 0;
        for range in pfns.iter().flat_map(|pfns| in_ram(ram, pfns.clone())) {
            let pages = range.pfns.end - range.pfns.start;
            inside += pages;
            if self.count_discard(range.discard()) {
                self.counters.reported_bytes += pages * PAGE_SIZE;
            }
        }
        self.counters.pages_outside_ram += ranges::pages(pfns) - inside;
    }

    fn count_discard(&mut self, result: std::io::Result<()>) -> bool {
        match result {
            Ok(()) => self.counters.discards += 1,
            Err(error) => {
                if self.counters.failed_discards == 0 {
                    warn!("the host's kernel does not discard guest pages: {error}");
                }
                self.counters.failed_discards += 1;
                return false;
            }
        }
        true
    }

    /// Keeps the newest buffer of statistics, and gives an older one back.
    fn take_stats<M: GuestMemoryBackend>(
        &mut self,
        queue: &mut Virtqueue,
        ram: &M,
    ) -> Result<(), Violation> {
        for chain in queue.take_all(ram)? {
            let mut buffer = Vec::new();
            chain.read_into(ram, stats::MAX_LEN, &mut buffer)?;
            self.stats.update(&buffer, &mut self.counters);
            if let Some(older) = self.stats_chain.replace(chain.head()) {
                queue.give_back(ram, older, 0)?;
            }
        }
        Ok(())
    }
}

/// Takes the pfns of all chains, lets `act` have them as ranges, and gives the chains back.
fn with_pfns<M: GuestMemoryBackend>(
    queue: &mut Virtqueue,
    ram: &M,
    act: impl FnOnce(&[Range<u64>]),
) -> Result<(), Violation> {
    let chains = queue.take_all(ram)?;
    let mut pfns = Vec::new();
    let mut buffer = Vec::new();
    for chain in &chains {
        buffer.clear();
        chain.read_into(ram, 4 * MAX_PFNS_PER_CHAIN, &mut buffer)?;
        let (entries, _rest) = buffer.as_chunks::<4>();
        pfns.extend(entries.iter().map(|bytes| u32::from_le_bytes(*bytes)));
    }
    act(&ranges::from_pfns(pfns));
    for chain in &chains {
        queue.give_back(ram, chain.head(), 0)?;
    }
    Ok(())
}

/// As [`with_pfns`], for chains whose buffers are themselves the pages (section 5.5.6.7). A page
/// that a buffer covers in part stays out.
fn with_reported<M: GuestMemoryBackend>(
    queue: &mut Virtqueue,
    ram: &M,
    act: impl FnOnce(&[Range<u64>]),
) -> Result<(), Violation> {
    let chains = queue.take_all(ram)?;
    let mut reported = Vec::new();
    for chain in &chains {
        reported.extend(chain.writable()?.map(|(address, len)| {
            let end = address.saturating_add(len.into());
            address.div_ceil(PAGE_SIZE)..end / PAGE_SIZE
        }));
    }
    act(&ranges::merge(reported));
    for chain in &chains {
        queue.give_back(ram, chain.head(), 0)?;
    }
    Ok(())
}

impl<M: GuestMemoryBackend> VirtioDevice<M> for Balloon {
    fn id(&self) -> u32 {
        VIRTIO_ID_BALLOON
    }

    fn features(&self) -> u64 {
        FEATURE_STATS_VQ | FEATURE_DEFLATE_ON_OOM | FEATURE_REPORTING
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE; 4]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        self.config.read(offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        self.config.write(offset, data);
    }

    fn activate(&mut self, features: u64) {
        self.features = features;
    }

    fn notify(&mut self, index: usize, queue: &mut Virtqueue, ram: &M) -> Result<(), Violation> {
        match self.role(index) {
            Some(QueueRole::Inflate) => with_pfns(queue, ram, |pfns| self.inflate(pfns, ram)),
            Some(QueueRole::Deflate) => with_pfns(queue, ram, |pfns| self.deflate(pfns, ram)),
            Some(QueueRole::Stats) => self.take_stats(queue, ram),
            Some(QueueRole::Reporting) => {
                with_reported(queue, ram, |pfns| self.discard_reported(pfns, ram))
            }
            None => Err(Violation::NoSuchQueue(index as u32)),
        }
    }

    fn reset(&mut self) {
        // A driver that starts again has all its memory; the host's target stays.
        self.config.actual = 0;
        self.features = 0;
        self.held.clear();
        self.stats_chain = None;
    }
}
