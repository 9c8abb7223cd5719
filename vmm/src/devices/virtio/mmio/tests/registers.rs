//! Every register, and drivers that keep the rules.

use super::super::registers::{MAGIC, VENDOR, VERSION};
use super::*;
use crate::devices::virtio::driver::LINE;

#[test]
fn identity() {
    let mut driver = new();
    let expected = [
        (VIRTIO_MMIO_MAGIC_VALUE, MAGIC),
        (VIRTIO_MMIO_VERSION, VERSION),
        (VIRTIO_MMIO_DEVICE_ID, 42),
        (VIRTIO_MMIO_VENDOR_ID, VENDOR),
        (VIRTIO_MMIO_STATUS, 0),
        (VIRTIO_MMIO_INTERRUPT_STATUS, 0),
        (VIRTIO_MMIO_SHM_LEN_LOW, u32::MAX),
        (VIRTIO_MMIO_SHM_LEN_HIGH, u32::MAX),
        (VIRTIO_MMIO_SHM_BASE_LOW, u32::MAX),
        (VIRTIO_MMIO_SHM_BASE_HIGH, u32::MAX),
    ];
    for (register, value) in expected {
        assert_eq!(driver.read(register), value, "{register:#x}");
        // Writing what is only for reading changes nothing.
        if register != VIRTIO_MMIO_STATUS {
            driver.write(register, !value);
            assert_eq!(driver.read(register), value, "{register:#x}");
        }
    }
    assert_eq!(violation(&driver), None);
}

#[test]
fn write_only_and_unknown_registers_read_zero() {
    let mut driver = started();
    let readable = [
        0x00, 0x04, 0x08, 0x0c, 0x10, 0x34, 0x44, 0x60, 0x70, 0xb0, 0xb4, 0xb8, 0xbc, 0xfc,
    ];
    for register in (0..0x100).step_by(4) {
        if !readable.contains(&register) {
            assert_eq!(driver.read(register), 0, "{register:#x}");
        }
    }
}

#[test]
fn features_are_offered_in_halves() {
    let mut driver = new();
    let offered = FEATURE | 1 << 32;
    for (select, value) in [(0, offered as u32), (1, (offered >> 32) as u32), (2, 0)] {
        driver.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, select);
        assert_eq!(driver.read(VIRTIO_MMIO_DEVICE_FEATURES), value);
    }
}

#[test]
fn accepted_features_reach_the_device() {
    let driver = started();
    assert_eq!(driver.device.device().features, Some(FEATURE | 1 << 32));
    assert!(driver.device.is_running());
}

#[test]
fn features_that_were_not_offered_or_a_legacy_driver_are_refused() {
    for features in [1 << 32 | 1, 1 << 33, FEATURE, 0] {
        let mut driver = new();
        driver.negotiate(features);
        assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 3, "{features:#x}");
        driver.write(VIRTIO_MMIO_STATUS, 15);
        assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 3);
        assert_eq!(violation(&driver), None);
        // The driver can think again.
        driver.negotiate(1 << 32);
        assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 11);
    }
}

#[test]
fn feature_bits_beyond_64_are_ignored() {
    let mut driver = new();
    driver.write(VIRTIO_MMIO_STATUS, 3);
    driver.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
    driver.write(VIRTIO_MMIO_DRIVER_FEATURES, 1);
    driver.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    driver.write(VIRTIO_MMIO_DRIVER_FEATURES, 1);
    driver.write(VIRTIO_MMIO_STATUS, 11);
    assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 11);
}

#[test]
fn queue_registers() {
    let mut driver = new();
    driver.negotiate(1 << 32);
    for (queue, max) in [(0, 16), (1, 64), (2, 0), (u32::MAX, 0)] {
        driver.write(VIRTIO_MMIO_QUEUE_SEL, queue);
        assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_NUM_MAX), max);
        assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_READY), 0);
    }
    driver.set_up_queue(1, 32);
    assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_READY), 1);
    driver.write(VIRTIO_MMIO_QUEUE_READY, 0);
    assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_READY), 0);
    // A queue that was stopped keeps its configuration.
    driver.write(VIRTIO_MMIO_QUEUE_READY, 1);
    assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_READY), 1);
    assert_eq!(violation(&driver), None);
}

#[test]
fn a_chain_goes_through_and_raises_the_line() {
    let mut driver = started();
    let (a, b) = (driver.buffer(&[1, 2]), driver.buffer(&[3, 4, 5]));
    let head = driver.offer(1, &[(a, 2), (b, 3)], 0);
    driver.notify(1);
    assert_eq!(driver.device.device().sum, 15);
    assert_eq!(driver.used(1), Some((head.into(), 0)));
    assert_eq!(driver.used(1), None);
    assert_eq!(driver.read(VIRTIO_MMIO_INTERRUPT_STATUS), 1);
    assert_eq!(driver.interrupt(), VIRTIO_MMIO_INT_VRING);
    assert_eq!(driver.read(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    assert_eq!(driver.interrupt(), 0);
}

#[test]
fn a_driver_that_polls_gets_no_interrupt() {
    let mut driver = started();
    let avail = Driver::<Probe>::addresses(0)[1];
    driver.ram.write_obj(1_u16, GuestAddress(avail)).unwrap();
    let buffer = driver.buffer(&[1]);
    driver.offer(0, &[(buffer, 1)], 0);
    driver.notify(0);
    assert_eq!(driver.used(0), Some((0, 0)));
    assert_eq!(driver.lines.pending(), 0);
}

#[test]
fn acknowledging_one_reason_keeps_the_other() {
    let mut driver = started();
    let buffer = driver.buffer(&[1]);
    driver.offer(0, &[(buffer, 1)], 0);
    driver.notify(0);
    driver.device.change_config(|probe| probe.config[0] = 9);
    assert_eq!(driver.read(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
    driver.write(VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_eq!(driver.read(VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    assert_eq!(driver.lines.pending(), 1 << LINE);
    driver.write(VIRTIO_MMIO_INTERRUPT_ACK, 0xffff_fffe);
    assert_eq!(driver.lines.pending(), 0);
}

#[test]
fn a_change_of_configuration_counts_the_generation_up() {
    let mut driver = new();
    let before = driver.read(VIRTIO_MMIO_CONFIG_GENERATION);
    driver.device.change_config(|probe| probe.config[2] = 7);
    assert_eq!(driver.read(VIRTIO_MMIO_CONFIG_GENERATION), before + 1);
    // Nobody runs the device yet, so nobody is told.
    assert_eq!(driver.lines.pending(), 0);
    let mut bytes = [0xff; 8];
    driver.device.read(0x100, &mut bytes);
    assert_eq!(bytes, [0, 0, 7, 0, 0, 0, 0, 0]);
}

#[test]
fn the_configuration_takes_writes_from_a_driver_only() {
    let mut driver = new();
    driver.device.write(0x101, &[1]);
    assert_eq!(driver.device.device().config, [0; 6]);
    driver.write(VIRTIO_MMIO_STATUS, 3);
    driver.device.write(0x101, &[1, 2]);
    assert_eq!(driver.device.device().config, [0, 1, 2, 0, 0, 0]);
    driver.device.write(0x3, &[1]);
    driver.device.write(0x101, &[8, 8]);
    assert_eq!(driver.device.device().config, [0, 1, 2, 0, 0, 0]);
}

#[test]
fn reset_clears_everything() {
    let mut driver = started();
    let buffer = driver.buffer(&[1]);
    driver.offer(0, &[(buffer, 1)], 0);
    driver.notify(0);
    let resets = driver.device.device().resets;
    driver.write(VIRTIO_MMIO_STATUS, 0);
    assert_eq!(driver.device.device().resets, resets + 1);
    assert_eq!(driver.device.device().features, None);
    assert_eq!(driver.lines.pending(), 0);
    assert_eq!(driver.read(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    for queue in 0..2 {
        driver.write(VIRTIO_MMIO_QUEUE_SEL, queue);
        assert_eq!(driver.read(VIRTIO_MMIO_QUEUE_READY), 0);
    }
    // The old size is gone: a queue needs a new configuration.
    driver.negotiate(1 << 32);
    driver.write(VIRTIO_MMIO_QUEUE_READY, 1);
    assert_eq!(
        violation(&driver),
        Some(Violation::QueueSize { size: 0, max: 16 })
    );
}
