//! The state of a device behind its window.

use serde::{Deserialize, Serialize};
use vm_memory::GuestMemoryBackend;

use super::VirtioMmio;
use crate::devices::state::{StateError, Stateful};
use crate::devices::virtio::queue::VirtqueueState;
use crate::devices::virtio::{Violation, VirtioDevice};

/// The state of the transport, and that of the device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VirtioMmioState<S> {
    /// The device's own.
    pub device: S,
    queues: Vec<VirtqueueState>,
    status: u32,
    device_features_sel: u32,
    driver_features_sel: u32,
    driver_features: u64,
    queue_sel: u32,
    interrupt_status: u32,
    config_generation: u32,
    violations: u64,
    first_violation: Option<Violation>,
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
            status: self.status,
            device_features_sel: self.device_features_sel,
            driver_features_sel: self.driver_features_sel,
            driver_features: self.driver_features,
            queue_sel: self.queue_sel,
            interrupt_status: self.interrupt_status,
            config_generation: self.config_generation,
            violations: self.violations,
            first_violation: self.first_violation,
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
        self.status = state.status;
        self.device_features_sel = state.device_features_sel;
        self.driver_features_sel = state.driver_features_sel;
        self.driver_features = state.driver_features;
        self.queue_sel = state.queue_sel;
        self.interrupt_status = state.interrupt_status;
        self.config_generation = state.config_generation;
        self.violations = state.violations;
        self.first_violation = state.first_violation;
        Ok(())
    }
}
