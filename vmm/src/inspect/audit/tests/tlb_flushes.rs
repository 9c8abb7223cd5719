//! The audit of flushes, on the real memory manager's page tables.

use std::{mem::offset_of, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{
    pte::{PTE_ACCESSED, PTE_ADDRESS, PTE_DIRTY, PTE_PRESENT, PTE_WRITE},
    root::Root,
    tlb::{Flush, RECENT_FLUSHES, TlbFlushes},
};

use crate::inspect::{
    AuditResult,
    audit::{Translations, tlb_flushes},
    test_guest::{ROOT, TestImage},
    test_programs::Programs,
};

/// What becomes of an entry.
type Change = fn(u64) -> u64;

/// Lets an entry of the first process be changed between two moments, and these flushes happen.
fn after(change: impl FnOnce(u64) -> u64, flushes: &[Flush]) -> Option<AuditResult> {
    let programs = Programs::new();
    let mut image = programs.image();
    let before = Translations::take(&image.snapshot()).unwrap().unwrap();
    let place = super::users::entry(&image, &programs, programs.at);
    let value = image.u64(place);
    assert_eq!(value & PTE_WRITE, PTE_WRITE);
    image.write(place, &change(value | PTE_ACCESSED).to_le_bytes());
    for flush in flushes {
        note(&mut image, *flush);
    }
    let snapshot = image.snapshot();
    let now = Translations::take(&snapshot).unwrap().unwrap();
    tlb_flushes(&snapshot, &before, &now)
}

fn note(image: &mut TestImage, flush: Flush) {
    let at = ROOT + offset_of!(Root, tlb) as u64;
    let number = image.snapshot().root.tlb.tlb_gen.load(Relaxed);
    let word = offset_of!(TlbFlushes, recent) as u64 + number % RECENT_FLUSHES as u64 * 8;
    image.write(at + word, &flush.to_word().to_le_bytes());
    image.write(at, &(number + 1).to_le_bytes());
}

/// Where the entry is that is changed.
fn address() -> u64 {
    Programs::new().at
}

#[test]
fn what_allows_less_and_is_not_flushed_is_found() {
    let page = address();
    let changes: [(Change, &str); 4] = [
        (|value| value & !PTE_WRITE, "cannot be written"),
        (|value| value & !PTE_PRESENT, "is gone"),
        (|value| value & !PTE_DIRTY, "is clean"),
        (
            |value| value & !PTE_ADDRESS | ((value & PTE_ADDRESS) ^ 0x1000),
            "leads elsewhere",
        ),
    ];
    for (change, says) in changes {
        let others = [
            Flush::Pages(page - 0x2000, 2),
            Flush::Pages(page + 0x1000, 9),
        ];
        for flushes in [&others[..], &[]] {
            let result = after(change, flushes).unwrap();
            assert!(!result.held() && result.total == 1, "{result:#?}");
            let finding = &result.findings[0];
            assert!(
                finding.contains("pid 1 (a)") && finding.contains(says),
                "{finding}"
            );
        }
        for flush in [Flush::All, Flush::Pages(page - 0x2000, 3)] {
            let result = after(change, &[flush]).unwrap();
            assert!(result.held(), "{result:#?}");
        }
    }
}

#[test]
fn what_allows_more_needs_no_flush() {
    assert!(after(|value| value, &[]).unwrap().held());
    assert!(after(|value| value & !PTE_ACCESSED, &[]).unwrap().held());
}

#[test]
fn too_many_flushes_are_no_judgement() {
    let many = [Flush::Pages(0, 1); RECENT_FLUSHES + 1];
    assert!(after(|value| value & !PTE_WRITE, &many).is_none());
}
