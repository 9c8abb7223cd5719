//! The machine's devices, with no virtual machine in them: a device knows registers, guest memory
//! and an interrupt line, and nothing of KVM.
//!
//! * [`bus`]: finds the device behind a port or a physical address, and says what happened.
//! * [`irq`]: interrupt lines that a device raises and the run loop collects.
//! * [`serial`]: the 16550A console and what the guest wrote to it.
//! * [`exit`], [`doorbell`]: the ports by which a guest ends or hands over control.
//! * [`virtio`]: queues and the virtio-mmio transport.
//! * [`balloon`]: virtio-balloon, by which the host takes memory from the guest.
//! * [`block`]: virtio-blk, a disk for swap or files.
//! * [`state`]: what all of them are at a moment, for snapshots.
//!
//! Lock order: a device's own lock, then the console's output lock. The bus takes one device lock
//! for the time of one access; no device reaches for another.

pub mod balloon;
pub mod block;
pub mod bus;
pub mod doorbell;
pub mod exit;
pub mod irq;
pub mod serial;
pub mod state;
pub mod virtio;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A device that its owner and the bus share.
pub type Shared<D> = Arc<Mutex<D>>;

/// Wraps a device for sharing between its owner and the bus.
pub fn shared<D>(device: D) -> Shared<D> {
    Arc::new(Mutex::new(device))
}

/// Locks a shared device. A device is left consistent by every register access, so one that was
/// held by a thread that panicked can still be read for the report.
pub fn lock<D: ?Sized>(device: &Mutex<D>) -> MutexGuard<'_, D> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}
