mod ahead;
mod files;
mod model;
mod oracle;
mod shortage;
mod stores;

use super::FileId;
use crate::{
    Mm, Pfn,
    testing::{TestMachine, boot, violations},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SIZE,
    page_cache::{INODE_CACHE, RADIX_TREE_NODE},
    slab::CacheFlags,
    zone::ZoneModel,
};
use std::vec::Vec;

const PAGE: usize = PAGE_SIZE as usize;

/// RAM of which most is HIGHMEM, so that pages need windows.
fn mm() -> Mm<TestMachine> {
    let zones = ZoneConfig::with_limits(ZoneModel::Classic, &[2 << 20, 6 << 20]).unwrap();
    let mm = boot(16 << 20, zones);
    mm.slab_init(CacheFlags::DEBUG).unwrap();
    mm
}

/// Asserts that all of the memory manager's structures are right.
fn check(mm: &Mm<TestMachine>) {
    let mut found = Vec::new();
    mm.validate_page_cache(&mut |violation| found.push(violation));
    assert!(found.is_empty(), "{found:?}");
    if let Err(violation) = mm.slab().validate() {
        panic!("{violation}");
    }
    let violations = violations(mm);
    assert!(violations.is_empty(), "{violations:?}");
}

/// Objects of the page cache that are in use: files, nodes.
fn objects(mm: &Mm<TestMachine>) -> [u64; 2] {
    // What waits in magazines counts as active.
    mm.slab().drain_local();
    [INODE_CACHE, RADIX_TREE_NODE].map(|name| {
        let mut next = None;
        loop {
            let info = mm.slab().info_of_next(next).unwrap();
            if info.name == name {
                return info.active_objs;
            }
            next = Some(info.index);
        }
    })
}

/// All frames in use outside slabs.
fn frames(mm: &Mm<TestMachine>) -> u64 {
    let all: u64 = mm.validate(&mut |_| ()).iter().map(|it| it.allocated).sum();
    let slabs = [
        pagelab_abi::vmstat::NodeStat::SlabReclaimable,
        pagelab_abi::vmstat::NodeStat::SlabUnreclaimable,
    ];
    all - slabs
        .map(|stat| mm.node_stat(stat) as u64)
        .iter()
        .sum::<u64>()
}

/// References to a page.
fn references(mm: &Mm<TestMachine>, pfn: Pfn) -> u32 {
    mm.page(pfn).unwrap().refcount.load(Relaxed)
}

/// The whole content of a file.
fn content(mm: &Mm<TestMachine>, file: FileId) -> Vec<u8> {
    let mut bytes = std::vec![0xee; mm.file_size(file) as usize];
    assert_eq!(mm.file_read(file, 0, &mut bytes), Ok(bytes.len()));
    bytes
}
