//! The host's side of a disk.

use vm_memory::GuestMemoryBackend;

use super::{Backing, Block, ClockPlace, Counters};
use crate::devices::virtio::mmio::VirtioMmio;
use crate::fault::{FaultSpec, Injected, Injector, ReadWrite};

/// A disk behind its register window.
pub type BlockDevice<M> = VirtioMmio<Block, M>;

impl<M: GuestMemoryBackend> BlockDevice<M> {
    /// Bytes of the disk.
    pub fn size(&self) -> u64 {
        self.device().backing.size()
    }

    /// Its sectors.
    pub fn backing(&self) -> &Backing {
        &self.device().backing
    }

    /// What the disk has done so far.
    pub fn counters(&self) -> Counters {
        self.device().counters
    }

    /// Makes reads and writes fail, or wait, from now on as the injector says, instead of the one before. None waits
    /// before it is said where the guest's clock is; that is remembered.
    pub fn inject(&mut self, injector: Injector, clock: Option<ClockPlace>) {
        let device = self.device_mut();
        device.injector = injector;
        device.delay.set_clock(clock);
    }

    /// The injector.
    pub fn injector(&self) -> &Injector {
        &self.device().injector
    }

    /// Takes the direction of each request that an observer has noted since the last time.
    pub fn take_observed(&mut self) -> Vec<ReadWrite> {
        self.device_mut().injector.take_observed()
    }

    /// Has the injector fail what it held back; false if that has been.
    pub fn release(&mut self, spec: &FaultSpec) -> bool {
        self.device_mut().injector.release(spec)
    }

    /// What the injectors have done so far.
    pub fn injected(&self) -> Injected {
        self.device().injector.counts()
    }
}
