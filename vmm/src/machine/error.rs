//! Everything that can keep a machine from starting or going on.

use thiserror::Error;

use super::boot::BootError;
use super::host::HostError;
use super::kernel::KernelError;
use super::memory::MemoryError;
use super::root::RootError;
use crate::devices::block::BackingError;
use crate::devices::bus::BusError;
use crate::devices::irq::NoSuchLine;
use crate::store::StoreError;

/// Why a machine cannot start or go on. Each names the value and the remedy. What the *guest* does
/// wrong is not an error but a [`super::Stop`], save for a root page that cannot be used.
#[derive(Debug, Error)]
pub enum MachineError {
    /// The host is unfit.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The memory asked for cannot be had.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The kernel cannot be used.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The command line or the initial ramfs cannot be used.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The guest's root page cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A disk cannot be made.
    #[error(transparent)]
    Disk(#[from] BackingError),
    /// A disk with files cannot be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two devices are in each other's way.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A device has an interrupt line that does not exist.
    #[error(transparent)]
    Line(#[from] NoSuchLine),
    /// The machine has stopped for good.
    #[error("the machine has ended and cannot go on; create a new one")]
    Ended,
}
