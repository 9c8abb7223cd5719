use crate::{
    Mm, Order,
    testing::{TestMachine, boot},
    zone::ZoneConfig,
};
use core::fmt::{self, Write};
use pagelab_abi::gfp::Gfp;
use std::string::String;

const MIB: u64 = 1 << 20;

/// 1 GiB, with one page allocated, so that lists are split and a per-CPU list is filled.
fn machine() -> Mm<TestMachine> {
    let mm = boot(64 * MIB, ZoneConfig::CLASSIC);
    let _ = mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    mm
}

fn text(write: impl Fn(&mut dyn Write) -> fmt::Result) -> String {
    let mut text = String::new();
    write(&mut text).unwrap();
    text
}

/// Zones of the text, and the sum of pages in its columns.
fn pages_in(line: &str) -> u64 {
    let (_, counts) = line.split_at("Node 0, zone          ".len());
    counts
        .split_whitespace()
        .enumerate()
        .map(|(order, count)| count.parse::<u64>().unwrap() << order)
        .sum()
}

#[test]
fn buddyinfo_has_linux_columns_and_counts_all_free_pages() {
    let mm = machine();
    let text = text(|out| mm.buddyinfo(out));
    let lines: std::vec::Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "HIGHMEM is empty and not shown:\n{text}");
    assert!(lines[0].starts_with("Node 0, zone      DMA "));
    assert!(lines[1].starts_with("Node 0, zone   Normal "));
    // "Node 0, zone %8s " and eleven times "%6lu ".
    assert!(lines.iter().all(|line| line.len() == 22 + 11 * 7), "{text}");
    assert_eq!(
        pages_in(lines[0]) + pages_in(lines[1]),
        mm.free_pages_total()
    );
}

#[test]
fn pagetypeinfo_splits_the_same_blocks_by_type() {
    let mm = machine();
    let text = text(|out| mm.pagetypeinfo(out));
    assert!(text.starts_with("Page block order: 9\nPages per block:  512\n\nFree pages count per migrate type at order       0 "));
    let free = text
        .lines()
        .filter_map(|line| line.strip_prefix("Node    0, zone   Normal, type "))
        .collect::<std::vec::Vec<_>>();
    assert_eq!(free.len(), 4);
    assert!(free[0].starts_with("   Unmovable "));
    assert!(free[1].starts_with("     Movable "));
    // The one page made its whole order-10 block unmovable: two pageblocks of it.
    assert!(
        text.contains(
            "Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic \n"
        )
    );
    let normal = text.lines().last().unwrap();
    assert_eq!(
        normal,
        "Node 0, zone   Normal            2           22            0            0 "
    );
}

#[test]
fn zoneinfo_says_where_each_zone_stands() {
    let mm = machine();
    let text = text(|out| mm.zoneinfo(out));
    let normal = text.split("Node 0, zone   Normal").nth(1).unwrap();
    let zone = &mm.zones()[1];
    let managed = zone.managed.load(core::sync::atomic::Ordering::Relaxed);
    assert!(normal.contains("\n        present  12288\n"), "{text}");
    assert!(
        normal.contains(&std::format!("\n        managed  {managed}\n")),
        "{text}"
    );
    assert!(
        normal.contains("\n        protection: (0, 0, 0)\n"),
        "{text}"
    );
    assert!(
        normal.contains("\n  pagesets\n    cpu: 0\n              count: "),
        "{text}"
    );
    assert!(normal.contains("\n  start_pfn:           4096\n"), "{text}");
    assert!(
        text.ends_with(
            "Node 0, zone  HighMem\n  pages free     0\n        boost    0\n        min      32\n        \
             low      32\n        high     32\n        spanned  0\n        present  0\n        \
             managed  0\n        cma      0\n        protection: (0, 0, 0)\n"
        ),
        "{text}"
    );
}

#[test]
fn meminfo_adds_up() {
    let mm = machine();
    let text = text(|out| mm.meminfo(out));
    let value = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        assert_eq!(line.len(), 16 + 8 + 3, "{line}");
        line[16..24].trim().parse().unwrap()
    };
    assert_eq!(value("MemFree:"), mm.free_pages_total() * 4);
    assert_eq!(value("LowTotal:"), value("MemTotal:"));
    assert_eq!(value("HighTotal:"), 0);
    assert!(value("MemAvailable:") < value("MemFree:"));
}

#[test]
fn vmstat_counts_what_was_done() {
    let mm = machine();
    let text = text(|out| mm.vmstat(out));
    assert!(text.contains("\npgalloc_normal 1\n"), "{text}");
    assert!(text.contains("\npcp_refill 1\n"), "{text}");
    assert!(text.contains("\nnr_memmap_boot_pages 128\n"), "{text}");
}
