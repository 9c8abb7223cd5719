//! The disk as a driver and the host see it.

use std::fs;
use std::mem::offset_of;

use pagelab_abi::{event::EventClock, root::Root, swap::DiskIo};
use proptest::prelude::*;
use virtio_bindings::bindings::virtio_mmio::*;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::devices::state::Stateful;
use crate::devices::virtio::Violation;
use crate::devices::virtio::driver::{Driver, INDIRECT, NEXT, WRITE, random_queue};
use crate::fault::{FaultKind, Injector};

const READ: u32 = 0;
const WRITE_OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;

const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;

/// What a status byte is before the device answers.
const NO_STATUS: u8 = 0xee;

const SIZE: u64 = 1 << 20;

fn disk() -> Block {
    Block::new(Backing::anonymous(SIZE).unwrap(), "test")
}

fn started() -> Driver<Block> {
    Driver::started(disk(), FEATURE_FLUSH, 1)
}

fn header(kind: u32, sector: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat()
}

/// Offers a chain of buffers with their flags, without a notification.
fn offer(driver: &mut Driver<Block>, buffers: &[(u64, u32, u16)]) {
    for (at, &(address, len, flags)) in (0..).zip(buffers) {
        let more = if at + 1 < buffers.len() as u16 {
            NEXT
        } else {
            0
        };
        driver.write_descriptor(0, at, (address, len, flags | more, at + 1));
    }
    driver.offer_head(0, 0);
}

/// What a request led to.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u8,
    used: u32,
    data: Vec<u8>,
}

/// Sends a request in which every buffer has at most `cut` bytes.
fn send_cut(
    driver: &mut Driver<Block>,
    (kind, sector): (u32, u64),
    out: &[u8],
    room: usize,
    cut: usize,
) -> Answer {
    let readable = [header(kind, sector), out.to_vec()].concat();
    let writable = vec![NO_STATUS; room + 1];
    let at = [driver.buffer(&readable), driver.buffer(&writable)];
    let pieces = |start: u64, len: usize, flags: u16| {
        let cuts = (0..len).step_by(cut);
        cuts.map(move |from| (start + from as u64, cut.min(len - from) as u32, flags))
    };
    let buffers: Vec<_> = pieces(at[0], readable.len(), 0)
        .chain(pieces(at[1], writable.len(), WRITE))
        .collect();
    offer(driver, &buffers);
    driver.notify(0);
    let (head, used) = driver.used(0).expect("the chain comes back");
    assert_eq!(head, 0);
    let mut data = vec![0; room + 1];
    driver
        .ram
        .read_slice(&mut data, GuestAddress(at[1]))
        .unwrap();
    let status = data.pop().unwrap();
    Answer { status, used, data }
}

fn send(driver: &mut Driver<Block>, request: (u32, u64), out: &[u8], room: usize) -> Answer {
    send_cut(driver, request, out, room, 1 << 20)
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u8).wrapping_mul(7) ^ seed)
        .collect()
}

#[test]
fn the_device_is_a_disk() {
    let mut driver = Driver::new(disk());
    assert_eq!(driver.read(VIRTIO_MMIO_DEVICE_ID), 2);
    driver.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    let features = driver.read(VIRTIO_MMIO_DEVICE_FEATURES);
    assert_eq!(features, 1 << 2 | 1 << 6 | 1 << 9);
    assert_eq!(driver.read(VIRTIO_MMIO_CONFIG), 2048);
    // Nothing in the configuration space can be written.
    driver.write(VIRTIO_MMIO_STATUS, 1);
    driver.write(VIRTIO_MMIO_STATUS, 3);
    driver.write(VIRTIO_MMIO_CONFIG, 1);
    assert_eq!(driver.read(VIRTIO_MMIO_CONFIG), 2048);
}

#[test]
fn what_is_written_is_read_back_and_raises_an_interrupt() {
    let mut driver = started();
    let data = pattern(8192, 3);
    let answer = send(&mut driver, (WRITE_OUT, 8), &data, 0);
    assert_eq!((answer.status, answer.used), (OK, 1));
    assert_eq!(driver.interrupt(), VIRTIO_MMIO_INT_VRING);
    let answer = send(&mut driver, (READ, 8), &[], 8192);
    assert_eq!((answer.status, answer.used), (OK, 8193));
    assert_eq!(answer.data, data);
    let answer = send(&mut driver, (READ, 23), &[], 1024);
    assert_eq!(answer.data, [&data[7680..], &[0; 512]].concat());
    assert_eq!(send(&mut driver, (FLUSH, 0), &[], 0).status, OK);
    let counters = driver.device.counters();
    assert_eq!(
        (counters.reads, counters.writes, counters.flushes),
        (2, 1, 1)
    );
    assert_eq!((counters.bytes_read, counters.bytes_written), (9216, 8192));
    assert_eq!(driver.device.size(), SIZE);
}

#[test]
fn buffers_may_be_cut_anywhere() {
    let mut driver = started();
    let data = pattern(512, 9);
    for cut in [37, 41, 100, 511] {
        let answer = send_cut(&mut driver, (WRITE_OUT, 2), &data, 0, cut.max(44));
        assert_eq!(answer.status, OK, "{cut}");
        let answer = send_cut(&mut driver, (READ, 2), &[], 512, cut.max(44));
        assert_eq!((answer.status, answer.data), (OK, data.clone()), "{cut}");
    }
}

#[test]
fn several_requests_of_one_notification_are_served_in_order() {
    let mut driver = started();
    let write = driver.buffer(&[header(WRITE_OUT, 4), pattern(512, 1)].concat());
    let read = driver.buffer(&header(READ, 4));
    let room = driver.buffer(&[NO_STATUS; 514]);
    for (at, descriptor) in (0..).zip([
        (write, 528, NEXT, 1),
        (room, 1, WRITE, 0),
        (read, 16, NEXT, 3),
        (room + 1, 513, WRITE, 0),
    ]) {
        driver.write_descriptor(0, at, descriptor);
    }
    driver.offer_head(0, 0);
    driver.offer_head(0, 2);
    driver.notify(0);
    assert_eq!(driver.used(0), Some((0, 1)));
    assert_eq!(driver.used(0), Some((2, 513)));
    let mut bytes = [0; 514];
    driver
        .ram
        .read_slice(&mut bytes, GuestAddress(room))
        .unwrap();
    assert_eq!(bytes[..], [&[OK], &pattern(512, 1)[..], &[OK]].concat());
}

#[test]
fn a_driver_that_polls_gets_no_interrupt() {
    let mut driver = started();
    let flags = GuestAddress(Driver::<Block>::addresses(0)[1]);
    driver.ram.write_obj(1_u16, flags).unwrap();
    assert_eq!(send(&mut driver, (FLUSH, 0), &[], 0).status, OK);
    assert_eq!(driver.interrupt(), 0);
}

#[test]
fn requests_that_make_no_sense_are_answered_with_an_error() {
    let last = SIZE / SECTOR_SIZE;
    for (request, out, room, status) in [
        // No data, no whole sectors, too much.
        ((READ, 0), 0, 0, IOERR),
        ((READ, 0), 0, 511, IOERR),
        ((WRITE_OUT, 0), 100, 0, IOERR),
        ((WRITE_OUT, 0), 0, 0, IOERR),
        // Beyond the end.
        ((READ, last), 0, 512, IOERR),
        ((READ, last - 1), 0, 1024, IOERR),
        ((WRITE_OUT, last), 512, 0, IOERR),
        ((READ, u64::MAX), 0, 512, IOERR),
        ((WRITE_OUT, u64::MAX / 512 + 1), 512, 0, IOERR),
        // Data of the wrong direction.
        ((READ, 0), 512, 512, IOERR),
        ((WRITE_OUT, 0), 512, 512, IOERR),
        ((FLUSH, 0), 512, 0, IOERR),
        ((FLUSH, 1), 0, 0, IOERR),
        ((GET_ID, 0), 0, 19, IOERR),
        // Discard, SCSI, nothing at all.
        ((11, 0), 512, 0, UNSUPP),
        ((2, 0), 0, 512, UNSUPP),
        ((u32::MAX, 0), 0, 0, UNSUPP),
    ] {
        let mut driver = started();
        let answer = send(&mut driver, request, &vec![1; out], room);
        assert_eq!(answer.status, status, "{request:?} {out} {room}");
        assert_eq!(answer.used, u32::from(room == 0));
        assert!(answer.data.iter().all(|byte| *byte == NO_STATUS));
        assert_eq!(driver.device.counters().refused, 1);
        assert!(driver.device.is_running());
        let all = driver.device.device().backing.size() as usize;
        let mut bytes = vec![1; all];
        driver.device.device().backing.read(0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0), "nothing is written");
    }
}

#[test]
fn data_outside_ram_is_answered_with_an_error() {
    for (kind, flags) in [(READ, WRITE), (WRITE_OUT, 0)] {
        for address in [(4 << 20) - 256, 5 << 20, u64::MAX - 255, u64::MAX] {
            let mut driver = started();
            let header = driver.buffer(&header(kind, 0));
            let status = driver.buffer(&[NO_STATUS]);
            let buffers = [(header, 16, 0), (address, 512, flags), (status, 1, WRITE)];
            offer(&mut driver, &buffers);
            driver.notify(0);
            let byte: u8 = driver.ram.read_obj(GuestAddress(status)).unwrap();
            assert_eq!(byte, IOERR, "{address:#x}");
        }
    }
}

#[test]
fn a_request_longer_than_the_device_takes_is_refused() {
    let disk = Block::new(Backing::anonymous(64 << 20).unwrap(), "test");
    let mut driver = Driver::started(disk, FEATURE_FLUSH, 1);
    let header = driver.buffer(&header(READ, 0));
    let status = driver.buffer(&[NO_STATUS]);
    // The same 1 MiB again and again.
    for (count, expected) in [(4, OK), (5, IOERR)] {
        let mut buffers = vec![(header, 16, 0)];
        buffers.extend(vec![(1 << 20, 1 << 20, WRITE); count]);
        buffers.push((status, 1, WRITE));
        offer(&mut driver, &buffers);
        driver.notify(0);
        let byte: u8 = driver.ram.read_obj(GuestAddress(status)).unwrap();
        assert_eq!(byte, expected, "{count} MiB");
    }
}

#[test]
fn a_request_without_room_for_an_answer_stops_the_device() {
    let header = header(READ, 0);
    let violation = |buffers: &dyn Fn(u64) -> Vec<(u64, u32, u16)>| {
        let mut driver = started();
        let at = driver.buffer(&header);
        offer(&mut driver, &buffers(at));
        driver.notify(0);
        assert!(driver.needs_reset());
        assert_eq!(driver.used(0), None);
        driver.device.first_violation().unwrap()
    };
    let short = Violation::TooShort(0);
    assert_eq!(violation(&|at| vec![(at, 16, 0)]), short);
    assert_eq!(violation(&|at| vec![(at, 15, 0), (at, 1, WRITE)]), short);
    assert_eq!(violation(&|at| vec![(at, 17, WRITE)]), short);
    assert_eq!(violation(&|at| vec![(at, 16, 0), (at, 0, WRITE)]), short);
    let direction = Violation::Direction(0);
    assert_eq!(
        violation(&|at| vec![(at, 1, WRITE), (at, 16, 0)]),
        direction
    );
    for address in [5 << 20, u64::MAX] {
        let outside = |len| Violation::Buffer { address, len };
        assert_eq!(
            violation(&|at| vec![(address, 16, 0), (at, 1, WRITE)]),
            outside(16)
        );
        assert_eq!(
            violation(&|at| vec![(at, 16, 0), (address, 1, WRITE)]),
            outside(1)
        );
    }
}

#[test]
fn an_indirect_table_that_was_not_offered_stops_the_device() {
    let mut driver = started();
    let header = driver.buffer(&header(READ, 0));
    offer(&mut driver, &[(header, 16, INDIRECT)]);
    driver.notify(0);
    assert!(driver.needs_reset());
}

#[test]
fn a_read_only_disk_says_so_and_refuses_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    fs::write(&path, pattern(4096, 5)).unwrap();
    let disk = Block::new(Backing::open(&path, true).unwrap(), "test");
    let mut driver = Driver::new(disk);
    driver.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    let features = driver.read(VIRTIO_MMIO_DEVICE_FEATURES);
    assert_ne!(u64::from(features) & FEATURE_RO, 0);
    driver.negotiate(1 << 32 | FEATURE_FLUSH | FEATURE_RO);
    driver.set_up_queue(0, 16);
    driver.write(VIRTIO_MMIO_STATUS, 15);
    assert_eq!(
        send(&mut driver, (WRITE_OUT, 0), &[0; 512], 0).status,
        IOERR
    );
    let answer = send(&mut driver, (READ, 0), &[], 4096);
    assert_eq!((answer.status, answer.data), (OK, pattern(4096, 5)));
    assert_eq!(driver.device.counters().write_errors, 1);
}

#[test]
fn a_file_that_shrinks_is_an_error_of_the_host() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    fs::write(&path, pattern(8192, 5)).unwrap();
    let disk = Block::new(Backing::open(&path, false).unwrap(), "test");
    let mut driver = Driver::started(disk, FEATURE_FLUSH, 1);
    fs::write(&path, pattern(4096, 5)).unwrap();
    assert_eq!(send(&mut driver, (READ, 8), &[], 512).status, IOERR);
    assert_eq!(send(&mut driver, (READ, 0), &[], 512).status, OK);
    let counters = driver.device.counters();
    assert_eq!((counters.host_errors, counters.refused), (1, 0));
    assert_eq!((counters.reads, counters.read_errors), (1, 1));
}

#[test]
fn an_injected_error_changes_nothing_and_is_counted() {
    let mut driver = started();
    let arm = |driver: &mut Driver<Block>, text: &str| {
        let so_far = driver.device.injected();
        let injector = Injector::new(&text.parse().unwrap(), 1, so_far);
        driver.device.inject(injector, None);
    };
    arm(&mut driver, "swap_io,nth=2,rw=write");
    let [old, new] = [pattern(512, 1), pattern(512, 2)];
    assert_eq!(send(&mut driver, (WRITE_OUT, 0), &old, 0).status, OK);
    // What makes no sense is no candidate.
    assert_eq!(
        send(&mut driver, (WRITE_OUT, 0), &old[1..], 0).status,
        IOERR
    );
    let answer = send(&mut driver, (WRITE_OUT, 0), &new, 0);
    assert_eq!((answer.status, answer.used), (IOERR, 1));
    assert_eq!(send(&mut driver, (READ, 0), &[], 512).data, old);
    arm(&mut driver, "swap_io,nth=1,rw=read");
    assert_eq!(send(&mut driver, (WRITE_OUT, 0), &new, 0).status, OK);
    let answer = send(&mut driver, (READ, 0), &[], 512);
    assert_eq!((answer.status, answer.used), (IOERR, 0));
    assert_eq!(answer.data, [NO_STATUS; 512], "nothing is read");
    assert_eq!(send(&mut driver, (READ, 0), &[], 512).data, new);
    let counters = driver.device.counters();
    assert_eq!((counters.injected_reads, counters.injected_writes), (1, 1));
    assert_eq!((counters.read_errors, counters.write_errors), (1, 2));
    let injected = driver.device.injected();
    assert_eq!((injected.seen, injected.injected), (3, 2));
}

/// A disk whose next request waits for 300 events, and the addresses in the guest's root page of the event
/// count, and of the event at which the disk answers.
fn delaying(driver: &mut Driver<Block>) -> [GuestAddress; 2] {
    let root = driver.buffer(&[0; 4096]);
    let spec = "swap_io,nth=1,delay=300".parse().unwrap();
    let injector = Injector::new(&spec, 1, driver.device.injected());
    let clock = ClockPlace::of(root, FaultKind::SwapIo);
    driver.device.inject(injector, clock);
    let now = offset_of!(Root, clock) + offset_of!(EventClock, count);
    let due = offset_of!(Root, swap_io) + offset_of!(DiskIo, due);
    [now, due].map(|offset| GuestAddress(root + offset as u64))
}

/// Asks for the first sector; returns where the data and the status will be.
fn ask(driver: &mut Driver<Block>) -> u64 {
    let header = driver.buffer(&header(READ, 0));
    let room = driver.buffer(&[NO_STATUS; 513]);
    offer(driver, &[(header, 16, 0), (room, 513, WRITE)]);
    driver.notify(0);
    room
}

#[test]
fn a_delayed_request_is_carried_out_at_its_event_and_not_before() {
    let mut driver = started();
    let data = pattern(512, 7);
    assert_eq!(send(&mut driver, (WRITE_OUT, 0), &data, 0).status, OK);
    let [now, due] = delaying(&mut driver);
    driver.ram.write_obj(1000_u64, now).unwrap();
    let room = ask(&mut driver);
    let read = |driver: &Driver<Block>| {
        let mut bytes = vec![0; 513];
        driver
            .ram
            .read_slice(&mut bytes, GuestAddress(room))
            .unwrap();
        bytes
    };
    assert_eq!(
        (driver.used(0), read(&driver)),
        (None, vec![NO_STATUS; 513])
    );
    assert_eq!(driver.ram.read_obj::<u64>(due).unwrap(), 1300);
    // A notification that comes too early is none, and what waits is part of the state.
    driver.ram.write_obj(1299_u64, now).unwrap();
    driver.notify(0);
    assert_eq!(driver.used(0), None);
    let state = driver.device.state();
    driver.device.restore(&state).unwrap();
    driver.ram.write_obj(1300_u64, now).unwrap();
    driver.notify(0);
    assert_eq!(driver.used(0), Some((0, 513)));
    assert_eq!(read(&driver), [&data[..], &[OK]].concat());
    let counters = driver.device.counters();
    assert_eq!((counters.reads, counters.delayed), (1, 1));
    assert_eq!(driver.ram.read_obj::<u64>(due).unwrap(), 0);
    // Others do not wait.
    assert_eq!(send(&mut driver, (READ, 0), &[], 512).data, data);
}

#[test]
fn a_reset_forgets_what_waits() {
    let mut driver = started();
    let [now, _] = delaying(&mut driver);
    ask(&mut driver);
    driver.negotiate(1 << 32);
    driver.set_up_queue(0, 16);
    driver.write(VIRTIO_MMIO_STATUS, 15);
    driver.ram.write_obj(9999_u64, now).unwrap();
    driver.notify(0);
    let counters = driver.device.counters();
    assert_eq!((counters.reads, counters.delayed), (0, 1));
}

#[test]
fn without_a_clock_nothing_waits() {
    let mut driver = started();
    let spec = "swap_io,nth=1,delay=300".parse().unwrap();
    let injector = Injector::new(&spec, 1, driver.device.injected());
    driver.device.inject(injector, None);
    assert_eq!(send(&mut driver, (READ, 0), &[], 512).status, OK);
    assert_eq!(driver.device.counters().delayed, 0);
}

#[test]
fn a_driver_without_flush_cannot_flush() {
    let mut driver = Driver::started(disk(), 0, 1);
    assert_eq!(send(&mut driver, (FLUSH, 0), &[], 0).status, UNSUPP);
    assert_eq!(send(&mut driver, (WRITE_OUT, 0), &[1; 512], 0).status, OK);
}

#[test]
fn the_serial_number_is_padded_with_zeros() {
    let mut driver = started();
    let answer = send(&mut driver, (GET_ID, 0), &[], 24);
    assert_eq!((answer.status, answer.used), (OK, 20));
    let expected = [&b"test"[..], &[0; 16], &[NO_STATUS; 4]].concat();
    assert_eq!(answer.data, expected);
}

#[test]
fn content_outlives_a_reset() {
    let mut driver = started();
    let data = pattern(512, 1);
    assert_eq!(send(&mut driver, (WRITE_OUT, 0), &data, 0).status, OK);
    driver.negotiate(1 << 32);
    driver.set_up_queue(0, 16);
    driver.write(VIRTIO_MMIO_STATUS, 15);
    assert_eq!(send(&mut driver, (READ, 0), &[], 512).data, data);
}

proptest! {
    /// A disk is an array of sectors, however the requests are cut into buffers.
    #[test]
    fn the_disk_is_an_array(
        steps in prop::collection::vec(
            (any::<bool>(), 0u64..40, 1usize..5, any::<u8>(), 170usize..3000), 1..20)
    ) {
        let disk = Block::new(Backing::anonymous(16 << 10).unwrap(), "test");
        let mut driver = Driver::started(disk, FEATURE_FLUSH, 1);
        let mut model = vec![0; 16 << 10];
        for (write, sector, count, seed, cut) in steps {
            let (start, len) = (sector as usize * 512, count * 512);
            let inside = start + len <= model.len();
            let expected = if inside { OK } else { IOERR };
            if write {
                let data = pattern(len, seed);
                let answer = send_cut(&mut driver, (WRITE_OUT, sector), &data, 0, cut);
                prop_assert_eq!(answer.status, expected);
                if inside {
                    model[start..start + len].copy_from_slice(&data);
                }
            } else {
                let answer = send_cut(&mut driver, (READ, sector), &[], len, cut);
                prop_assert_eq!(answer.status, expected);
                if inside {
                    prop_assert_eq!(&answer.data[..], &model[start..start + len]);
                }
            }
        }
    }

    #[test]
    fn random_chains_never_panic(
        queues in prop::collection::vec((random_queue(), 0u32..16, 0u64..4096), 1..6),
    ) {
        let mut driver = started();
        for (content, kind, sector) in queues {
            driver.write_random_queue(0, &content);
            // Some of the buffers begin with a header that makes sense.
            for &(address, ..) in &content.0[..8] {
                let _ = driver.ram.write_slice(&header(kind, sector), GuestAddress(address));
            }
            driver.notify(0);
        }
        driver.negotiate(1 << 32);
        prop_assert_eq!(driver.read(VIRTIO_MMIO_STATUS), 11);
    }
}
