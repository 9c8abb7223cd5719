//! All that must hold of address spaces.

use super::UserMm;
use crate::{
    FileId, Mm, Pfn,
    swap::SwapEntry,
    testing::{TestMachine, violations},
    vma::{Area, Backing},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    lru::LruList,
    mm_struct::RssStat,
    page::{Page, PageFlags, flags_of, group_of_mapping, is_anon},
    page_cache::AddressSpace,
    pte::{
        PTE_ADDRESS, PTE_LARGE, PTE_NX, PTE_PRESENT, PTE_PROTNONE, PTE_SPECIAL, PTE_USER, PTE_WRITE,
    },
    swap::hwpoison_of_pte,
    vma::VmFlags,
    vmstat::NodeStat,
};
use std::{collections::BTreeMap, vec::Vec};

/// What the tables of one address space hold.
#[derive(Default)]
struct Walk {
    /// Nodes.
    nodes: u64,
    /// Large entries.
    large: i64,
    /// Last-level entries: address and value.
    entries: Vec<(u64, u64)>,
}

fn walk(user: &UserMm<TestMachine>, areas: &[Area]) -> Walk {
    let mut found = Walk::default();
    walk_node(user, areas, user.pgd(), 3, 0, &mut found);
    found
}

fn walk_node(
    user: &UserMm<TestMachine>,
    areas: &[Area],
    node: u64,
    level: u32,
    base: u64,
    found: &mut Walk,
) {
    found.nodes += 1;
    let size = 1u64 << (12 + 9 * level);
    let end = base + (size << 9);
    assert!(
        level == 3 || areas.iter().any(|area| area.start < end && area.end > base),
        "a node for {base:#x}-{end:#x}, where no area is"
    );
    let machine = user.mm().machine();
    let table = machine.frame((node >> 12) as u32).unwrap().cast::<u64>();
    for index in 0..if level == 3 { 256 } else { 512 } {
        // SAFETY: an entry of the node.
        let entry = unsafe { *table.as_ptr().add(index) };
        let address = base + index as u64 * size;
        if level == 0 && entry != 0 {
            found.entries.push((address, entry));
        } else if level == 1 && entry & (PTE_PRESENT | PTE_LARGE) == PTE_PRESENT | PTE_LARGE {
            // The node that was set aside for it.
            found.nodes += 1;
            found.large += 1;
            let first = entry & !PTE_LARGE;
            let small = (0..512).map(|page| page << 12);
            found
                .entries
                .extend(small.map(|at| (address + at, first + at)));
        } else if level > 0 && entry & PTE_PRESENT != 0 {
            walk_node(user, areas, entry & PTE_ADDRESS, level - 1, address, found);
        }
    }
}

/// Checks an entry against its area.
fn check_entry(mm: &Mm<TestMachine>, area: &Area, address: u64, entry: u64) {
    let what = || std::format!("{address:#x}: entry {entry:#x} in {area:x?}");
    if let Some(pfn) = hwpoison_of_pte(entry) {
        let page = mm.page(Pfn(pfn as u32)).unwrap();
        let flags = flags_of(page.flags.load(Relaxed));
        assert!(flags.contains(PageFlags::HWPOISON), "{}", what());
        return;
    }
    if SwapEntry::of_pte(entry).is_some() {
        assert!(!area.flags.contains(VmFlags::SHARED), "{}", what());
        return;
    }
    let readable = VmFlags::READ | VmFlags::WRITE | VmFlags::EXEC;
    if area.flags.intersects(readable) {
        let present = PTE_PRESENT | PTE_USER;
        assert_eq!(entry & present, present, "{}", what());
    } else {
        assert_eq!(
            entry & (PTE_PRESENT | PTE_PROTNONE),
            PTE_PROTNONE,
            "{}",
            what()
        );
    }
    let executable = area.flags.contains(VmFlags::EXEC);
    assert_eq!(entry & PTE_NX == 0, executable, "{}", what());
    let zero = mm.state().zero_pfn.load(Relaxed);
    let is_zero = entry & PTE_ADDRESS == u64::from(zero) << 12;
    assert_eq!(entry & PTE_SPECIAL != 0, is_zero, "{}", what());
    if entry & PTE_WRITE != 0 {
        assert!(
            area.flags.contains(VmFlags::WRITE) && !is_zero,
            "{}",
            what()
        );
        let page = mm.page(Pfn::from_phys(entry & PTE_ADDRESS)).unwrap();
        if !area.flags.contains(VmFlags::SHARED) {
            assert_eq!(page.refcount.load(Relaxed), 1, "{}", what());
            assert!(is_anon(page.mapping.load(Relaxed)), "{}", what());
        }
    }
}

/// An anonymous page says where it is mapped, and by whose family.
fn check_rmap(user: &UserMm<TestMachine>, area: &Area, address: u64, pfn: Pfn, page: &Page) {
    let mapping = page.mapping.load(Relaxed);
    assert_eq!(group_of_mapping(mapping), user.anon_group(), "{address:#x}");
    let index = area.page_index(address);
    let stored = user.mm().page_index(pfn);
    assert_eq!(stored, Some(index as u32), "{address:#x}");
}

/// Checks all address spaces that there are, of which the first is the one that the CPU runs.
pub(super) fn check(mm: &'static Mm<TestMachine>, users: &mut [&mut UserMm<TestMachine>]) {
    let mut maps: BTreeMap<u32, u32> = BTreeMap::new();
    let mut slots: BTreeMap<SwapEntry, u32> = BTreeMap::new();
    let mut large = 0;
    for user in users.iter_mut() {
        let tree = user.tree();
        tree.check_invariants().unwrap();
        let areas: Vec<Area> = tree.iter().map(Area::of).collect();
        let found = walk(user, &areas);
        let this = user.mm_struct();
        assert_eq!(this.pgtables.load(Relaxed), found.nodes, "nodes");
        large += found.large;
        let (mut anon, mut other, mut swapped) = (0, 0, 0);
        for &(address, entry) in &found.entries {
            let area = areas
                .iter()
                .find(|area| (area.start..area.end).contains(&address));
            let area = area.unwrap_or_else(|| panic!("{address:#x}: {entry:#x} in no area"));
            check_entry(mm, area, address, entry);
            if let Some(slot) = SwapEntry::of_pte(entry) {
                *slots.entry(slot).or_default() += 1;
                swapped += 1;
            } else if hwpoison_of_pte(entry).is_some() {
            } else if entry & PTE_SPECIAL == 0 {
                let pfn = ((entry & PTE_ADDRESS) >> 12) as u32;
                *maps.entry(pfn).or_default() += 1;
                let page = mm.page(Pfn(pfn)).unwrap();
                if is_anon(page.mapping.load(Relaxed)) {
                    check_rmap(user, area, address, Pfn(pfn), page);
                    anon += 1;
                } else {
                    assert!(matches!(area.backing, Backing::File { .. }));
                    other += 1;
                }
            }
        }
        let rss = |kind: RssStat| this.rss[kind as usize].load(Relaxed);
        assert_eq!(rss(RssStat::Anon), anon, "anonymous pages");
        assert_eq!(rss(RssStat::Swap), swapped, "swapped pages");
        assert_eq!(
            rss(RssStat::File) + rss(RssStat::Shmem),
            other,
            "file pages"
        );
        let total: u64 = areas.iter().map(Area::pages).sum();
        assert_eq!(this.total_vm.load(Relaxed), total, "total_vm");
        let locked = areas
            .iter()
            .filter(|area| area.flags.contains(VmFlags::LOCKED));
        let locked: u64 = locked.map(Area::pages).sum();
        assert_eq!(this.locked_vm.load(Relaxed), locked, "locked_vm");
    }
    for (&pfn, &count) in &maps {
        let page = mm.page(Pfn(pfn)).unwrap();
        let flags = flags_of(page.flags.load(Relaxed));
        assert!(flags.contains(PageFlags::ALLOCATED), "{pfn:#x}: {flags:?}");
        assert!(
            !flags.contains(PageFlags::HWPOISON),
            "{pfn:#x}: broken, and mapped"
        );
        assert_eq!(
            page.mapcount.load(Relaxed),
            count as i32,
            "{pfn:#x}: mapcount"
        );
        assert!(flags.contains(PageFlags::LRU), "{pfn:#x}: {flags:?}");
        let mapping = page.mapping.load(Relaxed);
        let in_file = mapping != 0 && !is_anon(mapping);
        let cached = u32::from(in_file) + u32::from(flags.contains(PageFlags::SWAPCACHE));
        assert_eq!(
            page.refcount.load(Relaxed),
            count + cached,
            "{pfn:#x}: refcount"
        );
    }
    check_slots(mm, &slots);
    assert_eq!(mm.node_stat(NodeStat::AnonThps), large, "large entries");
    if let Some(user) = users.first() {
        super::cpu::check_cached(user);
    }
    check_lru(mm, &maps);
    let all = violations(mm);
    assert!(all.is_empty(), "{all:?}");
    mm.slab().validate().unwrap();
    assert_eq!(mm.state().nr_mms.load(Relaxed), users.len() as u32);
}

/// The lists of reclaim are right, and the sums of mapped pages.
fn check_lru(mm: &Mm<TestMachine>, maps: &BTreeMap<u32, u32>) {
    mm.validate_lru(&mut |violation| panic!("{violation}"));
    let anon = |pfn: &&u32| is_anon(mm.page(Pfn(**pfn)).unwrap().mapping.load(Relaxed));
    let anons = maps.keys().filter(anon).count() as i64;
    assert_eq!(mm.node_stat(NodeStat::AnonMapped), anons);
    assert_eq!(
        mm.node_stat(NodeStat::FileMapped),
        maps.len() as i64 - anons
    );
    let listed: u64 = LruList::ALL.iter().map(|list| mm.lru_pages(*list)).sum();
    let cached = mm.node_stat(NodeStat::FilePages) as u64;
    let in_swap_cache = |pfn: &&u32| mm.swap_cache_entry(Pfn(**pfn)).is_some();
    let unmapped = mm.swap_cached() - maps.keys().filter(in_swap_cache).count() as u64;
    assert_eq!(listed, anons as u64 + cached + unmapped, "pages in lists");
}

/// Checks the slots, to which these entries lead and no others.
fn check_slots(mm: &Mm<TestMachine>, slots: &BTreeMap<SwapEntry, u32>) {
    let mut violations = Vec::new();
    mm.validate_swap(&mut |violation| violations.push(violation));
    assert!(violations.is_empty(), "{violations:?}");
    for (&slot, &count) in slots {
        assert_eq!(mm.swap_count(slot), count, "{slot:?}");
    }
    // As each of these is in use, and each of files has its own, there are no others.
    let (total, free) = mm.swap_slots();
    let of_files = swapped_of_files(mm);
    assert_eq!(total - free, slots.len() as u64 + of_files, "slots in use");
}

/// Pages of shared memory that are in swap.
fn swapped_of_files(mm: &Mm<TestMachine>) -> u64 {
    let newest = FileId::from_raw(mm.state().page_cache.files.load(Relaxed));
    let files = core::iter::successors(newest, |file| {
        // SAFETY: a file of the list lives; all is atomic.
        let space: &AddressSpace = unsafe { mm.slab().object(file.get()).cast().as_ref() };
        FileId::from_raw(space.next.load(Relaxed))
    });
    files.map(|file| mm.file_nr_swapped(file)).sum()
}

/// Frames that are allocated, but for those of slabs.
pub(super) fn allocated(mm: &Mm<TestMachine>) -> u64 {
    let census = mm.validate(&mut |violation| panic!("{violation}"));
    let all: u64 = census.iter().map(|zone| zone.allocated).sum();
    let slabs = mm.node_stat(NodeStat::SlabReclaimable) + mm.node_stat(NodeStat::SlabUnreclaimable);
    all - slabs as u64
}

/// Objects of a cache that are in use.
pub(super) fn objects(mm: &Mm<TestMachine>, cache: &str) -> u64 {
    let mut text = std::string::String::new();
    mm.slabinfo(&mut text).unwrap();
    let line = text
        .lines()
        .find(|line| line.split_whitespace().next() == Some(cache))
        .unwrap_or_else(|| panic!("no {cache} in {text}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
