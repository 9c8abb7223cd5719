//! Swap slots and the entries that lead to them.

use std::mem::offset_of;

use pagelab_abi::{gfp::Gfp, pte::PTE_ADDRESS, root::Root, swap::DiskIo, swap::swap_pte};
use pagelab_mm::{Order, swap::SwapEntry};

use crate::inspect::{
    audit::{self, Moment},
    test_guest::{ROOT, TestImage},
    test_programs::Programs,
};

/// Two processes, and a page in a slot to which two entries lead.
fn programs() -> (Programs, SwapEntry) {
    let programs = Programs::new();
    let mm = programs.users[0].mm();
    mm.machine().disk().set_pages(100);
    assert_eq!(mm.swapon(), Ok(100));
    let pfn = mm.alloc_pages(Gfp::HIGHUSER_MOVABLE, Order::ZERO).unwrap();
    let entry = mm.swap_out(pfn).unwrap();
    mm.swap_duplicate(entry).unwrap();
    mm.swap_duplicate(entry).unwrap();
    assert!(mm.delete_from_swap_cache(pfn));
    mm.put_page(pfn);
    (programs, entry)
}

/// Where the entry for the page behind a process's first is, which is empty.
fn place(image: &TestImage, programs: &Programs, process: usize) -> u64 {
    let mut table = programs.users[process].pgd();
    for shift in [39, 30, 21] {
        table = image.u64(table + (programs.at >> shift & 511) * 8) & PTE_ADDRESS;
    }
    table + (programs.at >> 12 & 511) * 8 + 8
}

/// The findings on a guest whose two processes have these entries, and whose workload has others.
fn findings(programs: &Programs, ptes: [u64; 2], held: u64) -> Vec<String> {
    let mut image = programs.image();
    for (process, pte) in ptes.into_iter().enumerate() {
        let at = place(&image, programs, process);
        image.write(at, &pte.to_le_bytes());
    }
    let account = ROOT + offset_of!(Root, swap_io) as u64;
    let at = account + offset_of!(DiskIo, held) as u64;
    image.write(at, &held.to_le_bytes());
    let audits = audit::all(&image.memory, ROOT, Moment::Between);
    let found = audits.into_iter().find(|it| it.name == "swap-entries");
    found.unwrap().findings
}

#[test]
fn slots_and_entries_that_agree_hold() {
    let (programs, entry) = programs();
    let pte = entry.to_pte();
    assert!(findings(&programs, [pte, pte], 0).is_empty());
    assert!(findings(&programs, [pte, 0], 1).is_empty());
    assert!(findings(&programs, [0, 0], 2).is_empty());
}

#[test]
fn an_entry_too_few_or_too_many_is_found() {
    let (programs, entry) = programs();
    let pte = entry.to_pte();
    let other = swap_pte(0, entry.slot() + 1);
    for (ptes, held, words) in [
        ([pte, 0], 0, "counts 2 entries, but 1 lead to it"),
        (
            [pte, pte],
            1,
            "counts 2 entries that lead to swap, but there are 3",
        ),
        ([pte, other], 1, "counts 0 entries, but 1 lead to it"),
        (
            // Device 1 stands for a broken frame.
            [pte, swap_pte(2, entry.slot())],
            0,
            "of swap device 2, which does not exist",
        ),
        (
            [pte, swap_pte(0, 100)],
            1,
            "slot 100 of swap device 0, which does not exist",
        ),
        (
            [pte, swap_pte(0, 0)],
            1,
            "slot 0 of swap device 0, which does not exist",
        ),
    ] {
        let found = findings(&programs, ptes, held);
        assert!(
            found.iter().any(|it| it.contains(words)),
            "{words}: {found:#?}"
        );
    }
}

#[test]
fn without_swap_no_entry_leads_there() {
    let programs = Programs::new();
    assert!(findings(&programs, [0, 0], 0).is_empty());
    let found = findings(&programs, [swap_pte(0, 5), 0], 0);
    assert!(found[0].contains("slot 5 of swap device 0"), "{found:#?}");
}
