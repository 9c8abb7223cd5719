//! Drivers that break the rules.

use super::*;
use crate::devices::virtio::driver::{INDIRECT, NEXT, WRITE, random_queue};
use proptest::prelude::*;

#[test]
fn status_goes_up_in_order_only() {
    for wrong in [2, 4, 8, 5, 9, 7, 14] {
        let mut driver = new();
        driver.write(VIRTIO_MMIO_STATUS, wrong);
        let expected = Violation::Status { from: 0, to: wrong };
        assert_eq!(violation(&driver), Some(expected));
        assert!(driver.needs_reset());
        driver.write(VIRTIO_MMIO_STATUS, 0);
        assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 0);
    }
    let mut driver = started();
    driver.write(VIRTIO_MMIO_STATUS, 3);
    let expected = Violation::Status { from: 15, to: 3 };
    assert_eq!(violation(&driver), Some(expected));
}

#[test]
fn a_failed_driver_gets_nothing_until_it_resets() {
    let mut driver = started();
    driver.write(VIRTIO_MMIO_STATUS, 128);
    assert!(!driver.device.is_running());
    let buffer = driver.buffer(&[1]);
    driver.offer(0, &[(buffer, 1)], 0);
    driver.notify(0);
    driver.write(VIRTIO_MMIO_STATUS, 15);
    assert_eq!(driver.used(0), None);
    assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 128 | 15);
    driver.write(VIRTIO_MMIO_STATUS, 0);
    assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 0);
    assert_eq!(violation(&driver), None);
}

#[test]
fn a_bad_queue_is_refused() {
    let good = [0x1000, 0x2000, 0x3000];
    let part = |at: usize, address: u64| {
        let mut addresses = good;
        addresses[at] = address;
        addresses
    };
    let cases = [
        (0, good),
        (3, good),
        (32, good),
        (0x1_0010, good),
        (u32::MAX, good),
        (16, part(0, 0x1008)),
        (16, part(1, 0x2001)),
        (16, part(2, 0x3002)),
        (16, part(1, 0)),
        // Not in RAM, across its end, in the hole, and at the end of all addresses.
        (16, part(0, (4 << 20) - 16)),
        (16, part(1, 5 << 20)),
        (16, part(2, 9 << 20)),
        (16, part(2, !3)),
        (16, part(0, !15)),
    ];
    for (size, addresses) in cases {
        let mut driver = new();
        driver.negotiate(1 << 32);
        driver.configure_queue(0, size, addresses);
        assert!(driver.needs_reset(), "{size} {addresses:x?}");
        assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_READY), 0);
        assert!(matches!(
            violation(&driver),
            Some(Violation::QueueSize { .. } | Violation::QueueAddress { .. })
        ));
        driver.negotiate(1 << 32);
        driver.set_up_queue(0, 16);
        assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_READY), 1);
    }
}

#[test]
fn writes_out_of_turn_stop_the_device() {
    let queue_registers = [
        VIRTIO_MMIO_QUEUE_NUM,
        VIRTIO_MMIO_QUEUE_READY,
        VIRTIO_MMIO_QUEUE_DESC_LOW,
        VIRTIO_MMIO_QUEUE_DESC_HIGH,
        VIRTIO_MMIO_QUEUE_AVAIL_LOW,
        VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
        VIRTIO_MMIO_QUEUE_USED_LOW,
        VIRTIO_MMIO_QUEUE_USED_HIGH,
    ];
    let early = [VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_MMIO_QUEUE_NOTIFY];
    for register in queue_registers.into_iter().chain(early) {
        let mut driver = new();
        driver.write(register, 1);
        let expected = Violation::OutOfTurn {
            offset: register,
            status: 0,
        };
        assert_eq!(violation(&driver), Some(expected));
    }
    for register in queue_registers {
        let mut driver = started();
        driver.write(VIRTIO_MMIO_QUEUE_SEL, 1);
        driver.write(register, 1);
        assert_eq!(violation(&driver), Some(Violation::QueueInUse(1)));
        // A running driver hears of it.
        assert_eq!(driver.interrupt(), VIRTIO_MMIO_INT_CONFIG);

        let mut driver = started();
        driver.write(VIRTIO_MMIO_QUEUE_SEL, 2);
        driver.write(register, 1);
        assert_eq!(violation(&driver), Some(Violation::NoSuchQueue(2)));
    }
    let mut driver = started();
    driver.write(VIRTIO_MMIO_DRIVER_FEATURES, 1);
    assert!(driver.needs_reset());
}

#[test]
fn notifications_of_wrong_queues_stop_the_device() {
    let mut driver = started();
    driver.notify(2);
    assert_eq!(violation(&driver), Some(Violation::NoSuchQueue(2)));
    let mut driver = Driver::started(Probe::default(), 0, 1);
    driver.notify(1);
    assert_eq!(violation(&driver), Some(Violation::QueueNotReady(1)));
}

#[test]
fn registers_take_four_aligned_bytes() {
    for (offset, width) in [(0x70, 1), (0x70, 8), (0x71, 4), (0x6e, 4), (0xfe, 4)] {
        let mut driver = new();
        let mut data = vec![0xff; width];
        driver.device.read(offset, &mut data);
        assert_eq!(data, vec![0; width]);
        assert_eq!(violation(&driver), None);
        driver.device.write(offset, &data);
        let expected = Violation::Width { offset, width };
        assert_eq!(violation(&driver), Some(expected));
    }
}

#[test]
fn malformed_chains_stop_the_device() {
    let far = 0x0fff_f000;
    // Descriptors from 0 on, and the head that is offered.
    type Case<'a> = (&'a [(u64, u32, u16, u16)], u16, Violation);
    let cases: [Case<'_>; 10] = [
        (&[(0x1_0000, 4, NEXT, 0)], 0, Violation::Chain(0)),
        (
            &[(0x1_0000, 4, NEXT, 1), (0x1_0000, 4, NEXT, 0)],
            0,
            Violation::Chain(0),
        ),
        (&[(0x1_0000, 4, NEXT, 99)], 0, Violation::Chain(0)),
        (&[(0x1_0000, 4, 0, 0)], 16, Violation::Chain(16)),
        (&[(0x1_0000, 4, 0, 0)], 0xffff, Violation::Chain(0xffff)),
        (&[(0x1_0000, 4, WRITE, 0)], 0, Violation::Direction(0)),
        (
            &[(0x1_0000, u32::MAX, 0, 0)],
            0,
            Violation::TooLong {
                head: 0,
                limit: 4096,
            },
        ),
        (
            &[(far, 8, 0, 0)],
            0,
            Violation::Buffer {
                address: far,
                len: 8,
            },
        ),
        // A table of descriptors outside RAM, and one of no length.
        (&[(far, 32, INDIRECT, 0)], 0, Violation::Chain(0)),
        (&[(0x1_0000, 0, INDIRECT, 0)], 0, Violation::Chain(0)),
    ];
    for (descriptors, head, expected) in cases {
        let mut driver = started();
        for (index, descriptor) in (0..).zip(descriptors) {
            driver.write_descriptor(0, index, *descriptor);
        }
        driver.offer_head(0, head);
        driver.notify(0);
        assert_eq!(violation(&driver), Some(expected));
        assert!(driver.needs_reset());
        assert_eq!(driver.interrupt(), VIRTIO_MMIO_INT_CONFIG);
    }
}

#[test]
fn a_wild_ring_index_stops_the_device() {
    let mut driver = started();
    let avail = Driver::<Probe>::addresses(0)[1];
    driver
        .ram
        .write_obj(17_u16, GuestAddress(avail + 2))
        .unwrap();
    driver.notify(0);
    assert_eq!(violation(&driver), Some(Violation::RingIndex));
}

#[test]
fn a_second_violation_is_counted_but_changes_nothing() {
    let mut driver = started();
    driver.notify(9);
    driver.interrupt();
    let generation = driver.read(VIRTIO_MMIO_CONFIG_GENERATION);
    driver.device.write(0x71, &[0]);
    assert_eq!(driver.device.violations(), 2);
    assert_eq!(violation(&driver), Some(Violation::NoSuchQueue(9)));
    assert_eq!(driver.read(VIRTIO_MMIO_CONFIG_GENERATION), generation);
    assert_eq!(driver.interrupt(), 0);
}

/// Registers, more often those that matter, and values, more often those that work.
fn register_write() -> impl Strategy<Value = (u64, u32)> {
    let offset = prop_oneof![
        4 => (0u64..0x44).prop_map(|at| at * 4),
        1 => 0u64..0x1000,
    ];
    let value = prop_oneof![
        4 => 0u32..20,
        2 => (0u32..16).prop_map(|at| at * 0x1000),
        1 => any::<u32>(),
    ];
    (offset, value)
}

proptest! {
    #[test]
    fn random_register_accesses_never_panic(
        running: bool,
        accesses in prop::collection::vec((register_write(), 0usize..10), 0..100),
    ) {
        let mut driver = if running { started() } else { new() };
        for ((offset, value), width) in accesses {
            let mut data = value.to_le_bytes().repeat(3);
            let width = if width < 5 { 4 } else { width };
            driver.device.write(offset, &data[..width]);
            driver.device.read(offset, &mut data[..width]);
        }
        driver.write(VIRTIO_MMIO_STATUS, 0);
        prop_assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 0);
    }

    #[test]
    fn random_queues_never_panic(contents in prop::collection::vec(random_queue(), 1..4)) {
        let mut driver = started();
        for content in contents {
            driver.write_random_queue(0, &content);
            driver.notify(0);
        }
        // Whatever happened, a reset brings the device back.
        driver.negotiate(1 << 32);
        prop_assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 11);
    }
}
