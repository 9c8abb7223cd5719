//! What a device is at a moment, apart from guest memory: taken out for a snapshot, and put back.

use thiserror::Error;

/// A device whose state can be taken and put back. State is data: it can be cloned, kept while the
/// device goes on, and given to another device of the same kind.
pub trait Stateful {
    /// The state.
    type State: Clone;

    /// The device's state now. It needs the device for itself, as a disk starts to keep apart what
    /// is written from here on.
    fn state(&mut self) -> Self::State;

    /// Makes the device what it was.
    ///
    /// # Errors
    /// [`StateError`] if it is the state of no such device; nothing can be said of the device then
    /// until it is restored again.
    fn restore(&mut self, state: &Self::State) -> Result<(), StateError>;
}

/// Why a device cannot have a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// The UART's input is longer than its FIFO.
    #[error("the serial port holds {0} bytes of input, more than fit")]
    Serial(usize),
    /// There are more queues, or fewer, than the device has.
    #[error("the device has {expected} queues and its state {found}")]
    Queues {
        /// Queues of the device.
        expected: usize,
        /// Queues in the state.
        found: usize,
    },
    /// A queue that no driver can have configured.
    #[error("queue {0} has a size or addresses that no driver can give it")]
    Queue(usize),
    /// A device is in the state and not in the machine, or the other way round.
    #[error("the machine and the snapshot differ in whether there is a {0}")]
    Presence(&'static str),
}
