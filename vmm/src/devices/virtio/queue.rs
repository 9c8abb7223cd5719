//! A split virtqueue (section 2.7) that survives any driver.
//!
//! `virtio-queue` does the rings. This wrapper checks the configuration before it gets there, and
//! each chain before a device sees it: no loop, no cut, no more descriptors than the queue has.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue, QueueOwnedT, QueueState, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use super::Violation;

/// The three parts of a queue, as a driver configures them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// The descriptor table.
    Descriptors,
    /// The driver's ring.
    Avail,
    /// The device's ring.
    Used,
}

impl Part {
    const ALL: [Self; 3] = [Self::Descriptors, Self::Avail, Self::Used];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptor table",
            Self::Avail => "available ring",
            Self::Used => "used ring",
        }
    }

    /// Alignment in bytes (section 2.7, table).
    const fn align(self) -> u64 {
        match self {
            Self::Descriptors => 16,
            Self::Avail => 2,
            Self::Used => 4,
        }
    }

    /// Length in bytes for a queue of `size` descriptors, with the event field at the end.
    const fn len(self, size: u16) -> usize {
        let size = size as usize;
        match self {
            Self::Descriptors => 16 * size,
            Self::Avail => 6 + 2 * size,
            Self::Used => 6 + 8 * size,
        }
    }
}

/// Buffers: guest physical address and length of each.
pub type Buffers = Vec<(u64, u32)>;

/// A chain of buffers that a driver offered. It has at least one.
#[derive(Clone, Debug)]
pub struct Chain {
    head: u16,
    descriptors: Vec<Descriptor>,
}

impl Chain {
    /// Index of the first descriptor, which names the chain in the used ring.
    pub fn head(&self) -> u16 {
        self.head
    }

    /// Appends the content of the chain to `bytes`. All its buffers have to be for the device to
    /// read.
    ///
    /// # Errors
    /// A buffer for the device to write, more than `limit` bytes, or a buffer outside RAM.
    pub fn read_into<M: GuestMemoryBackend>(
        &self,
        ram: &M,
        limit: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let mut left = limit;
        for descriptor in &self.descriptors {
            if descriptor.is_write_only() {
                return Err(Violation::Direction(self.head));
            }
            let len = descriptor.len();
            left = left.checked_sub(len as usize).ok_or(Violation::TooLong {
                head: self.head,
                limit,
            })?;
            let start = bytes.len();
            bytes.resize(start + len as usize, 0);
            ram.read_slice(&mut bytes[start..], descriptor.addr())
                .map_err(|_| Violation::Buffer {
                    address: descriptor.addr().0,
                    len,
                })?;
        }
        Ok(())
    }

    /// Address and length of each buffer. All of them have to be for the device to write.
    ///
    /// # Errors
    /// A buffer for the device to read.
    pub fn writable(&self) -> Result<impl Iterator<Item = (u64, u32)> + '_, Violation> {
        if self.descriptors.iter().any(|d| !d.is_write_only()) {
            return Err(Violation::Direction(self.head));
        }
        Ok(self.descriptors.iter().map(|d| (d.addr().0, d.len())))
    }

    /// Address and length of each buffer: of those for the device to read, then of those for it to
    /// write.
    ///
    /// # Errors
    /// A buffer for the device to read after one for it to write (section 2.7.4.2).
    pub fn halves(&self) -> Result<(Buffers, Buffers), Violation> {
        let first_writable = self
            .descriptors
            .iter()
            .position(|descriptor| descriptor.is_write_only())
            .unwrap_or(self.descriptors.len());
        let (readable, writable) = self.descriptors.split_at(first_writable);
        if writable.iter().any(|d| !d.is_write_only()) {
            return Err(Violation::Direction(self.head));
        }
        let buffers = |half: &[Descriptor]| half.iter().map(|d| (d.addr().0, d.len())).collect();
        Ok((buffers(readable), buffers(writable)))
    }
}

/// The part of a queue's state that virtio-queue keeps.
#[derive(Serialize, Deserialize)]
#[serde(remote = "QueueState")]
struct RingState {
    max_size: u16,
    next_avail: u16,
    next_used: u16,
    event_idx_enabled: bool,
    size: u16,
    ready: bool,
    desc_table: u64,
    avail_ring: u64,
    used_ring: u64,
}

/// What a queue is at a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VirtqueueState {
    #[serde(with = "RingState")]
    ring: QueueState,
    size: u32,
    addresses: [u64; 3],
    returned: bool,
}

/// One queue of a device.
#[derive(Debug)]
pub struct Virtqueue {
    queue: Queue,
    /// As configured; checked when the queue is made ready.
    size: u32,
    addresses: [u64; 3],
    /// Buffers were returned since the transport last asked.
    returned: bool,
}

impl Virtqueue {
    /// A queue of at most `max_size` descriptors.
    ///
    /// # Panics
    /// If `max_size` is not a power of two up to 32768; it comes from a device, not a driver.
    pub(super) fn new(max_size: u16) -> Self {
        Self {
            queue: Queue::new(max_size).expect("a device's queue size is a power of two"),
            size: 0,
            addresses: [0; 3],
            returned: false,
        }
    }

    pub(super) fn max_size(&self) -> u16 {
        self.queue.max_size()
    }

    /// True once the driver has made the queue ready.
    pub fn is_ready(&self) -> bool {
        self.queue.ready()
    }

    pub(super) fn set_size(&mut self, size: u32) {
        self.size = size;
    }

    pub(super) fn set_address(&mut self, part: Part, low: Option<u32>, high: Option<u32>) {
        let address = &mut self.addresses[part as usize];
        if let Some(low) = low {
            *address = *address & !0xffff_ffff | u64::from(low);
        }
        if let Some(high) = high {
            *address = *address & 0xffff_ffff | u64::from(high) << 32;
        }
    }

    /// Checks the configuration and makes the queue ready.
    pub(super) fn enable<M: GuestMemoryBackend>(&mut self, ram: &M) -> Result<(), Violation> {
        let max = self.max_size();
        let size = u16::try_from(self.size)
            .ok()
            .filter(|size| size.is_power_of_two() && *size <= max)
            .ok_or(Violation::QueueSize {
                size: self.size,
                max,
            })?;
        for part in Part::ALL {
            let address = self.addresses[part as usize];
            // virtio-queue takes an available ring at 0 for one that was never set.
            let usable = address.is_multiple_of(part.align())
                && (part != Part::Avail || address != 0)
                && GuestMemoryBackend::check_range(ram, GuestAddress(address), part.len(size));
            if !usable {
                return Err(Violation::QueueAddress { part, address });
            }
        }
        self.queue.reset();
        self.queue.set_size(size);
        let halves = |part: Part| {
            let address = self.addresses[part as usize];
            (Some(address as u32), Some((address >> 32) as u32))
        };
        let (low, high) = halves(Part::Descriptors);
        self.queue.set_desc_table_address(low, high);
        let (low, high) = halves(Part::Avail);
        self.queue.set_avail_ring_address(low, high);
        let (low, high) = halves(Part::Used);
        self.queue.set_used_ring_address(low, high);
        self.queue.set_ready(true);
        Ok(())
    }

    /// Stops the queue; its configuration stays.
    pub(super) fn disable(&mut self) {
        self.queue.reset();
        self.returned = false;
    }

    pub(super) fn state(&self) -> VirtqueueState {
        VirtqueueState {
            ring: self.queue.state(),
            size: self.size,
            addresses: self.addresses,
            returned: self.returned,
        }
    }

    /// False, and nothing changed, if no driver can bring a queue of this device to that state. Its rings
    /// are looked at as those that a driver gave: wherever they are, nothing outside RAM is reached.
    pub(super) fn restore(&mut self, state: &VirtqueueState) -> bool {
        let fits = state.ring.max_size == self.max_size() && state.ring.size <= self.max_size();
        match Queue::try_from(state.ring) {
            Ok(queue) if fits => self.queue = queue,
            _ => return false,
        }
        self.size = state.size;
        self.addresses = state.addresses;
        self.returned = state.returned;
        true
    }

    pub(super) fn reset(&mut self) {
        self.disable();
        self.size = 0;
        self.addresses = [0; 3];
    }

    /// Takes all chains that the driver has offered, at most as many as the queue has descriptors.
    /// Each has to be given back by [`Virtqueue::give_back`].
    ///
    /// # Errors
    /// The ring's index is wild, or a chain is malformed.
    pub fn take_all<M: GuestMemoryBackend>(&mut self, ram: &M) -> Result<Vec<Chain>, Violation> {
        let size = self.queue.size();
        let heads = self.queue.iter(ram).map_err(|_| Violation::RingIndex)?;
        let mut chains = Vec::new();
        for descriptors in heads {
            let head = descriptors.head_index();
            let mut chain = Chain {
                head,
                descriptors: Vec::new(),
            };
            let mut goes_on = true;
            for descriptor in descriptors.take(usize::from(size) + 1) {
                goes_on = descriptor.has_next();
                chain.descriptors.push(descriptor);
            }
            // The iterator ends without a word at a bad index or after as many steps as the table
            // has entries: then the last descriptor names a next one.
            if goes_on || chain.descriptors.len() > usize::from(size) {
                return Err(Violation::Chain(head));
            }
            chains.push(chain);
        }
        Ok(chains)
    }

    /// Gives a chain back to the driver; the device has written `len` bytes into it.
    ///
    /// # Errors
    /// The head is not a descriptor of this queue.
    pub fn give_back<M: GuestMemoryBackend>(
        &mut self,
        ram: &M,
        head: u16,
        len: u32,
    ) -> Result<(), Violation> {
        if !self.queue.ready() || head >= self.queue.size() {
            return Err(Violation::Chain(head));
        }
        self.queue
            .add_used(ram, head, len)
            .map_err(|_| Violation::QueueAddress {
                part: Part::Used,
                address: self.queue.used_ring(),
            })?;
        self.returned = true;
        Ok(())
    }

    /// True if buffers were given back since the last call and the driver wants to hear of it.
    pub(super) fn take_interrupt<M: GuestMemoryBackend>(&mut self, ram: &M) -> bool {
        if !std::mem::take(&mut self.returned) {
            return false;
        }
        let flags: u16 = ram
            .load(GuestAddress(self.queue.avail_ring()), Ordering::Acquire)
            .unwrap_or(0);
        u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0
    }
}
