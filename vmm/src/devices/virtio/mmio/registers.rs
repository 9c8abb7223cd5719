//! The registers (section 4.2.2).

use virtio_bindings::bindings::virtio_mmio::*;
use vm_memory::GuestMemoryBackend;

use super::{DRIVER, DRIVER_OK, FAILED, FEATURES_OK, NEEDS_RESET, VirtioMmio};
use crate::devices::virtio::queue::{Part, Virtqueue};
use crate::devices::virtio::{Violation, VirtioDevice};

/// "virt", little-endian.
pub(super) const MAGIC: u32 = 0x7472_6976;

/// Version of the register layout; 1 is the legacy one.
pub(super) const VERSION: u32 = 2;

/// "PLAB", little-endian. The standard leaves the value to the VMM.
pub(super) const VENDOR: u32 = 0x4241_4c50;

/// Length and address of a shared memory region that does not exist (section 4.2.2).
const NO_REGION: u32 = u32::MAX;

impl<D: VirtioDevice<M>, M: GuestMemoryBackend> VirtioMmio<D, M> {
    /// Reads a register; those that are only for writing read as 0.
    pub(super) fn read_register(&self, register: u32) -> u32 {
        match register {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => VERSION,
            VIRTIO_MMIO_DEVICE_ID => self.device.id(),
            VIRTIO_MMIO_VENDOR_ID => VENDOR,
            VIRTIO_MMIO_DEVICE_FEATURES => {
                half(self.offered_features(), self.registers.device_features_sel)
            }
            VIRTIO_MMIO_QUEUE_NUM_MAX => self.selected().map_or(0, |q| q.max_size().into()),
            VIRTIO_MMIO_QUEUE_READY => self.selected().map_or(0, |q| q.is_ready().into()),
            VIRTIO_MMIO_INTERRUPT_STATUS => self.registers.interrupt_status,
            VIRTIO_MMIO_STATUS => self.registers.status,
            VIRTIO_MMIO_SHM_LEN_LOW
            | VIRTIO_MMIO_SHM_LEN_HIGH
            | VIRTIO_MMIO_SHM_BASE_LOW
            | VIRTIO_MMIO_SHM_BASE_HIGH => NO_REGION,
            VIRTIO_MMIO_CONFIG_GENERATION => self.registers.config_generation,
            _ => 0,
        }
    }

    /// Writes a register; those that are only for reading, and those that the standard does not
    /// have, ignore it. A device that has stopped takes no more than a reset.
    pub(super) fn write_register(&mut self, register: u32, value: u32) -> Result<(), Violation> {
        match register {
            VIRTIO_MMIO_STATUS => return self.write_status(value),
            VIRTIO_MMIO_INTERRUPT_ACK => self.acknowledge(value),
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.registers.device_features_sel = value,
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.registers.driver_features_sel = value,
            VIRTIO_MMIO_QUEUE_SEL => self.registers.queue_sel = value,
            _ if self.registers.status & (FAILED | NEEDS_RESET) != 0 => {}
            VIRTIO_MMIO_DRIVER_FEATURES => {
                self.require(register, DRIVER, FEATURES_OK)?;
                set_half(
                    &mut self.registers.driver_features,
                    self.registers.driver_features_sel,
                    value,
                );
            }
            VIRTIO_MMIO_QUEUE_NUM => self.configure(register)?.set_size(value),
            VIRTIO_MMIO_QUEUE_DESC_LOW => self.set_low(register, Part::Descriptors, value)?,
            VIRTIO_MMIO_QUEUE_DESC_HIGH => self.set_high(register, Part::Descriptors, value)?,
            VIRTIO_MMIO_QUEUE_AVAIL_LOW => self.set_low(register, Part::Avail, value)?,
            VIRTIO_MMIO_QUEUE_AVAIL_HIGH => self.set_high(register, Part::Avail, value)?,
            VIRTIO_MMIO_QUEUE_USED_LOW => self.set_low(register, Part::Used, value)?,
            VIRTIO_MMIO_QUEUE_USED_HIGH => self.set_high(register, Part::Used, value)?,
            VIRTIO_MMIO_QUEUE_READY if value == 0 => {
                let queue_sel = self.registers.queue_sel;
                self.selected_mut()
                    .ok_or(Violation::NoSuchQueue(queue_sel))?
                    .disable();
            }
            VIRTIO_MMIO_QUEUE_READY => {
                let ram = self.ram.clone();
                self.configure(register)?.enable(&*ram)?;
            }
            VIRTIO_MMIO_QUEUE_NOTIFY => {
                self.require(register, DRIVER_OK, 0)?;
                self.notify(value)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The selected queue, if it can be configured now.
    fn configure(&mut self, register: u32) -> Result<&mut Virtqueue, Violation> {
        self.require(register, FEATURES_OK, 0)?;
        let number = self.registers.queue_sel;
        let queue = self.selected_mut().ok_or(Violation::NoSuchQueue(number))?;
        if queue.is_ready() {
            return Err(Violation::QueueInUse(number));
        }
        Ok(queue)
    }

    fn set_low(&mut self, register: u32, part: Part, value: u32) -> Result<(), Violation> {
        self.configure(register)?
            .set_address(part, Some(value), None);
        Ok(())
    }

    fn set_high(&mut self, register: u32, part: Part, value: u32) -> Result<(), Violation> {
        self.configure(register)?
            .set_address(part, None, Some(value));
        Ok(())
    }

    /// Fails unless the device status has `set` and has not `clear`.
    fn require(&self, register: u32, set: u32, clear: u32) -> Result<(), Violation> {
        if self.registers.status & (set | clear) == set {
            return Ok(());
        }
        Err(Violation::OutOfTurn {
            offset: register,
            status: self.registers.status,
        })
    }

    fn selected(&self) -> Option<&Virtqueue> {
        self.queues.get(self.registers.queue_sel as usize)
    }

    fn selected_mut(&mut self) -> Option<&mut Virtqueue> {
        self.queues.get_mut(self.registers.queue_sel as usize)
    }
}

/// 32 of the feature bits; bits above 64 do not exist.
fn half(features: u64, select: u32) -> u32 {
    match select {
        0 => features as u32,
        1 => (features >> 32) as u32,
        _ => 0,
    }
}

fn set_half(features: &mut u64, select: u32, value: u32) {
    match select {
        0 => *features = *features & !0xffff_ffff | u64::from(value),
        1 => *features = *features & 0xffff_ffff | u64::from(value) << 32,
        _ => {}
    }
}
