//! A driver for tests: it goes through the registers and rings as a guest would.

use std::sync::Arc;

use proptest::prelude::*;
use virtio_bindings::bindings::virtio_mmio::*;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::mmio::VirtioMmio;
use super::{FEATURE_VERSION_1, VirtioDevice};
use crate::devices::bus::BusDevice;
use crate::devices::irq::IrqLines;

/// Descriptor flag: another one follows.
pub(crate) const NEXT: u16 = 1;
/// Descriptor flag: for the device to write.
pub(crate) const WRITE: u16 = 2;
/// Descriptor flag: the buffer is a table of descriptors.
pub(crate) const INDIRECT: u16 = 4;

/// Interrupt line of the device.
pub(crate) const LINE: u32 = 5;

/// RAM of a test: 4 MiB at 0, and 1 MiB at 8 MiB. Queues are in the first 64 KiB, buffers up to
/// 1 MiB, and what is above a test can use.
pub(crate) const RAM: [(GuestAddress, usize); 2] =
    [(GuestAddress(0), 4 << 20), (GuestAddress(8 << 20), 1 << 20)];

/// Where buffers are put.
const BUFFERS: u64 = 64 << 10;

pub(crate) type Ram = GuestMemoryMmap<()>;

/// One descriptor: address, length, flags, next.
pub(crate) type Descriptor = (u64, u32, u16, u16);

#[derive(Clone, Copy, Default)]
struct Rings {
    size: u16,
    next_descriptor: u16,
    avail: u16,
    used: u16,
}

pub(crate) struct Driver<D> {
    pub(crate) device: VirtioMmio<D, Ram>,
    pub(crate) ram: Arc<Ram>,
    pub(crate) lines: IrqLines,
    rings: [Rings; 8],
    next_buffer: u64,
}

impl<D: VirtioDevice<Ram>> Driver<D> {
    /// A device that no driver has touched.
    pub(crate) fn new(device: D) -> Self {
        let ram = Arc::new(Ram::from_ranges(&RAM).unwrap());
        let lines = IrqLines::new();
        let irq = lines.line(LINE).unwrap();
        Self {
            device: VirtioMmio::new(device, ram.clone(), irq),
            ram,
            lines,
            rings: Default::default(),
            next_buffer: BUFFERS,
        }
    }

    /// A device that runs, with `queues` queues of 16 descriptors.
    pub(crate) fn started(device: D, features: u64, queues: u32) -> Self {
        let mut driver = Self::new(device);
        driver.negotiate(features | FEATURE_VERSION_1);
        for queue in 0..queues {
            driver.set_up_queue(queue, 16);
        }
        driver.write(VIRTIO_MMIO_STATUS, 15);
        assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 15);
        driver
    }

    pub(crate) fn read(&mut self, register: u32) -> u32 {
        let mut data = [0xff; 4];
        self.device.read(register.into(), &mut data);
        u32::from_le_bytes(data)
    }

    pub(crate) fn write(&mut self, register: u32, value: u32) {
        let event = self.device.write(register.into(), &value.to_le_bytes());
        assert_eq!(event, None);
    }

    /// Everything up to FEATURES_OK.
    pub(crate) fn negotiate(&mut self, features: u64) {
        self.write(VIRTIO_MMIO_STATUS, 0);
        self.write(VIRTIO_MMIO_STATUS, 1);
        self.write(VIRTIO_MMIO_STATUS, 3);
        self.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        self.write(VIRTIO_MMIO_DRIVER_FEATURES, (features >> 32) as u32);
        self.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
        self.write(VIRTIO_MMIO_DRIVER_FEATURES, features as u32);
        self.write(VIRTIO_MMIO_STATUS, 11);
    }

    /// Addresses of a queue's descriptor table, available ring and used ring.
    pub(crate) fn addresses(queue: u32) -> [u64; 3] {
        let base = 0x1000 + u64::from(queue) * 0x1800;
        [base, base + 0x800, base + 0xc00]
    }

    pub(crate) fn set_up_queue(&mut self, queue: u32, size: u16) {
        let addresses = Self::addresses(queue);
        // Flags and index of both rings: a driver's new ring is empty.
        for ring in &addresses[1..] {
            self.ram.write_obj(0_u32, GuestAddress(*ring)).unwrap();
        }
        self.configure_queue(queue, size.into(), addresses);
        self.rings[queue as usize] = Rings {
            size,
            ..Rings::default()
        };
    }

    pub(crate) fn configure_queue(&mut self, queue: u32, size: u32, addresses: [u64; 3]) {
        self.write(VIRTIO_MMIO_QUEUE_SEL, queue);
        self.write(VIRTIO_MMIO_QUEUE_NUM, size);
        let registers = [
            VIRTIO_MMIO_QUEUE_DESC_LOW,
            VIRTIO_MMIO_QUEUE_AVAIL_LOW,
            VIRTIO_MMIO_QUEUE_USED_LOW,
        ];
        for (register, address) in registers.into_iter().zip(addresses) {
            self.write(register, address as u32);
            self.write(register + 4, (address >> 32) as u32);
        }
        self.write(VIRTIO_MMIO_QUEUE_READY, 1);
    }

    /// Copies bytes to where they stay for the test.
    pub(crate) fn buffer(&mut self, bytes: &[u8]) -> u64 {
        let address = self.next_buffer;
        self.next_buffer += bytes.len().next_multiple_of(16) as u64;
        assert!(self.next_buffer <= 1 << 20);
        self.ram.write_slice(bytes, GuestAddress(address)).unwrap();
        address
    }

    pub(crate) fn write_descriptor(&self, queue: u32, index: u16, (a, l, f, n): Descriptor) {
        let at = GuestAddress(Self::addresses(queue)[0] + 16 * u64::from(index));
        self.ram.write_obj(a, at).unwrap();
        self.ram.write_obj(l, GuestAddress(at.0 + 8)).unwrap();
        self.ram.write_obj(f, GuestAddress(at.0 + 12)).unwrap();
        self.ram.write_obj(n, GuestAddress(at.0 + 14)).unwrap();
    }

    /// Offers a chain of buffers, without a notification; returns its head.
    pub(crate) fn offer(&mut self, queue: u32, buffers: &[(u64, u32)], flags: u16) -> u16 {
        let size = self.rings[queue as usize].size;
        let head = self.rings[queue as usize].next_descriptor;
        for (at, &(address, len)) in buffers.iter().enumerate() {
            let index = (head + at as u16) % size;
            let more = if at + 1 < buffers.len() { NEXT } else { 0 };
            let descriptor = (address, len, flags | more, (index + 1) % size);
            self.write_descriptor(queue, index, descriptor);
        }
        self.rings[queue as usize].next_descriptor = (head + buffers.len() as u16) % size;
        self.offer_head(queue, head);
        head
    }

    /// Puts a head into the available ring.
    pub(crate) fn offer_head(&mut self, queue: u32, head: u16) {
        let rings = &mut self.rings[queue as usize];
        let ring = Self::addresses(queue)[1];
        let slot = ring + 4 + 2 * u64::from(rings.avail % rings.size);
        rings.avail = rings.avail.wrapping_add(1);
        self.ram.write_obj(head, GuestAddress(slot)).unwrap();
        self.ram
            .write_obj(rings.avail, GuestAddress(ring + 2))
            .unwrap();
    }

    pub(crate) fn notify(&mut self, queue: u32) {
        self.write(VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    }

    /// The next chain that came back: head and bytes written.
    pub(crate) fn used(&mut self, queue: u32) -> Option<(u32, u32)> {
        let rings = &mut self.rings[queue as usize];
        let ring = Self::addresses(queue)[2];
        let index: u16 = self.ram.read_obj(GuestAddress(ring + 2)).unwrap();
        if index == rings.used {
            return None;
        }
        let slot = ring + 4 + 8 * u64::from(rings.used % rings.size);
        rings.used = rings.used.wrapping_add(1);
        let head = self.ram.read_obj(GuestAddress(slot)).unwrap();
        let len = self.ram.read_obj(GuestAddress(slot + 4)).unwrap();
        Some((head, len))
    }

    /// Takes the interrupt, as the handler does: reasons, acknowledged.
    pub(crate) fn interrupt(&mut self) -> u32 {
        if self.lines.take() != Some(LINE) {
            return 0;
        }
        let reasons = self.read(VIRTIO_MMIO_INTERRUPT_STATUS);
        self.write(VIRTIO_MMIO_INTERRUPT_ACK, reasons);
        reasons
    }

    /// True if the device waits for a reset.
    pub(crate) fn needs_reset(&mut self) -> bool {
        self.read(VIRTIO_MMIO_STATUS) & 64 != 0
    }
}

/// What a hostile driver puts into a queue of 16: descriptors, heads, and the ring's index.
pub(crate) type RandomQueue = (Vec<Descriptor>, Vec<u16>, u16);

/// Queues that are mostly nearly right.
pub(crate) fn random_queue() -> impl Strategy<Value = RandomQueue> {
    let address = prop_oneof![
        4 => 0u64..4 << 20,
        1 => (4u64 << 20) - 64..(4 << 20) + 64,
        1 => (9u64 << 20) - 64..(9 << 20) + 64,
        1 => any::<u64>(),
    ];
    let len = prop_oneof![8 => 0u32..64, 2 => 0u32..1 << 16, 1 => any::<u32>()];
    let flags = prop_oneof![6 => 0u16..4, 1 => 0u16..8];
    let descriptor = (address, len, flags, 0u16..18);
    let index = prop_oneof![8 => 0u16..17, 1 => any::<u16>()];
    (
        prop::collection::vec(descriptor, 16),
        prop::collection::vec(0u16..18, 16),
        index,
    )
}

impl<D: VirtioDevice<Ram>> Driver<D> {
    pub(crate) fn write_random_queue(&self, queue: u32, (descriptors, heads, index): &RandomQueue) {
        for (at, descriptor) in (0..).zip(descriptors) {
            self.write_descriptor(queue, at, *descriptor);
        }
        let ring = Self::addresses(queue)[1];
        self.ram.write_obj(*index, GuestAddress(ring + 2)).unwrap();
        for (at, head) in (0..).zip(heads) {
            let slot = GuestAddress(ring + 4 + 2 * at);
            self.ram.write_obj(*head, slot).unwrap();
        }
    }
}
