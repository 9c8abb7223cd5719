//! virtio: what a device implements, and what its driver may do wrong.
//!
//! Section numbers are those of the virtio specification, version 1.2 (OASIS committee
//! specification 01).
//!
//! * [`queue`]: a split virtqueue that survives any driver.
//! * [`mmio`]: the register window of version 2 through which a driver finds and runs a device.

pub mod mmio;
pub mod queue;
mod violation;

#[cfg(test)]
pub(super) mod driver;

pub use violation::Violation;

use queue::Virtqueue;
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use vm_memory::GuestMemoryBackend;

/// Feature bit that every driver has to accept: the device follows version 1 of the standard.
pub const FEATURE_VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;

/// A virtio device behind a transport. All calls come from the thread that runs the guest, while
/// the guest stands still; they finish all work before they return, so that a run is repeatable.
///
/// The transport has checked that the driver is ready ([`VirtioDevice::activate`] was called) and
/// the queue valid before it calls [`VirtioDevice::notify`]. What is in the queue is unchecked.
pub trait VirtioDevice<M: GuestMemoryBackend>: Send {
    /// The device's number (section 5).
    fn id(&self) -> u32;

    /// Feature bits that the device offers, without those of the transport.
    fn features(&self) -> u64;

    /// The largest size of each queue, a power of two up to 32768.
    fn queue_sizes(&self) -> &[u16];

    /// Reads the configuration space. `data` is zero on entry, and stays so beyond its end.
    fn read_config(&self, offset: u64, data: &mut [u8]);

    /// Writes the configuration space; what a driver cannot write is ignored.
    fn write_config(&mut self, offset: u64, data: &[u8]);

    /// The driver is ready, and has accepted `features`.
    fn activate(&mut self, features: u64);

    /// The driver has put buffers into a queue.
    ///
    /// # Errors
    /// What the driver did wrong. The transport then stops the device until it is reset.
    fn notify(&mut self, index: usize, queue: &mut Virtqueue, ram: &M) -> Result<(), Violation>;

    /// The driver reset the device: it forgets the driver, and any buffer it still holds.
    fn reset(&mut self);
}
