//! A split virtqueue (virtio 1.2, section 2.7) for a few chains that are given together and all come back
//! before there are new ones: what the balloon and the disks need.
//!
//! The device is not trusted. What it writes (the used ring) is read once and checked; the
//! descriptors, which it could write too, are never read back.

use super::physical;
use core::{
    cell::UnsafeCell,
    sync::atomic::{
        AtomicU16, AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// Descriptor flag: another one follows.
const NEXT: u16 = 1;
/// Descriptor flag: the device writes the buffer.
const WRITE: u16 = 2;
/// Flag of the available ring: no interrupt when a chain comes back.
const NO_INTERRUPT: u16 = 1;

#[derive(Clone, Copy)]
#[repr(C)]
struct Descriptor {
    address: u64,
    len: u32,
    flags: u16,
    next: u16,
}

#[repr(C)]
struct Available<const N: usize> {
    flags: AtomicU16,
    index: AtomicU16,
    ring: [AtomicU16; N],
    used_event: AtomicU16,
}

#[repr(C)]
struct UsedElement {
    id: AtomicU32,
    len: AtomicU32,
}

#[repr(C)]
struct Used<const N: usize> {
    flags: AtomicU16,
    index: AtomicU16,
    ring: [UsedElement; N],
    avail_event: AtomicU16,
}

/// Memory that the device reads and writes: a static, so that its physical address is known and it
/// is never given back.
#[repr(C, align(4096))]
pub(crate) struct Rings<const N: usize> {
    descriptors: UnsafeCell<[Descriptor; N]>,
    available: Available<N>,
    used: Used<N>,
}

// SAFETY: the descriptors are written by the one `Queue` that was made of the rings, through its
// `&mut`; everything else is atomic.
unsafe impl<const N: usize> Sync for Rings<N> {}

impl<const N: usize> Rings<N> {
    /// Empty rings of `N` entries, a power of two.
    pub(crate) const fn new() -> Self {
        assert!(N.is_power_of_two() && N <= 256);
        const NONE: Descriptor = Descriptor {
            address: 0,
            len: 0,
            flags: 0,
            next: 0,
        };
        Self {
            descriptors: UnsafeCell::new([NONE; N]),
            available: Available {
                flags: AtomicU16::new(0),
                index: AtomicU16::new(0),
                ring: [const { AtomicU16::new(0) }; N],
                used_event: AtomicU16::new(0),
            },
            used: Used {
                flags: AtomicU16::new(0),
                index: AtomicU16::new(0),
                ring: [const {
                    UsedElement {
                        id: AtomicU32::new(0),
                        len: AtomicU32::new(0),
                    }
                }; N],
                avail_event: AtomicU16::new(0),
            },
        }
    }
}

/// A buffer for the device: physical address and bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    pub(crate) address: u64,
    pub(crate) len: u32,
}

/// Who writes the buffers of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The driver: the device reads them.
    ToDevice,
    /// The device.
    FromDevice,
}

/// The device broke the protocol; the queue is not used again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken;

/// The driver's end of a queue.
pub(crate) struct Queue<const N: usize> {
    rings: &'static Rings<N>,
    /// Chains given to the device, as its ring index counts them.
    given: u16,
    /// Chains that came back.
    returned: u16,
    /// Descriptors that the chains have which are with the device, the first ones.
    used: usize,
    /// Whether a chain begins with this descriptor and is with the device.
    heads: [bool; N],
    broken: bool,
}

impl<const N: usize> Queue<N> {
    /// The queue on these rings, of which there may be only one.
    pub(crate) const fn new(rings: &'static Rings<N>) -> Self {
        Self {
            rings,
            given: 0,
            returned: 0,
            used: 0,
            heads: [false; N],
            broken: false,
        }
    }

    /// Physical addresses of the descriptor, driver and device areas.
    pub(super) fn areas(&self) -> [u64; 3] {
        [
            physical(&raw const self.rings.descriptors),
            physical(&raw const self.rings.available),
            physical(&raw const self.rings.used),
        ]
    }

    /// Whether a chain is with the device.
    pub(crate) fn is_busy(&self) -> bool {
        self.given != self.returned
    }

    /// Asks the device for no interrupts: the driver looks by itself.
    pub(crate) fn refuse_interrupts(&mut self) {
        self.rings.available.flags.store(NO_INTERRUPT, Relaxed);
    }

    /// Descriptors that chains can still have until all those that are with the device are back.
    pub(crate) fn room(&self) -> usize {
        if self.is_busy() { N - self.used } else { N }
    }

    /// Gives one chain to the device: 1 to [`Self::room`] buffers of one direction. The caller then notifies it.
    ///
    /// # Panics
    /// If the number of buffers is out of range.
    pub(crate) fn give(&mut self, buffers: impl ExactSizeIterator<Item = Buffer>, to: Direction) {
        self.give_chain(buffers.map(|buffer| (buffer, to)));
    }

    /// As [`Self::give`]; the buffers that the device writes come last. Returns the number by which the
    /// chain comes back.
    ///
    /// # Panics
    /// As [`Self::give`].
    pub(crate) fn give_chain(
        &mut self,
        buffers: impl ExactSizeIterator<Item = (Buffer, Direction)>,
    ) -> u16 {
        let (count, room) = (buffers.len(), self.room());
        assert!((1..=room).contains(&count), "{count} buffers do not fit");
        let head = N - room;
        // SAFETY: this queue alone writes the descriptors, and the device has no chain with those from `head` on.
        let descriptors = unsafe { &mut *self.rings.descriptors.get() };
        let free = descriptors.iter_mut().skip(head);
        for (i, ((buffer, to), descriptor)) in buffers.zip(free).enumerate() {
            let write = if to == Direction::FromDevice {
                WRITE
            } else {
                0
            };
            let next = if i + 1 < count { NEXT } else { 0 };
            *descriptor = Descriptor {
                address: buffer.address,
                len: buffer.len,
                flags: write | next,
                next: (head + i + 1) as u16,
            };
        }
        self.used = head + count;
        self.heads[head] = true;
        let available = &self.rings.available;
        available.ring[usize::from(self.given) % N].store(head as u16, Relaxed);
        self.given = self.given.wrapping_add(1);
        available.index.store(self.given, Release);
        head as u16
    }

    /// Takes a chain back if the device is done with one, and says which. None while it is not.
    pub(crate) fn take(&mut self) -> Result<Option<u16>, Broken> {
        if self.broken {
            return Err(Broken);
        }
        let index = self.rings.used.index.load(Acquire);
        if index == self.returned {
            return Ok(None);
        }
        let id = self.rings.used.ring[usize::from(self.returned) % N]
            .id
            .load(Relaxed);
        let with_device = self.given.wrapping_sub(self.returned);
        let head = self.heads.get_mut(id as usize);
        match head.filter(|head| **head && index.wrapping_sub(self.returned) <= with_device) {
            Some(head) => *head = false,
            None => {
                self.broken = true;
                return Err(Broken);
            }
        }
        self.returned = self.returned.wrapping_add(1);
        Ok(Some(id as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFER: Buffer = Buffer {
        address: 0x1000,
        len: 64,
    };

    fn queue() -> Queue<4> {
        Queue::new(Box::leak(Box::new(Rings::new())))
    }

    /// What a device writes when it is done with chains up to `index`.
    fn answer(queue: &Queue<4>, index: u16, id: u32) {
        let used = &queue.rings.used;
        used.ring[usize::from(index.wrapping_sub(1)) % 4]
            .id
            .store(id, Relaxed);
        used.index.store(index, Release);
    }

    #[test]
    fn a_chain_goes_out_and_comes_back_more_often_than_the_index_can_count() {
        let mut queue = queue();
        for round in 1..=70_000_u32 {
            queue.give([BUFFER, BUFFER].into_iter(), Direction::FromDevice);
            assert!(queue.is_busy() && queue.take().unwrap().is_none());
            answer(&queue, round as u16, 0);
            assert!(queue.take().unwrap() == Some(0) && !queue.is_busy());
        }
        // SAFETY: no device has the rings.
        let [first, second, ..] = unsafe { *queue.rings.descriptors.get() };
        assert_eq!((first.flags, first.next), (WRITE | NEXT, 1));
        assert_eq!(
            (second.flags, second.address, second.len),
            (WRITE, 0x1000, 64)
        );
    }

    #[test]
    fn a_chain_may_have_both_directions_and_ask_for_no_interrupt() {
        let mut queue = queue();
        queue.refuse_interrupts();
        let chain = [Direction::ToDevice, Direction::FromDevice].map(|to| (BUFFER, to));
        queue.give_chain(chain.into_iter());
        // SAFETY: no device has the rings.
        let [first, second, ..] = unsafe { *queue.rings.descriptors.get() };
        assert_eq!((first.flags, second.flags), (NEXT, WRITE));
        assert_eq!(queue.rings.available.flags.load(Relaxed), NO_INTERRUPT);
    }

    #[test]
    fn a_device_that_returns_what_it_was_not_given_is_broken_for_ever() {
        let answers: [fn(&Queue<4>); 4] = [
            |queue| answer(queue, 1, 1),
            |queue| answer(queue, 1, u32::MAX),
            |queue| answer(queue, 2, 0),
            |queue| answer(queue, u16::MAX, 0),
        ];
        for hostile in answers {
            let mut queue = queue();
            queue.give([BUFFER].into_iter(), Direction::ToDevice);
            hostile(&queue);
            assert!(queue.take().is_err());
            answer(&queue, 1, 0);
            assert!(queue.take().is_err());
        }
    }

    #[test]
    fn a_device_that_answers_before_it_is_asked_is_broken() {
        let mut queue = queue();
        answer(&queue, 1, 0);
        assert!(queue.take().is_err());
    }

    #[test]
    fn chains_that_are_given_together_come_back_in_any_order() {
        let mut queue = queue();
        for round in 0..40_000_u16 {
            let pair = [(BUFFER, Direction::ToDevice); 2];
            let heads = [(); 2].map(|()| queue.give_chain(pair.into_iter()));
            assert_eq!((heads, queue.room()), ([0, 2], 0));
            let index = round.wrapping_mul(2).wrapping_add(1);
            answer(&queue, index, 2);
            assert_eq!(queue.take().unwrap(), Some(2));
            assert!(queue.is_busy() && queue.take().unwrap().is_none());
            answer(&queue, index.wrapping_add(1), 0);
            assert_eq!(queue.take().unwrap(), Some(0));
            assert!(!queue.is_busy());
        }
    }

    #[test]
    fn a_chain_that_comes_back_twice_breaks_the_queue() {
        let mut queue = queue();
        for _ in 0..2 {
            queue.give([BUFFER].into_iter(), Direction::ToDevice);
        }
        answer(&queue, 1, 1);
        assert_eq!(queue.take().unwrap(), Some(1));
        answer(&queue, 2, 1);
        assert!(queue.take().is_err());
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn more_than_there_is_room_for_is_refused() {
        let mut queue = queue();
        for _ in 0..5 {
            queue.give([BUFFER].into_iter(), Direction::ToDevice);
        }
    }
}
