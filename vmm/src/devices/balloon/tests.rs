//! The balloon as a driver and the host see it.

use super::stats::ENTRY_LEN;
use super::*;
use crate::devices::bus::BusDevice;
use crate::devices::virtio::Violation;
use crate::devices::virtio::driver::{Driver, WRITE, random_queue};
use proptest::prelude::*;
use virtio_bindings::bindings::virtio_mmio::*;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

const ALL: u64 = FEATURE_STATS_VQ | FEATURE_DEFLATE_ON_OOM | FEATURE_REPORTING;
const INFLATE: u32 = 0;
const DEFLATE: u32 = 1;
const STATS: u32 = 2;
const REPORTING: u32 = 3;

/// Frames that a test can use: from 1 MiB to 4 MiB, and all of the second region.
const FIRST: u32 = 256;
const HOLE: u32 = 1024;
const SECOND: u32 = 2048;
const END: u32 = 2304;

fn started() -> Driver<Balloon> {
    Driver::started(Balloon::new(), ALL, 4)
}

fn send(driver: &mut Driver<Balloon>, queue: u32, pfns: &[u32]) {
    let bytes: Vec<u8> = pfns.iter().flat_map(|pfn| pfn.to_le_bytes()).collect();
    let address = driver.buffer(&bytes);
    let head = driver.offer(queue, &[(address, bytes.len() as u32)], 0);
    driver.notify(queue);
    assert_eq!(driver.used(queue), Some((head.into(), 0)));
}

/// Writes each frame's number into it.
fn fill(driver: &Driver<Balloon>, pfns: impl Iterator<Item = u32>) {
    for pfn in pfns {
        driver
            .ram
            .write_obj(pfn, GuestAddress(u64::from(pfn) * PAGE_SIZE))
            .unwrap();
    }
}

fn content(driver: &Driver<Balloon>, pfn: u32) -> u32 {
    driver
        .ram
        .read_obj(GuestAddress(u64::from(pfn) * PAGE_SIZE))
        .unwrap()
}

/// True if the host has memory behind the frame.
fn is_resident(driver: &Driver<Balloon>, pfn: u32) -> bool {
    let address = GuestAddress(u64::from(pfn) * PAGE_SIZE);
    let host = driver.ram.get_host_address(address).unwrap();
    let mut byte = 0_u8;
    // SAFETY: `host` is a page of the driver's RAM, which is mapped, and `byte` has room for the
    // answer of one page.
    let result = unsafe { libc::mincore(host.cast(), PAGE_SIZE as usize, &raw mut byte) };
    assert_eq!(result, 0);
    byte & 1 != 0
}

fn write_actual(driver: &mut Driver<Balloon>, pages: u32) {
    driver.device.write(0x104, &pages.to_le_bytes());
}

fn read_num_pages(driver: &mut Driver<Balloon>) -> u32 {
    driver.read(VIRTIO_MMIO_CONFIG)
}

#[test]
fn the_device_is_a_balloon_with_three_features() {
    let mut driver = Driver::new(Balloon::new());
    assert_eq!(driver.read(VIRTIO_MMIO_DEVICE_ID), 5);
    driver.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    assert_eq!(driver.read(VIRTIO_MMIO_DEVICE_FEATURES), 0b10_0110);
}

#[test]
fn a_target_reaches_the_driver_and_actual_comes_back() {
    let mut driver = started();
    let generation = driver.read(VIRTIO_MMIO_CONFIG_GENERATION);
    driver.device.set_target((5 << 20) + 17);
    assert_eq!(driver.device.target(), 5 << 20);
    assert_eq!(driver.read(VIRTIO_MMIO_CONFIG_GENERATION), generation + 1);
    assert_eq!(driver.interrupt(), VIRTIO_MMIO_INT_CONFIG);
    assert_eq!(read_num_pages(&mut driver), 1280);
    write_actual(&mut driver, 1279);
    assert_eq!(driver.device.actual(), 1279 * PAGE_SIZE);
    assert!(driver.device.deflates_on_oom());
}

#[test]
fn a_target_waits_for_a_driver() {
    let mut driver = Driver::new(Balloon::new());
    driver.device.set_target(u64::MAX);
    assert_eq!(driver.lines.pending(), 0);
    assert_eq!(read_num_pages(&mut driver), u32::MAX);
    assert!(!driver.device.deflates_on_oom());
}

#[test]
fn inflated_pages_are_discarded_and_no_others() {
    let mut driver = started();
    fill(&driver, FIRST..FIRST + 40);
    // Out of order and with a gap, as an allocator hands them out.
    let mut pfns: Vec<u32> = (FIRST + 10..FIRST + 30).rev().collect();
    pfns.retain(|pfn| *pfn != FIRST + 20);
    send(&mut driver, INFLATE, &pfns);
    assert_eq!(driver.interrupt(), VIRTIO_MMIO_INT_VRING);
    for pfn in FIRST..FIRST + 40 {
        let inside = pfns.contains(&pfn);
        assert_eq!(is_resident(&driver, pfn), !inside, "pfn {pfn}");
        assert_eq!(driver.device.holds(pfn.into()), inside);
    }
    for pfn in FIRST..FIRST + 40 {
        let expected = if pfns.contains(&pfn) { 0 } else { pfn };
        assert_eq!(content(&driver, pfn), expected);
    }
    let counters = driver.device.counters();
    assert_eq!(counters.inflated_pages, 19);
    assert_eq!(counters.reclaimed_bytes, 19 * PAGE_SIZE);
    assert_eq!(counters.discards, 2, "one call for each contiguous range");
    assert_eq!(driver.device.held(), 19 * PAGE_SIZE);
}

#[test]
fn ranges_are_coalesced_across_chains_of_one_notification() {
    let mut driver = started();
    for pfn in FIRST..FIRST + 16 {
        let address = driver.buffer(&pfn.to_le_bytes());
        driver.offer(INFLATE, &[(address, 4)], 0);
    }
    driver.notify(INFLATE);
    for head in 0..16 {
        assert_eq!(driver.used(INFLATE), Some((head, 0)));
    }
    let counters = driver.device.counters();
    assert_eq!((counters.inflated_pages, counters.discards), (16, 1));
}

#[test]
fn deflated_pages_leave_the_balloon() {
    let mut driver = started();
    send(&mut driver, INFLATE, &[FIRST, FIRST + 1, FIRST + 2, SECOND]);
    send(&mut driver, DEFLATE, &[FIRST + 1, SECOND]);
    assert_eq!(driver.device.held(), 2 * PAGE_SIZE);
    assert!(driver.device.holds(u64::from(FIRST)));
    assert!(!driver.device.holds(u64::from(FIRST) + 1));
    assert_eq!(driver.device.counters().deflated_pages, 2);
}

#[test]
fn pfns_outside_ram_and_repeated_ones_are_ignored_and_counted() {
    let mut driver = started();
    send(
        &mut driver,
        INFLATE,
        &[HOLE, END, u32::MAX, FIRST, FIRST, SECOND],
    );
    send(&mut driver, INFLATE, &[SECOND]);
    send(&mut driver, DEFLATE, &[SECOND, SECOND + 1, u32::MAX]);
    let counters = driver.device.counters();
    assert_eq!(counters.inflated_pages, 2);
    assert_eq!(counters.deflated_pages, 1);
    assert_eq!(counters.pages_outside_ram, 4);
    assert_eq!(counters.stray_pages, 2);
    assert!(driver.device.is_running());
}

#[test]
fn a_full_chain_of_pfns_is_taken_and_a_longer_one_is_not() {
    let mut driver = started();
    let most = 4 * MAX_PFNS_PER_CHAIN as u32;
    let address = driver.buffer(&vec![0xff; most as usize + 4]);
    driver.offer(INFLATE, &[(address, most)], 0);
    driver.notify(INFLATE);
    assert_eq!(driver.used(INFLATE), Some((0, 0)));
    driver.offer(INFLATE, &[(address, most), (address, 4)], 0);
    driver.notify(INFLATE);
    assert_eq!(driver.used(INFLATE), None);
    assert!(driver.needs_reset());
}

#[test]
fn statistics_are_kept_by_name_and_asked_for() {
    let mut driver = started();
    assert!(!driver.device.request_stats(), "there is no buffer yet");
    let mut bytes = [0; 2 * ENTRY_LEN];
    bytes[..2].copy_from_slice(&4_u16.to_le_bytes());
    bytes[2..10].copy_from_slice(&1000_u64.to_le_bytes());
    bytes[10] = 77;
    let address = driver.buffer(&bytes);
    let head = driver.offer(STATS, &[(address, bytes.len() as u32)], 0);
    driver.notify(STATS);
    assert_eq!(driver.device.stats().get(StatTag::FreeMemory), Some(1000));
    assert_eq!(driver.device.counters().unknown_stats, 1);
    // The device keeps the buffer until the host wants new values.
    assert_eq!(driver.used(STATS), None);
    assert_eq!(driver.lines.pending(), 0);
    assert!(driver.device.request_stats());
    assert_eq!(driver.interrupt(), VIRTIO_MMIO_INT_VRING);
    assert_eq!(driver.used(STATS), Some((head.into(), 0)));
    assert!(!driver.device.request_stats(), "the driver has to answer");
    driver
        .ram
        .write_obj(2000_u64, GuestAddress(address + 2))
        .unwrap();
    driver.offer(STATS, &[(address, 10)], 0);
    driver.notify(STATS);
    assert_eq!(driver.device.stats().get(StatTag::FreeMemory), Some(2000));
}

#[test]
fn reported_pages_are_discarded_whole() {
    let mut driver = started();
    fill(&driver, FIRST..FIRST + 8);
    let start = u64::from(FIRST) * PAGE_SIZE;
    // Two buffers that overlap, the first from the middle of a page on.
    let buffers = [(start + 2048, 3 * 4096), (start + 2 * 4096, 3 * 4096)];
    let head = driver.offer(REPORTING, &buffers, WRITE);
    driver.notify(REPORTING);
    assert_eq!(driver.used(REPORTING), Some((head.into(), 0)));
    for pfn in FIRST..FIRST + 8 {
        let reported = (FIRST + 1..FIRST + 5).contains(&pfn);
        assert_eq!(is_resident(&driver, pfn), !reported);
        assert_eq!(content(&driver, pfn), if reported { 0 } else { pfn });
    }
    let counters = driver.device.counters();
    assert_eq!(counters.reported_bytes, 4 * PAGE_SIZE);
    assert_eq!(counters.discards, 1);
    assert_eq!(driver.device.held(), 0);
}

#[test]
fn reports_of_anything_stay_within_ram() {
    let mut driver = started();
    let buffers = [
        (u64::MAX - 4096, 1 << 31),
        (5 << 20, 1 << 20),
        ((4 << 20) - 4096, 1 << 20),
    ];
    driver.offer(REPORTING, &buffers, WRITE);
    driver.notify(REPORTING);
    assert_eq!(driver.device.counters().reported_bytes, PAGE_SIZE);
    assert!(driver.device.counters().pages_outside_ram > 256);
    assert!(driver.device.is_running());
}

#[test]
fn buffers_of_the_wrong_direction_stop_the_device() {
    for (queue, flags) in [
        (INFLATE, WRITE),
        (DEFLATE, WRITE),
        (STATS, WRITE),
        (REPORTING, 0),
    ] {
        let mut driver = started();
        let address = driver.buffer(&[0; 16]);
        driver.offer(queue, &[(address, 4)], flags);
        driver.notify(queue);
        let expected = Some(Violation::Direction(0));
        assert_eq!(driver.device.first_violation(), expected);
    }
}

#[test]
fn queues_of_refused_features_are_left_out() {
    let mut driver = Driver::started(Balloon::new(), FEATURE_REPORTING, 3);
    fill(&driver, FIRST..FIRST + 1);
    let start = u64::from(FIRST) * PAGE_SIZE;
    driver.offer(2, &[(start, 4096)], WRITE);
    driver.notify(2);
    assert_eq!(driver.device.counters().reported_bytes, PAGE_SIZE);
    assert!(!driver.device.request_stats());
    assert!(!driver.device.deflates_on_oom());

    let mut driver = Driver::started(Balloon::new(), 0, 3);
    driver.notify(2);
    let expected = Some(Violation::NoSuchQueue(2));
    assert_eq!(driver.device.first_violation(), expected);
}

#[test]
fn a_reset_empties_the_balloon_and_keeps_the_target() {
    let mut driver = started();
    driver.device.set_target(8 << 20);
    write_actual(&mut driver, 3);
    send(&mut driver, INFLATE, &[FIRST]);
    driver.write(VIRTIO_MMIO_STATUS, 0);
    assert_eq!(driver.device.target(), 8 << 20);
    assert_eq!((driver.device.actual(), driver.device.held()), (0, 0));
    assert_eq!(driver.device.counters().inflated_pages, 1);
}

proptest! {
    /// The host's account of the balloon is the set that inflation and deflation make.
    #[test]
    fn the_balloon_is_a_set_of_pages(
        steps in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(FIRST..END + 100, 0..40)), 0..10)
    ) {
        let mut driver = started();
        let mut model = std::collections::BTreeSet::new();
        for (inflate, pfns) in steps {
            send(&mut driver, if inflate { INFLATE } else { DEFLATE }, &pfns);
            for pfn in pfns {
                let in_ram = pfn < HOLE || (SECOND..END).contains(&pfn);
                if inflate && in_ram {
                    model.insert(pfn);
                } else {
                    model.remove(&pfn);
                }
            }
            prop_assert_eq!(driver.device.held(), model.len() as u64 * PAGE_SIZE);
        }
        for pfn in FIRST..END {
            prop_assert_eq!(driver.device.holds(pfn.into()), model.contains(&pfn));
        }
    }

    #[test]
    fn random_queues_never_panic(
        queues in prop::collection::vec((0u32..4, random_queue()), 1..6),
    ) {
        let mut driver = started();
        for (queue, content) in queues {
            driver.write_random_queue(queue, &content);
            driver.notify(queue);
        }
        driver.device.request_stats();
        driver.negotiate(1 << 32);
        prop_assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 11);
    }
}
