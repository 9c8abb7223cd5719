//! The devices' part of a snapshot.

use serde::{Deserialize, Serialize};

use crate::devices::balloon::BalloonState;
use crate::devices::block::backing::Sectors;
use crate::devices::block::{Backing, BlockState};
use crate::devices::lock;
use crate::devices::serial::{ConsoleState, OutputState};
use crate::devices::state::{StateError, Stateful};
use crate::devices::virtio::mmio::VirtioMmioState;
use crate::devices::{Shared, block};
use crate::machine::devices::Devices;

/// The state of each device, and of what joins them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DevicesState {
    serial: ConsoleState,
    outputs: Option<[OutputState; 2]>,
    doorbell: u32,
    root: u32,
    pub(super) balloon: Option<VirtioMmioState<BalloonState>>,
    pub(super) swap: Option<VirtioMmioState<BlockState>>,
    pub(super) disk: Option<VirtioMmioState<BlockState>>,
    /// Accesses that no device claimed: ports, memory.
    unclaimed: [u64; 2],
    /// Interrupt lines that are raised.
    irqs: u32,
}

impl DevicesState {
    /// Takes the state of all devices.
    pub(super) fn take(devices: &mut Devices) -> Self {
        Self {
            serial: state(&devices.serial),
            outputs: devices
                .outputs
                .as_ref()
                .map(|ports| ports.each_ref().map(state)),
            doorbell: state(&devices.doorbell),
            root: state(&devices.root),
            balloon: devices.balloon.as_ref().map(state),
            swap: devices.swap.as_ref().map(state),
            disk: devices.disk.as_ref().map(state),
            unclaimed: [devices.ports.unclaimed(), devices.mmio.unclaimed()],
            irqs: devices.irqs.pending(),
        }
    }

    /// Makes all devices what they were.
    pub(super) fn restore(&self, devices: &mut Devices) -> Result<(), StateError> {
        lock(&devices.serial).restore(&self.serial)?;
        match (&devices.outputs, &self.outputs) {
            (Some(ports), Some(states)) => ports
                .iter()
                .zip(states)
                .try_for_each(|(port, state)| lock(port).restore(state))?,
            (None, None) => {}
            _ => return Err(StateError::Presence("program")),
        }
        lock(&devices.doorbell).restore(&self.doorbell)?;
        lock(&devices.root).restore(&self.root)?;
        restore(&devices.balloon, &self.balloon, "balloon")?;
        restore(&devices.swap, &self.swap, "swap disk")?;
        restore(&devices.disk, &self.disk, "disk with files")?;
        devices.ports.set_unclaimed(self.unclaimed[0]);
        devices.mmio.set_unclaimed(self.unclaimed[1]);
        // Last: a device may have raised its line while it was restored.
        devices.irqs.set_pending(self.irqs);
        Ok(())
    }

    /// Whether all is the same but for the sectors of the disks.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        // Sectors are not written into it.
        let text = |state: &Self| serde_json::to_string(state);
        matches!((text(self), text(other)), (Ok(one), Ok(other)) if one == other)
    }

    /// The sectors of the disks: for swap, for files.
    pub(super) fn sectors(&self) -> [Option<&Sectors>; 2] {
        [&self.swap, &self.disk].map(|disk| disk.as_ref()?.device.sectors.as_ref())
    }

    /// Gives the disks their sectors; false if there are sectors without a disk, or the other way round.
    pub(super) fn put_sectors(&mut self, sectors: Vec<Option<Sectors>>) -> bool {
        let disks = [&mut self.swap, &mut self.disk];
        disks.into_iter().zip(sectors).all(|(disk, sectors)| {
            let fits = disk.is_some() == sectors.is_some();
            if let Some(disk) = disk {
                disk.device.sectors = sectors;
            }
            fits
        })
    }

    /// Whether the machine runs a program.
    pub(super) fn has_program(&self) -> bool {
        self.outputs.is_some()
    }

    /// A disk for swap with the sectors of the snapshot.
    pub(super) fn swap_backing(&self) -> Result<Option<Backing>, StateError> {
        backing(&self.swap, "swap disk")
    }

    /// A disk for files with the sectors of the snapshot.
    pub(super) fn disk_backing(&self) -> Result<Option<Backing>, StateError> {
        backing(&self.disk, "disk with files")
    }
}

fn state<D: Stateful>(device: &Shared<D>) -> D::State {
    lock(device).state()
}

fn restore<D: Stateful>(
    device: &Option<Shared<D>>,
    state: &Option<D::State>,
    name: &'static str,
) -> Result<(), StateError> {
    match (device, state) {
        (Some(device), Some(state)) => lock(device).restore(state),
        (None, None) => Ok(()),
        _ => Err(StateError::Presence(name)),
    }
}

fn backing(
    state: &Option<VirtioMmioState<block::BlockState>>,
    name: &'static str,
) -> Result<Option<Backing>, StateError> {
    let Some(state) = state else { return Ok(None) };
    let sectors = state.device.sectors.as_ref();
    sectors
        .map(|sectors| Some(Backing::on(sectors)))
        .ok_or(StateError::Presence(name))
}
