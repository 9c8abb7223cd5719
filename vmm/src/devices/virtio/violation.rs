//! What a driver can do wrong.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::queue::Part;

/// A driver broke the rules of the standard. The device stops (DEVICE_NEEDS_RESET) until the
/// driver resets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Violation {
    /// A register was accessed other than with four aligned bytes (section 4.2.2.2).
    #[error("register {offset:#x} was accessed with {width} bytes; registers take 4, aligned")]
    Width {
        /// Offset in the register window.
        offset: u64,
        /// Bytes accessed.
        width: usize,
    },
    /// A register was written in a device status in which it must not be.
    #[error("register {offset:#x} was written in device status {status:#x}")]
    OutOfTurn {
        /// Offset in the register window.
        offset: u32,
        /// Device status at that time.
        status: u32,
    },
    /// The device status was changed in a way that the standard does not have (section 2.1).
    #[error("device status cannot go from {from:#x} to {to:#x}")]
    Status {
        /// Device status before.
        from: u32,
        /// What the driver wrote.
        to: u32,
    },
    /// The device has no such queue.
    #[error("queue {0} does not exist")]
    NoSuchQueue(u32),
    /// A queue that is in use was configured again.
    #[error("queue {0} was configured while it is ready")]
    QueueInUse(u32),
    /// The driver notified a queue that is not ready.
    #[error("queue {0} was notified before it was ready")]
    QueueNotReady(u32),
    /// The queue's size is not a power of two, or more than the device takes.
    #[error("queue size {size} is not a power of two from 1 to {max}")]
    QueueSize {
        /// What the driver wrote.
        size: u32,
        /// Largest size of this queue.
        max: u16,
    },
    /// A part of the queue is misaligned or not in RAM.
    #[error("the {} at {address:#x} is misaligned or not in RAM", part.name())]
    QueueAddress {
        /// Which part.
        part: Part,
        /// Its guest physical address.
        address: u64,
    },
    /// The available ring's index runs ahead by more than the queue holds.
    #[error("the available ring offers more chains than the queue holds")]
    RingIndex,
    /// A descriptor chain loops, is cut off, or is longer than the queue.
    #[error("descriptor chain {0} loops, is cut off, or is longer than its queue")]
    Chain(u16),
    /// A buffer has the wrong direction.
    #[error("descriptor chain {0} has a buffer of the wrong direction")]
    Direction(u16),
    /// The buffers of a chain are longer than the device takes.
    #[error("descriptor chain {head} holds more than {limit} bytes")]
    TooLong {
        /// Head of the chain.
        head: u16,
        /// What the device takes.
        limit: usize,
    },
    /// The buffers of a chain have no room for what every request has.
    #[error("descriptor chain {0} has no room for a request's header and status")]
    TooShort(u16),
    /// A buffer is not in RAM.
    #[error("buffer of {len} bytes at {address:#x} is not in RAM")]
    Buffer {
        /// Guest physical address.
        address: u64,
        /// Length in bytes.
        len: u32,
    },
}
