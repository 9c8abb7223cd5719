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
use crate::devices::{Shared, lock, shared};

/// The balloon of a machine.
pub type MachineBalloon = BalloonDevice<GuestMemory>;

/// A disk of a machine.
pub type MachineDisk = BlockDevice<GuestMemory>;

/// Bytes kept of the serial console's output.
const CONSOLE_TAIL: usize = 64 << 10;

/// Interrupt line of the balloon: the first after the serial console's.
const BALLOON_IRQ: u32 = SERIAL_IRQ + 1;

/// Where a disk stands, and how the guest learns what it is for.
struct DiskPlace {
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
const SWAP: DiskPlace = DiskPlace {
    name: "swap",
    serial: "pagelab-swap",
    base: MMIO_BASE + VIRTIO_MMIO_SIZE,
    irq: BALLOON_IRQ + 1,
    option: CMDLINE_SWAP,
};

/// The disk for files: behind that for swap, whether there is one or not.
const DISK: DiskPlace = DiskPlace {
    name: "disk",
    serial: "pagelab-disk",
    base: SWAP.base + VIRTIO_MMIO_SIZE,
    irq: SWAP.irq + 1,
    option: CMDLINE_DISK,
};

/// What a machine has beside the standard ports.
pub(super) struct Fittings {
    /// Gets the console's output as well.
    pub(super) console: Option<Box<dyn Write + Send>>,
    /// Where a program's standard output and standard error go.
    pub(super) program: Option<[ProgramOutput; 2]>,
    /// Whether there is a balloon.
    pub(super) balloon: bool,
    /// The disk for swap.
    pub(super) swap: Option<Backing>,
    /// The disk for files.
    pub(super) disk: Option<Backing>,
}

/// The devices of a machine, each on its bus.
pub(super) struct Devices {
    pub(super) ports: Bus,
    pub(super) mmio: Bus,
    pub(super) irqs: IrqLines,
    pub(super) serial: Shared<SerialConsole>,
    pub(super) console: Shared<ConsoleOutput>,
    pub(super) doorbell: Shared<DoorbellPort>,
    pub(super) root: Shared<RootPort>,
    pub(super) outputs: Option<[Shared<OutputPort>; 2]>,
    pub(super) balloon: Option<Shared<MachineBalloon>>,
    pub(super) swap: Option<Shared<MachineDisk>>,
    pub(super) disk: Option<Shared<MachineDisk>>,
}

impl Devices {
    /// Puts the devices in their places, and announces them on the command line.
    pub(super) fn new(
        memory: &GuestMemory,
        fittings: Fittings,
        cmdline: &mut String,
    ) -> Result<Self, MachineError> {
        let irqs = IrqLines::new();
        let mut output = ConsoleOutput::new(CONSOLE_TAIL);
        if let Some(tee) = fittings.console {
            output = output.with_tee(tee);
        }
        let serial = SerialConsole::new(irqs.line(SERIAL_IRQ)?, output);
        let console = serial.output();
        let serial = shared(serial);
        let doorbell = shared(DoorbellPort::new());
        let root = shared(RootPort::new());
        let mut ports = Bus::new();
        ports.insert("serial", SERIAL_PORT.into(), SERIAL_PORTS, serial.clone())?;
        ports.insert("exit", EXIT_PORT.into(), EXIT_PORTS, shared(ExitPort))?;
        let at = DOORBELL_PORT.into();
        ports.insert("doorbell", at, DOORBELL_PORTS, doorbell.clone())?;
        ports.insert("root", ROOT_PORT.into(), DOORBELL_PORTS, root.clone())?;
        let mut devices = Self {
            ports,
            mmio: Bus::new(),
            irqs,
            serial,
            console,
            doorbell,
            root,
            outputs: None,
            balloon: None,
            swap: None,
            disk: None,
        };
        if let Some(outputs) = fittings.program {
            devices.outputs = Some(program(&mut devices.ports, outputs)?);
        }
        if fittings.balloon {
            devices.balloon = Some(devices.put_balloon(memory, cmdline)?);
        }
        if let Some(backing) = fittings.swap {
            devices.swap = Some(devices.put_disk(&SWAP, backing, memory, cmdline)?);
        }
        if let Some(backing) = fittings.disk {
            devices.disk = Some(devices.put_disk(&DISK, backing, memory, cmdline)?);
        }
        Ok(devices)
    }

    /// Whether a disk has been asked for something that somebody observes and has not yet heard of.
    pub(super) fn have_observed(&self) -> bool {
        let disks = [&self.swap, &self.disk].into_iter().flatten();
        disks
            .into_iter()
            .any(|disk| lock(disk).injector().has_observed())
    }

    /// Puts the balloon at the start of the device hole.
    fn put_balloon(
        &mut self,
        memory: &GuestMemory,
        cmdline: &mut String,
    ) -> Result<Shared<MachineBalloon>, MachineError> {
        let irq = self.irqs.line(BALLOON_IRQ)?;
        let balloon = BalloonDevice::new(Balloon::new(), Arc::new(memory.clone()), irq);
        let balloon = shared(balloon);
        self.mmio
            .insert("balloon", MMIO_BASE, VIRTIO_MMIO_SIZE, balloon.clone())?;
        announce(cmdline, MMIO_BASE, BALLOON_IRQ);
        Ok(balloon)
    }

    /// Puts a disk in its place and says what it is for.
    fn put_disk(
        &mut self,
        place: &DiskPlace,
        backing: Backing,
        memory: &GuestMemory,
        cmdline: &mut String,
    ) -> Result<Shared<MachineDisk>, MachineError> {
        let &DiskPlace { base, irq, .. } = place;
        let block = Block::new(backing, place.serial);
        let line = self.irqs.line(irq)?;
        let disk = shared(BlockDevice::new(block, Arc::new(memory.clone()), line));
        self.mmio
            .insert(place.name, base, VIRTIO_MMIO_SIZE, disk.clone())?;
        announce(cmdline, base, irq);
        // Writing to a string cannot fail.
        let _ = write!(cmdline, " {}={base:#x}", place.option);
        Ok(disk)
    }
}

/// Puts the ports for a program's standard output and standard error on the bus.
fn program(
    bus: &mut Bus,
    outputs: [ProgramOutput; 2],
) -> Result<[Shared<OutputPort>; 2], MachineError> {
    let ports = outputs.map(|output| shared(OutputPort::new(output)));
    let places = [("stdout", STDOUT_PORT), ("stderr", STDERR_PORT)];
    for ((name, base), port) in places.into_iter().zip(&ports) {
        bus.insert(name, base.into(), SERIAL_PORTS, port.clone())?;
    }
    Ok(ports)
}

/// Announces a register window the way Linux takes it.
fn announce(cmdline: &mut String, base: u64, irq: u32) {
    let size = VIRTIO_MMIO_SIZE >> 10;
    // Writing to a string cannot fail.
    let _ = write!(cmdline, " {CMDLINE_VIRTIO_MMIO}={size}K@{base:#x}:{irq}");
}
