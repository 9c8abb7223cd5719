mod model;
mod rules;
mod shortage;

use super::SwapEntry;
use crate::{
    Mm, Order, Pfn,
    machine::Machine,
    testing::{TestMachine, boot, violations},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SIZE, gfp::Gfp, page::MAPPING_ANON, zone::ZoneModel};
use std::{vec, vec::Vec};

/// RAM of which most is HIGHMEM, and a device of so many pages, not in use yet.
fn machine(pages: u64) -> Mm<TestMachine> {
    let zones = ZoneConfig::with_limits(ZoneModel::Classic, &[2 << 20, 6 << 20]).unwrap();
    let mm = boot(16 << 20, zones);
    mm.machine().disk().set_pages(pages);
    mm
}

/// The same with the device in use.
fn mm(pages: u64) -> Mm<TestMachine> {
    let mm = machine(pages);
    assert_eq!(mm.swapon(), Ok(pages));
    check(&mm);
    mm
}

/// Asserts that all of the memory manager's structures are right.
fn check(mm: &Mm<TestMachine>) {
    let mut found = Vec::new();
    mm.validate_swap(&mut |violation| found.push(violation));
    assert!(found.is_empty(), "{found:?}");
    let violations = violations(mm);
    assert!(violations.is_empty(), "{violations:?}");
}

/// Frames in use.
fn frames(mm: &Mm<TestMachine>) -> u64 {
    mm.validate(&mut |_| ()).iter().map(|it| it.allocated).sum()
}

fn fill(mm: &Mm<TestMachine>, pfn: Pfn, stamp: u64) {
    let bytes: Vec<u8> = (0..PAGE_SIZE / 8)
        .flat_map(|word| (word ^ stamp << 20).to_le_bytes())
        .collect();
    mm.write_frame(pfn, 0, &bytes).unwrap();
}

/// What stands in a page: its stamp, if it is whole.
fn stamp(mm: &Mm<TestMachine>, pfn: Pfn) -> Option<u64> {
    let mut bytes = vec![0; PAGE_SIZE as usize];
    mm.read_frame(pfn, 0, &mut bytes).unwrap();
    let (words, _) = bytes.as_chunks::<8>();
    let stamp = u64::from_le_bytes(words[0]) >> 20;
    (0..)
        .zip(words)
        .all(|(at, word)| u64::from_le_bytes(*word) == at ^ stamp << 20)
        .then_some(stamp)
}

/// A program's page, mapped once.
fn page(mm: &Mm<TestMachine>, value: u64) -> Pfn {
    let pfn = mm.alloc_pages(Gfp::HIGHUSER_MOVABLE, Order::ZERO).unwrap();
    assert!(mm.machine().direct_map(pfn.0).is_none() || pfn.0 < 6 << 8);
    let descriptor = mm.page(pfn).unwrap();
    descriptor.mapping.store(MAPPING_ANON, Relaxed);
    descriptor.mapcount.store(1, Relaxed);
    fill(mm, pfn, value);
    pfn
}

/// Writes a page out and unmaps it, as reclaim does for a page with one mapping. Only the slot has it
/// then.
fn out(mm: &Mm<TestMachine>, pfn: Pfn) -> Result<SwapEntry, super::SwapError> {
    let entry = mm.swap_out(pfn)?;
    mm.swap_duplicate(entry).unwrap();
    assert!(mm.delete_from_swap_cache(pfn));
    mm.put_page(pfn);
    Ok(entry)
}

fn references(mm: &Mm<TestMachine>, pfn: Pfn) -> u32 {
    mm.page(pfn).unwrap().refcount.load(Relaxed)
}
