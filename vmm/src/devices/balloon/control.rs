//! The host's side of the balloon.

use vm_memory::GuestMemoryBackend;

use super::device::QueueRole;
use super::{Balloon, Counters, FEATURE_DEFLATE_ON_OOM, PAGE_SIZE, Stats};
use crate::devices::virtio::mmio::VirtioMmio;

/// A balloon behind its register window.
pub type BalloonDevice<M> = VirtioMmio<Balloon, M>;

impl<M: GuestMemoryBackend> BalloonDevice<M> {
    /// Asks the guest to bring the balloon to `bytes`, rounded down to whole pages; at most 16 TiB
    /// less one page. A running driver gets an interrupt; one that starts later reads the target.
    pub fn set_target(&mut self, bytes: u64) {
        let pages = u32::try_from(bytes / PAGE_SIZE).unwrap_or(u32::MAX);
        self.change_config(|balloon| balloon.config.num_pages = pages);
    }

    /// Bytes that the host wants the balloon to have.
    pub fn target(&self) -> u64 {
        u64::from(self.device().config.num_pages) * PAGE_SIZE
    }

    /// Bytes that the driver says the balloon has.
    pub fn actual(&self) -> u64 {
        u64::from(self.device().config.actual) * PAGE_SIZE
    }

    /// Bytes of the pages that the driver has handed over and not taken back, by the host's own
    /// account.
    pub fn held(&self) -> u64 {
        self.device().held.count() * PAGE_SIZE
    }

    /// True if a page frame is in the balloon, by the host's own account.
    pub fn holds(&self, pfn: u64) -> bool {
        self.device().held.contains(pfn)
    }

    /// True if the driver may take pages back on its own before it runs out of memory.
    pub fn deflates_on_oom(&self) -> bool {
        self.device().accepted(FEATURE_DEFLATE_ON_OOM)
    }

    /// What the balloon has done so far.
    pub fn counters(&self) -> Counters {
        self.device().counters
    }

    /// The statistics that the driver sent last.
    pub fn stats(&self) -> &Stats {
        &self.device().stats
    }

    /// Asks the driver for new statistics, which come when the guest next runs. False if it has
    /// not sent any yet, or still has to answer the last request.
    pub fn request_stats(&mut self) -> bool {
        let index = (0..4).find(|index| self.device().role(*index) == Some(QueueRole::Stats));
        let asked = index.and_then(|index| {
            self.with_queue(index, |balloon, queue, ram| {
                let Some(head) = balloon.stats_chain.take() else {
                    return Ok(false);
                };
                queue.give_back(ram, head, 0).map(|()| true)
            })
        });
        asked.unwrap_or(false)
    }
}
