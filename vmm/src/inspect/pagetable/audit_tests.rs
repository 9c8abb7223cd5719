//! Each audit holds on a sound address space and fires on a planted fault, and only there.

use std::ops::Range;

use pagelab_abi::{
    platform::{DIRECT_MAP, IOREMAP_BASE, KERNEL_BASE, KMAP_BASE, STACK_BASE},
    root::KernelMap,
};

use super::{
    audit::{DeviceRange, Expected, audit},
    bits::{EFER_LMA, NX, P, U, W},
    map::AddressMap,
    region::Regions,
    synthetic::SyntheticTables,
    tables::PageTables,
};
use crate::inspect::{AuditResult, Outcome};

const RAM: Range<u64> = 0..64 << 20;
const DEVICE: u64 = 0xd000_0000;

const KERNEL: KernelMap = KernelMap {
    text_start: 0x10_0000,
    text_end: 0x10_4000,
    rodata_start: 0x10_4000,
    rodata_end: 0x10_6000,
    data_start: 0x10_6000,
    data_end: 0x10_a000,
    cr3: 0,
    direct_map_end: RAM.end,
};

/// An address space as a kernel should have it: text in the direct map is read-only.
fn sound() -> SyntheticTables {
    let mut tables = SyntheticTables::new(64, 4);
    let image = |gpa: u64| KERNEL_BASE + gpa;
    tables.map(image(0x10_0000), 0x10_0000, 1, 4, P);
    tables.map(image(0x10_4000), 0x10_4000, 1, 2, P | NX);
    tables.map(image(0x10_6000), 0x10_6000, 1, 4, P | W | NX);
    tables.map(DIRECT_MAP, 0, 1, 256, P | W | NX);
    tables.map(DIRECT_MAP + 0x10_0000, 0x10_0000, 1, 6, P | NX);
    tables.map(DIRECT_MAP + 0x10_6000, 0x10_6000, 1, 250, P | W | NX);
    tables.map(DIRECT_MAP + 0x20_0000, 0x20_0000, 2, 31, P | W | NX);
    tables.map(STACK_BASE + 0x1000, 0x30_0000, 1, 4, P | W | NX);
    tables.map(IOREMAP_BASE, DEVICE, 1, 1, P | W | NX);
    tables.map(KMAP_BASE, 0x30_1000, 1, 1, P | W | NX);
    tables.map(0x40_0000, 0x50_0000, 1, 2, P | U);
    tables.map(0x60_0000, 0x50_2000, 1, 2, P | U | W | NX);
    tables
}

fn results(tables: &SyntheticTables) -> Vec<AuditResult> {
    let state = tables.state();
    let page_tables = PageTables::new(&tables.memory, state).unwrap();
    let map = AddressMap::read(&page_tables, &Regions::of_guest(&KERNEL));
    let devices = [DeviceRange {
        name: "virtio-mmio".into(),
        range: DEVICE..DEVICE + 0x1000,
    }];
    audit(
        &map,
        &Expected {
            ram: &[RAM],
            devices: &devices,
            kernel: Some(&KERNEL),
        },
    )
}

/// Names of the audits that found something, and what they found first.
fn fired(tables: &SyntheticTables) -> Vec<(String, String)> {
    let violated = results(tables).into_iter().filter(AuditResult::violated);
    violated
        .map(|result| (result.name, result.findings[0].clone()))
        .collect()
}

#[track_caller]
fn expect(tables: &SyntheticTables, expected: &[(&str, &str)]) {
    let fired = fired(tables);
    let fired: Vec<_> = fired
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(fired, expected);
}

#[test]
fn a_sound_address_space_holds() {
    let results = results(&sound());
    assert_eq!(results.len(), 8);
    for result in &results {
        assert_eq!(result.outcome, Outcome::Held, "{result:?}");
    }
}

#[test]
fn a_writable_and_executable_page() {
    let mut tables = sound();
    tables.map(0x70_0000, 0x60_0000, 1, 1, P | U | W);
    expect(
        &tables,
        &[(
            "pagetable-wx",
            "4096 bytes at 0x700000 (user) can be written and executed",
        )],
    );
}

#[test]
fn text_that_can_be_written_through_the_direct_map() {
    let mut tables = sound();
    tables.map(DIRECT_MAP + 0x10_2000, 0x10_2000, 1, 1, P | W | NX);
    expect(
        &tables,
        &[
            (
                "pagetable-wx-alias",
                "physical 0x102000 is executed at 0xffffffff80102000 (kernel text) and written at \
                 0xffff888000102000 (direct map)",
            ),
            (
                "pagetable-text",
                "text can be written at 0xffff888000102000 (direct map)",
            ),
        ],
    );
}

#[test]
fn a_program_that_writes_what_it_executes() {
    let mut tables = sound();
    tables.map(0x80_0000, 0x50_1000, 1, 1, P | U | W | NX);
    expect(
        &tables,
        &[(
            "pagetable-wx-alias",
            "physical 0x501000 is executed at 0x401000 (user) and written at 0x800000 (user)",
        )],
    );
}

#[test]
fn a_frame_with_two_kernel_addresses() {
    let mut tables = sound();
    tables.map(STACK_BASE + 0x10_0000, 0x30_2000, 1, 1, P | W | NX);
    expect(
        &tables,
        &[(
            "pagetable-alias",
            "4096 bytes of physical memory from 0x302000 are at 0xffffc90000003000 (stacks) and \
             at 0xffffc90000100000 (stacks)",
        )],
    );
}

#[test]
fn a_table_at_two_kernel_addresses() {
    let mut tables = sound();
    let entry = tables.entry_for(STACK_BASE, 2);
    let table = tables.entry(entry);
    let second = tables.entry_for(STACK_BASE + 0x4000_0000, 2);
    tables.set_entry(second, table);
    let fired = fired(&tables);
    assert_eq!(fired.len(), 1);
    assert_eq!(fired[0].0, "pagetable-alias");
    assert!(fired[0].1.starts_with("the table 0x"), "{}", fired[0].1);
}

#[test]
fn a_reserved_bit() {
    let mut tables = sound();
    let entry = tables.entry_for(DIRECT_MAP + 0x20_0000, 2);
    tables.set_entry(entry, tables.entry(entry) | 0x2000);
    expect(
        &tables,
        &[(
            "pagetable-reserved",
            "ffff888000200000 level 2: reserved bits 0x2000",
        )],
    );
}

#[test]
fn something_mapped_that_is_nothing() {
    let mut tables = sound();
    tables.map(IOREMAP_BASE + 0x1000, DEVICE + 0x1000, 1, 1, P | W | NX);
    let entry = tables.entry_for(0x7f00_0000_0000, 3);
    tables.set_entry(entry, 1 << 40 | P | U);
    let results = results(&tables);
    let result = results.iter().find(|result| result.violated()).unwrap();
    assert_eq!(
        (result.name.as_str(), result.total),
        ("pagetable-target", 2)
    );
    assert_eq!(
        result.findings,
        [
            "0xffffca0000001000 (ioremap) is physical 0xd0001000, where there is nothing known",
            "00007f0000000000 level 3: table 0x10000000000 is outside RAM",
        ]
    );
}

#[test]
fn a_kernel_page_open_to_programs() {
    let mut tables = sound();
    tables.map(DIRECT_MAP + 0x5000, 0x5000, 1, 1, P | W | U | NX);
    expect(
        &tables,
        &[(
            "pagetable-user",
            "4096 bytes at 0xffff888000005000 (direct map) are open to user mode",
        )],
    );
}

#[test]
fn text_that_is_missing_or_cannot_run() {
    let mut tables = sound();
    let entry = tables.entry_for(KERNEL_BASE + 0x10_1000, 1);
    tables.set_entry(entry, 0);
    expect(
        &tables,
        &[("pagetable-text", "text is not mapped at 0xffffffff80101000")],
    );
    tables.set_entry(entry, 0x10_1000 | P | NX);
    expect(
        &tables,
        &[(
            "pagetable-text",
            "text cannot be executed at 0xffffffff80101000 (kernel text)",
        )],
    );
}

#[test]
fn data_that_can_run() {
    let mut tables = sound();
    tables.map(KERNEL_BASE + 0x10_4000, 0x10_4000, 1, 1, P);
    expect(
        &tables,
        &[(
            "pagetable-exec",
            "4096 bytes at 0xffffffff80104000 (kernel rodata) can be executed",
        )],
    );
}

#[test]
fn without_nx_everything_can_run() {
    let mut tables = SyntheticTables::new(64, 4);
    tables.map(DIRECT_MAP, 0, 1, 4, P | W);
    let mut state = tables.state();
    state.efer = EFER_LMA;
    let page_tables = PageTables::new(&tables.memory, state).unwrap();
    let map = AddressMap::read(&page_tables, &Regions::default());
    let results = audit(
        &map,
        &Expected {
            ram: &[RAM],
            devices: &[],
            kernel: None,
        },
    );
    let outcome = |name: &str| {
        results
            .iter()
            .find(|result| result.name == name)
            .map(|result| result.outcome)
    };
    assert_eq!(outcome("pagetable-wx"), Some(Outcome::Violated));
    assert_eq!(outcome("pagetable-text"), Some(Outcome::Skipped));
    assert_eq!(outcome("pagetable-exec"), Some(Outcome::Skipped));
}

#[test]
fn what_was_not_seen_is_not_held() {
    let tables = sound();
    let page_tables = PageTables::new(&tables.memory, tables.state()).unwrap();
    let mut map = AddressMap::read(&page_tables, &Regions::default());
    map.summary.stopped_at = Some(0x1000);
    for result in audit(
        &map,
        &Expected {
            ram: &[RAM],
            devices: &[],
            kernel: None,
        },
    ) {
        assert_ne!(result.outcome, Outcome::Held, "{}", result.name);
    }
}

#[test]
fn the_printed_map_fits_80_columns() {
    let tables = sound();
    let page_tables = PageTables::new(&tables.memory, tables.state()).unwrap();
    let map = AddressMap::read(&page_tables, &Regions::of_guest(&KERNEL));
    let text = map.display(100).to_string();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(
        text.contains(
            "ffffffff80100000 ffffffff80103fff      16K 4K 000000100000 r-x --- kernel text\n"
        ),
        "{text}"
    );
    assert!(
        map.display(3)
            .to_string()
            .contains("… and 9 more mappings\n")
    );
    let json = serde_json::to_value(&map).unwrap();
    assert_eq!(json["lines"][0]["va"], "0x400000");
    assert_eq!(json["lines"][0]["user"], "r-x");
    assert_eq!(json["lines"][0]["page_size"], 4096);
}
