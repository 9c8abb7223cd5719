//! The account of the swap device.

use std::mem::offset_of;

use pagelab_abi::{root::Root, slab::CacheFlags, swap::DiskIo};

use crate::devices::block::Counters;
use crate::inspect::{
    AuditResult,
    audit::swap_io,
    test_guest::{ROOT, TestGuest},
};

const SIZE: u64 = 16 << 12;

/// A device that did a little of everything.
const DEVICE: Counters = Counters {
    reads: 5,
    writes: 7,
    flushes: 2,
    bytes_read: 5 << 12,
    bytes_written: 7 << 12,
    read_errors: 3,
    write_errors: 4,
    refused: 0,
    injected_reads: 3,
    injected_writes: 4,
    host_errors: 0,
    delayed: 0,
};

/// The fields of the guest's account that go with it.
const FIELDS: [(usize, u64); 7] = [
    (offset_of!(DiskIo, pages), 16),
    (offset_of!(DiskIo, reads), 5),
    (offset_of!(DiskIo, writes), 7),
    (offset_of!(DiskIo, flushes), 2),
    (offset_of!(DiskIo, read_errors), 3),
    (offset_of!(DiskIo, write_errors), 4),
    (offset_of!(DiskIo, reported), 6),
];

fn audit(device: &Counters, change: Option<(usize, u64)>) -> AuditResult {
    let guest = TestGuest::new(CacheFlags::empty());
    let mut image = guest.image();
    let account = ROOT + offset_of!(Root, swap_io) as u64;
    for (field, value) in FIELDS.into_iter().chain(change) {
        image.write(account + field as u64, &value.to_le_bytes());
    }
    swap_io(&image.snapshot(), device, SIZE)
}

#[test]
fn two_equal_accounts_hold() {
    let result = audit(&DEVICE, None);
    assert!(result.held(), "{result:#?}");
}

#[test]
fn each_difference_is_found() {
    for (field, value) in FIELDS {
        let wrong = match field {
            _ if field == offset_of!(DiskIo, reported) => 8,
            _ => value - 1,
        };
        let result = audit(&DEVICE, Some((field, wrong)));
        assert!(result.violated(), "offset {field}: {result:#?}");
    }
    let malformed = Counters {
        refused: 1,
        ..DEVICE
    };
    let result = audit(&malformed, None);
    assert!(result.findings[0].contains("1 malformed"), "{result:#?}");
}

#[test]
fn while_the_guest_waits_it_may_not_have_seen_all_that_was_done() {
    let ahead = Counters {
        writes: 8,
        ..DEVICE
    };
    let due = Some((offset_of!(DiskIo, due), 500));
    assert!(audit(&ahead, None).violated());
    assert!(audit(&ahead, due).held());
    let behind = Counters {
        writes: 6,
        ..DEVICE
    };
    assert!(audit(&behind, due).violated());
}

#[test]
fn an_injected_error_that_the_guest_did_not_see_is_named() {
    let device = Counters {
        read_errors: 4,
        injected_reads: 4,
        ..DEVICE
    };
    let result = audit(&device, None);
    let words = "4 reads were made to fail, but the guest saw only 3 fail";
    assert!(
        result.findings.iter().any(|it| it.contains(words)),
        "{result:#?}"
    );
}
