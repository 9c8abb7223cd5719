//! The virtio-mmio transport, version 2 (section 4.2): a window of registers, then the device's
//! configuration space.
//!
//! ```text
//! 0x000 ┌───────────────────────────────┐
//!       │ identity, features, queues,   │  32-bit registers
//!       │ interrupts, status            │
//! 0x0fc │ configuration generation      │
//! 0x100 ├───────────────────────────────┤
//!       │ configuration space           │  any width
//! 0x1000└───────────────────────────────┘
//! ```
//!
//! A driver that breaks the rules gets DEVICE_NEEDS_RESET and a configuration interrupt, and the
//! device does nothing more until it is reset (section 2.1.2).

mod registers;
mod state;
#[cfg(test)]
mod tests;

pub use state::VirtioMmioState;

use std::fmt;
use std::sync::Arc;

use log::warn;
use serde::{Deserialize, Serialize};
use virtio_bindings::bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE as ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER as DRIVER,
    VIRTIO_CONFIG_S_DRIVER_OK as DRIVER_OK, VIRTIO_CONFIG_S_FAILED as FAILED,
    VIRTIO_CONFIG_S_FEATURES_OK as FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET as NEEDS_RESET,
};
use virtio_bindings::bindings::virtio_mmio::{
    VIRTIO_MMIO_CONFIG, VIRTIO_MMIO_INT_CONFIG, VIRTIO_MMIO_INT_VRING,
};
use vm_memory::GuestMemoryBackend;

use super::queue::Virtqueue;
use super::{FEATURE_VERSION_1, Violation, VirtioDevice};
use crate::devices::bus::{BusDevice, BusEvent};
use crate::devices::irq::IrqLine;

/// Start of the configuration space in the window.
const CONFIG: u64 = VIRTIO_MMIO_CONFIG as u64;

/// A device behind the register window.
pub struct VirtioMmio<D, M> {
    device: D,
    ram: Arc<M>,
    irq: IrqLine,
    queues: Vec<Virtqueue>,
    registers: Registers,
}

/// What a driver has written, and what it is told.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Registers {
    status: u32,
    device_features_sel: u32,
    driver_features_sel: u32,
    driver_features: u64,
    queue_sel: u32,
    interrupt_status: u32,
    config_generation: u32,
    /// How often a driver broke the rules. A reset does not clear it, nor the next.
    violations: u64,
    first_violation: Option<Violation>,
}

impl<D: VirtioDevice<M>, M: GuestMemoryBackend> VirtioMmio<D, M> {
    /// Puts a device behind a window. It reaches guest memory through `ram` and raises `irq`.
    pub fn new(device: D, ram: Arc<M>, irq: IrqLine) -> Self {
        let queues = device.queue_sizes().iter().copied().map(Virtqueue::new);
        Self {
            queues: queues.collect(),
            device,
            ram,
            irq,
            registers: Registers::default(),
        }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device, to change what no driver can see at once.
    pub(in crate::devices) fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// True while a driver runs the device.
    pub fn is_running(&self) -> bool {
        self.registers.status & (DRIVER_OK | FAILED | NEEDS_RESET) == DRIVER_OK
    }

    /// How often a driver broke the rules.
    pub fn violations(&self) -> u64 {
        self.registers.violations
    }

    /// The first thing that a driver did wrong.
    pub fn first_violation(&self) -> Option<Violation> {
        self.registers.first_violation
    }

    /// Changes the device's configuration: the generation goes up, and a running driver gets an
    /// interrupt.
    pub(in crate::devices) fn change_config(&mut self, change: impl FnOnce(&mut D)) {
        change(&mut self.device);
        self.config_changed();
    }

    /// Lets the device use one of its queues outside a notification, as far as it is ready.
    pub(in crate::devices) fn with_queue<R>(
        &mut self,
        index: usize,
        f: impl FnOnce(&mut D, &mut Virtqueue, &M) -> Result<R, Violation>,
    ) -> Option<R> {
        let running = self.is_running();
        let queue = self.queues.get_mut(index)?;
        if !running || !queue.is_ready() {
            return None;
        }
        let result = f(&mut self.device, queue, &self.ram);
        self.after_queue(index, result)
    }

    fn after_queue<R>(&mut self, index: usize, result: Result<R, Violation>) -> Option<R> {
        // Buffers that went back before the violation still count.
        if self.queues[index].take_interrupt(&*self.ram) {
            self.interrupt(VIRTIO_MMIO_INT_VRING);
        }
        match result {
            Ok(value) => Some(value),
            Err(violation) => {
                self.stop(violation);
                None
            }
        }
    }

    fn offered_features(&self) -> u64 {
        self.device.features() | FEATURE_VERSION_1
    }

    fn config_changed(&mut self) {
        self.registers.config_generation = self.registers.config_generation.wrapping_add(1);
        if self.registers.status & DRIVER_OK != 0 {
            self.interrupt(VIRTIO_MMIO_INT_CONFIG);
        }
    }

    fn interrupt(&mut self, reason: u32) {
        self.registers.interrupt_status |= reason;
        self.irq.raise();
    }

    fn acknowledge(&mut self, reasons: u32) {
        self.registers.interrupt_status &= !reasons;
        if self.registers.interrupt_status == 0 {
            self.irq.lower();
        }
    }

    /// The driver broke the rules: nothing more happens until it resets the device.
    fn stop(&mut self, violation: Violation) {
        if self.registers.first_violation.is_none() {
            warn!(
                "virtio device {} stops: {violation}; the driver has to reset it",
                self.device.id()
            );
            self.registers.first_violation = Some(violation);
        }
        self.registers.violations = self.registers.violations.saturating_add(1);
        if self.registers.status & NEEDS_RESET == 0 {
            self.registers.status |= NEEDS_RESET;
            self.config_changed();
        }
    }

    fn reset(&mut self) {
        self.device.reset();
        for queue in &mut self.queues {
            queue.reset();
        }
        self.registers.status = 0;
        self.registers.device_features_sel = 0;
        self.registers.driver_features_sel = 0;
        self.registers.driver_features = 0;
        self.registers.queue_sel = 0;
        self.acknowledge(!0);
    }

    /// The device status register (section 2.1): a driver adds bits in order, or resets with 0.
    fn write_status(&mut self, value: u32) -> Result<(), Violation> {
        if value == 0 {
            self.reset();
            return Ok(());
        }
        let from = self.registers.status;
        let wrong = Violation::Status { from, to: value };
        let to = value & (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK | FAILED);
        if to & FAILED != 0 {
            self.registers.status |= FAILED;
        }
        if self.registers.status & (FAILED | NEEDS_RESET) != 0 {
            return Ok(());
        }
        if from & !to != 0 {
            return Err(wrong);
        }
        for (bit, before) in [
            (DRIVER, ACKNOWLEDGE),
            (FEATURES_OK, DRIVER),
            (DRIVER_OK, FEATURES_OK),
        ] {
            if to & bit != 0 && to & before == 0 {
                return Err(wrong);
            }
        }
        self.registers.status |= to & (ACKNOWLEDGE | DRIVER);
        let added = to & !from;
        if added & FEATURES_OK != 0 {
            let accepted = self.registers.driver_features;
            let fits =
                accepted & !self.offered_features() == 0 && accepted & FEATURE_VERSION_1 != 0;
            if !fits {
                // Not a violation: the driver reads the bit back and finds it clear.
                return Ok(());
            }
            self.registers.status |= FEATURES_OK;
        }
        if added & DRIVER_OK != 0 {
            self.registers.status |= DRIVER_OK;
            self.device.activate(self.registers.driver_features);
        }
        Ok(())
    }

    fn notify(&mut self, number: u32) -> Result<(), Violation> {
        let index = number as usize;
        let queue = self
            .queues
            .get_mut(index)
            .ok_or(Violation::NoSuchQueue(number))?;
        if !queue.is_ready() {
            return Err(Violation::QueueNotReady(number));
        }
        let result = self.device.notify(index, queue, &self.ram);
        self.after_queue(index, result);
        Ok(())
    }
}

impl<D: VirtioDevice<M>, M: GuestMemoryBackend + Send + Sync> BusDevice for VirtioMmio<D, M> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if offset >= CONFIG {
            self.device.read_config(offset - CONFIG, data);
        } else if let (Some(register), Some(bytes)) = (aligned(offset), exactly_four_mut(data)) {
            *bytes = self.read_register(register).to_le_bytes();
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Option<BusEvent> {
        if offset >= CONFIG {
            if self.registers.status & DRIVER != 0
                && self.registers.status & (FAILED | NEEDS_RESET) == 0
            {
                self.device.write_config(offset - CONFIG, data);
            }
            return None;
        }
        let result = match (aligned(offset), <[u8; 4]>::try_from(data)) {
            (Some(register), Ok(bytes)) => self.write_register(register, u32::from_le_bytes(bytes)),
            _ => Err(Violation::Width {
                offset,
                width: data.len(),
            }),
        };
        if let Err(violation) = result {
            self.stop(violation);
        }
        None
    }
}

/// The offset of a 32-bit register.
fn aligned(offset: u64) -> Option<u32> {
    u32::try_from(offset).ok().filter(|at| at.is_multiple_of(4))
}

fn exactly_four_mut(data: &mut [u8]) -> Option<&mut [u8; 4]> {
    data.try_into().ok()
}

impl<D: fmt::Debug, M> fmt::Debug for VirtioMmio<D, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtioMmio")
            .field("device", &self.device)
            .field("registers", &self.registers)
            .finish_non_exhaustive()
    }
}
