//! In what a machine differs from a moment of another one.

use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::devices::DevicesState;
use super::error::SnapshotError;
use super::memory::PAGE;
use super::moving::{MovingSnapshot, page_of};
use super::pages::Pages;
use crate::machine::machine::Machine;

/// What is not the same. Left out are counters that go by time, and the sectors of disks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// The first bytes of memory: guest-physical address, and the bits that differ.
    pub bytes: Vec<(u64, u8)>,
    /// Whether registers or devices differ.
    pub elsewhere: bool,
}

impl Machine {
    /// In what the machine differs from a moment of a machine with the same memory; of the bytes of memory no
    /// more than `most` are named.
    ///
    /// # Errors
    /// [`SnapshotError::Ended`] after the end; otherwise the host's.
    pub fn differences(
        &mut self,
        moment: &MovingSnapshot,
        most: usize,
    ) -> Result<Differences, SnapshotError> {
        let cpu = self.stand_still(&moment.cpu)?;
        let devices = DevicesState::take(&mut self.devices);
        let elsewhere = !cpu.is_same(&moment.cpu) || !devices.is_same(&moment.devices);
        let pages = Pages::with(&moment.base.0.memory, &moment.changed);
        let mut bytes = Vec::new();
        for (region, page) in self.differing(pages)? {
            let Some(mapped) = self.memory().iter().nth(region) else {
                continue;
            };
            // SAFETY: `differing` names pages of the region only, which stays mapped; the vCPU and the devices
            // stand still, so nobody stores to it while the reference lives.
            let now = unsafe { &*page_of(mapped.as_ptr(), page) };
            let then = pages.page(region, page).unwrap_or(&[0; PAGE]);
            let start = mapped.start_addr().raw_value() + page * PAGE as u64;
            let pairs = now.iter().zip(then).zip(start..);
            let differ = pairs.filter_map(|((now, then), gpa)| {
                let bits = now ^ then;
                (bits != 0).then_some((gpa, bits))
            });
            bytes.extend(differ.take(most.saturating_sub(bytes.len())));
        }
        Ok(Differences { bytes, elsewhere })
    }
}
