//! The state of a device behind its window.

use serde::{Deserialize, Serialize};
use vm_memory::GuestMemoryBackend;

use super::{Registers, VirtioMmio};
use crate::devices::state::{StateError, Stateful};
use crate::devices::virtio::VirtioDevice;
use crate::devices::virtio::queue::VirtqueueState;

/// The state of the transport, and that of the device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VirtioMmioState<S> {
    /// The device's own.
    pub device: S,
    queues: Vec<VirtqueueState>,
    registers: Registers,
}

impl<D, M> Stateful for VirtioMmio<D, M>
where
    D: VirtioDevice<M> + Stateful,
    M: GuestMemoryBackend,
{
    type State = VirtioMmioState<D::State>;

    fn state(&mut self) -> Self::State {
        VirtioMmioState {
            device: self.device.state(),
            queues: self.queues.iter().map(|queue| queue.state()).collect(),
            registers: self.registers,
        }
    }

    /// Leaves the interrupt line as it is: the lines are restored after the devices.
    fn restore(&mut self, state: &Self::State) -> Result<(), StateError> {
        if state.queues.len() != self.queues.len() {
            return Err(StateError::Queues {
                expected: self.queues.len(),
                found: state.queues.len(),
            });
        }
        for (index, (queue, state)) in self.queues.iter_mut().zip(&state.queues).enumerate() {
            if !queue.restore(state) {
                return Err(StateError::Queue(index));
            }
        }
        self.device.restore(&state.device)?;
        self.registers = state.registers;
        Ok(())
    }
}
