//! Puts the devices where the platform contract has them, and announces them to the guest.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use pagelab_abi::platform::{
    CMDLINE_DISK, CMDLINE_SWAP, CMDLINE_VIRTIO_MMIO, DOORBELL_PORT, EXIT_PORT, MMIO_BASE,
    ROOT_PORT, SERIAL_IRQ, SERIAL_PORT, VIRTIO_MMIO_SIZE,
};

use pagelab_abi::program::{STDERR_PORT, STDOUT_PORT};

use super::error::MachineError;
use super::memory::GuestMemory;
use crate::devices::balloon::{Balloon, BalloonDevice};
use crate::devices::block::{Backing, Block, BlockDevice};
use crate::devices::bus::Bus;
use crate::devices::doorbell::{DOORBELL_PORTS, DoorbellPort, RootPort};
use crate::devices::exit::{EXIT_PORTS, ExitPort};
use crate::devices::irq::IrqLines;
use crate::devices::serial::{
    ConsoleOutput, OutputPort, ProgramOutput, SERIAL_PORTS, SerialConsole,
};
use crate::devices::{Shared, shared};

/// The balloon of a machine.
pub type MachineBalloon = BalloonDevice<GuestMemory>;

/// A disk of a machine.
pub type MachineDisk = BlockDevice<GuestMemory>;

/// Bytes kept of the serial console's output.
const CONSOLE_TAIL: usize = 64 << 10;

/// Interrupt line of the balloon: the first after the serial console's.
const BALLOON_IRQ: u32 = SERIAL_IRQ + 1;

/// Where a disk stands, and how the guest learns what it is for.
pub(super) struct DiskPlace {
    /// Its name on the bus.
    name: &'static str,
    /// The serial number that it tells.
    serial: &'static str,
    /// Its register window.
    base: u64,
    /// Its interrupt line.
    irq: u32,
    /// The option on the kernel's command line that names the window.
    option: &'static str,
}

/// The disk for swap: behind the balloon, whether there is a balloon or not.
pub(super) const SWAP: DiskPlace = DiskPlace {
    name: "swap",
    serial: "pagelab-swap",
    base: MMIO_BASE + VIRTIO_MMIO_SIZE,
    irq: BALLOON_IRQ + 1,
    option: CMDLINE_SWAP,
};

/// The disk for files: behind that for swap, whether there is one or not.
pub(super) const DISK: DiskPlace = DiskPlace {
    name: "disk",
    serial: "pagelab-disk",
    base: SWAP.base + VIRTIO_MMIO_SIZE,
    irq: SWAP.irq + 1,
    option: CMDLINE_DISK,
};

/// The bus of the ports, and what is written to the console.
pub(super) fn ports(
    irqs: &IrqLines,
    tee: Option<Box<dyn Write + Send>>,
) -> Result<(Bus, Shared<ConsoleOutput>), MachineError> {
    let mut output = ConsoleOutput::new(CONSOLE_TAIL);
    if let Some(tee) = tee {
        output = output.with_tee(tee);
    }
    let serial = SerialConsole::new(irqs.line(SERIAL_IRQ)?, output);
    let output = serial.output();
    let mut bus = Bus::new();
    bus.insert("serial", SERIAL_PORT.into(), SERIAL_PORTS, shared(serial))?;
    bus.insert("exit", EXIT_PORT.into(), EXIT_PORTS, shared(ExitPort))?;
    let doorbell = shared(DoorbellPort::new());
    bus.insert("doorbell", DOORBELL_PORT.into(), DOORBELL_PORTS, doorbell)?;
    let root = shared(RootPort::new());
    bus.insert("root", ROOT_PORT.into(), DOORBELL_PORTS, root)?;
    Ok((bus, output))
}

/// Puts the ports for a program's standard output and standard error on the bus.
pub(super) fn program(
    bus: &mut Bus,
    outputs: [ProgramOutput; 2],
) -> Result<[Shared<ProgramOutput>; 2], MachineError> {
    let ports = outputs.map(OutputPort::new);
    let outputs = ports.each_ref().map(OutputPort::output);
    let places = [("stdout", STDOUT_PORT), ("stderr", STDERR_PORT)];
    for ((name, base), port) in places.into_iter().zip(ports) {
        bus.insert(name, base.into(), SERIAL_PORTS, shared(port))?;
    }
    Ok(outputs)
}

/// Puts the balloon at the start of the device hole.
pub(super) fn balloon(
    irqs: &IrqLines,
    memory: &GuestMemory,
    mmio: &mut Bus,
    cmdline: &mut String,
) -> Result<Shared<MachineBalloon>, MachineError> {
    let irq = irqs.line(BALLOON_IRQ)?;
    let balloon = BalloonDevice::new(Balloon::new(), Arc::new(memory.clone()), irq);
    let balloon = shared(balloon);
    mmio.insert("balloon", MMIO_BASE, VIRTIO_MMIO_SIZE, balloon.clone())?;
    announce(cmdline, MMIO_BASE, BALLOON_IRQ);
    Ok(balloon)
}

/// Puts a disk in its place and says what it is for.
pub(super) fn disk(
    place: &DiskPlace,
    backing: Backing,
    irqs: &IrqLines,
    memory: &GuestMemory,
    mmio: &mut Bus,
    cmdline: &mut String,
) -> Result<Shared<MachineDisk>, MachineError> {
    let &DiskPlace { base, irq, .. } = place;
    let block = Block::new(backing, place.serial);
    let line = irqs.line(irq)?;
    let disk = shared(BlockDevice::new(block, Arc::new(memory.clone()), line));
    mmio.insert(place.name, base, VIRTIO_MMIO_SIZE, disk.clone())?;
    announce(cmdline, base, irq);
    // Writing to a string cannot fail.
    let _ = write!(cmdline, " {}={base:#x}", place.option);
    Ok(disk)
}

/// Announces a register window the way Linux takes it.
fn announce(cmdline: &mut String, base: u64, irq: u32) {
    let size = VIRTIO_MMIO_SIZE >> 10;
    // Writing to a string cannot fail.
    let _ = write!(cmdline, " {CMDLINE_VIRTIO_MMIO}={size}K@{base:#x}:{irq}");
}
