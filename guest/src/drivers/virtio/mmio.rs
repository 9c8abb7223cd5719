//! The MMIO transport, version 2 (virtio 1.2, section 4.2).

use super::queue::Queue;

/// Register offsets (table 4.1).
mod register {
    pub(super) const MAGIC: usize = 0x000;
    pub(super) const VERSION: usize = 0x004;
    pub(super) const DEVICE_ID: usize = 0x008;
    pub(super) const DEVICE_FEATURES: usize = 0x010;
    pub(super) const DEVICE_FEATURES_SEL: usize = 0x014;
    pub(super) const DRIVER_FEATURES: usize = 0x020;
    pub(super) const DRIVER_FEATURES_SEL: usize = 0x024;
    pub(super) const QUEUE_SEL: usize = 0x030;
    pub(super) const QUEUE_NUM_MAX: usize = 0x034;
    pub(super) const QUEUE_NUM: usize = 0x038;
    pub(super) const QUEUE_READY: usize = 0x044;
    pub(super) const QUEUE_NOTIFY: usize = 0x050;
    pub(super) const INTERRUPT_STATUS: usize = 0x060;
    pub(super) const INTERRUPT_ACK: usize = 0x064;
    pub(super) const STATUS: usize = 0x070;
    pub(super) const QUEUE_DESC: usize = 0x080;
    pub(super) const QUEUE_DRIVER: usize = 0x090;
    pub(super) const QUEUE_DEVICE: usize = 0x0a0;
    pub(super) const CONFIG: usize = 0x100;
}

/// "virt", little-endian.
const MAGIC: u32 = 0x7472_6976;

/// Device status bits (section 2.1).
mod status {
    pub(super) const ACKNOWLEDGE: u32 = 1;
    pub(super) const DRIVER: u32 = 2;
    pub(super) const DRIVER_OK: u32 = 4;
    pub(super) const FEATURES_OK: u32 = 8;
    pub(super) const NEEDS_RESET: u32 = 64;
    pub(super) const FAILED: u32 = 128;
}

/// Feature bit of a device that follows version 1 (section 6).
const VERSION_1: u64 = 1 << 32;

/// Interrupt status bit: a used buffer.
pub(crate) const INTERRUPT_USED: u32 = 1;
/// Interrupt status bit: the configuration changed.
pub(crate) const INTERRUPT_CONFIG: u32 = 2;

/// Times that reasons of an interrupt are taken before a device that always has some is left alone.
const MAX_REASONS: u32 = 16;

/// Why a device cannot be driven.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Error {
    /// There is no virtio device in the window.
    NoDevice,
    /// Not version 2 of the transport: the value found.
    Version(u32),
    /// The device does not offer VIRTIO_F_VERSION_1, or refuses the driver's choice.
    Features(u64),
    /// A queue does not exist or is too small: index, largest size.
    Queue(u32, u32),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoDevice => write!(f, "no virtio device"),
            Self::Version(version) => write!(f, "virtio-mmio version {version}, not 2"),
            Self::Features(offered) => write!(f, "features {offered:#x} do not fit"),
            Self::Queue(index, size) => write!(f, "queue {index} takes {size} buffers"),
        }
    }
}

/// A device's registers.
#[derive(Debug)]
pub(crate) struct Transport {
    base: u64,
}

impl Transport {
    /// The device whose registers are mapped at `base`, and its ID; 0 is an empty slot.
    ///
    /// # Safety
    /// `base` is a device window of at least 512 bytes that nothing else uses.
    pub(crate) unsafe fn new(base: u64) -> Result<(Self, u32), Error> {
        let this = Self { base };
        if this.read(register::MAGIC) != MAGIC {
            return Err(Error::NoDevice);
        }
        match this.read(register::VERSION) {
            2 => {}
            version => return Err(Error::Version(version)),
        }
        let id = this.read(register::DEVICE_ID);
        Ok((this, id))
    }

    /// Resets the device and settles the features: those of `wanted` that it offers.
    pub(crate) fn negotiate(&self, wanted: u64) -> Result<u64, Error> {
        self.write(register::STATUS, 0);
        self.write(register::STATUS, status::ACKNOWLEDGE | status::DRIVER);
        let mut offered = 0;
        for half in 0..2 {
            self.write(register::DEVICE_FEATURES_SEL, half);
            offered |= u64::from(self.read(register::DEVICE_FEATURES)) << (32 * half);
        }
        let chosen = offered & (wanted | VERSION_1);
        for half in 0..2 {
            self.write(register::DRIVER_FEATURES_SEL, half);
            self.write(register::DRIVER_FEATURES, (chosen >> (32 * half)) as u32);
        }
        self.add_status(status::FEATURES_OK);
        let accepted = self.read(register::STATUS) & status::FEATURES_OK != 0;
        if !accepted || chosen & VERSION_1 == 0 {
            self.add_status(status::FAILED);
            return Err(Error::Features(offered));
        }
        Ok(chosen)
    }

    /// Gives a queue to the device.
    pub(crate) fn start_queue<const N: usize>(
        &self,
        index: u32,
        queue: &Queue<N>,
    ) -> Result<(), Error> {
        self.write(register::QUEUE_SEL, index);
        let max = self.read(register::QUEUE_NUM_MAX);
        if max < N as u32 || self.read(register::QUEUE_READY) != 0 {
            self.add_status(status::FAILED);
            return Err(Error::Queue(index, max));
        }
        self.write(register::QUEUE_NUM, N as u32);
        let [descriptors, driver, device] = queue.areas();
        for (register, area) in [
            (register::QUEUE_DESC, descriptors),
            (register::QUEUE_DRIVER, driver),
            (register::QUEUE_DEVICE, device),
        ] {
            self.write(register, area as u32);
            self.write(register + 4, (area >> 32) as u32);
        }
        self.write(register::QUEUE_READY, 1);
        Ok(())
    }

    /// The driver is ready.
    pub(crate) fn start(&self) {
        self.add_status(status::DRIVER_OK);
    }

    /// Tells the device that a queue has new buffers.
    pub(crate) fn notify(&self, index: u32) {
        self.write(register::QUEUE_NOTIFY, index);
    }

    /// Whether the device gave up and waits for a reset.
    pub(crate) fn needs_reset(&self) -> bool {
        self.read(register::STATUS) & status::NEEDS_RESET != 0
    }

    /// Takes the reasons of an interrupt. A reason that comes up between reading and acknowledging keeps the
    /// line high, and an edge-triggered 8259 would never tell of it: so it is read until there is none.
    pub(crate) fn take_interrupt(&self) -> u32 {
        let mut reasons = 0;
        for _ in 0..MAX_REASONS {
            let status = self.read(register::INTERRUPT_STATUS);
            if status == 0 {
                break;
            }
            self.write(register::INTERRUPT_ACK, status);
            reasons |= status;
        }
        reasons
    }

    /// A word of the device's configuration space, by its byte offset.
    pub(crate) fn config(&self, offset: usize) -> u32 {
        self.read(register::CONFIG + offset)
    }

    /// Writes a word of the configuration space.
    pub(crate) fn set_config(&self, offset: usize, value: u32) {
        self.write(register::CONFIG + offset, value);
    }

    fn add_status(&self, bits: u32) {
        let value = self.read(register::STATUS) | bits;
        self.write(register::STATUS, value);
    }

    fn read(&self, register: usize) -> u32 {
        // SAFETY: `new` demands a window of the device's registers; `register` is one of them.
        unsafe { ((self.base + register as u64) as *const u32).read_volatile() }
    }

    fn write(&self, register: usize, value: u32) {
        // SAFETY: as above.
        unsafe { ((self.base + register as u64) as *mut u32).write_volatile(value) }
    }
}
