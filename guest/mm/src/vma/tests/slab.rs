//! Areas in a slab cache of a whole memory manager.

use super::anon;
use crate::{
    testing::{boot, violations},
    vma::{Area, VmaCache, VmaTree},
    zone::ZoneConfig,
};
use pagelab_abi::{PAGE_SIZE, gfp::Gfp, slab::CacheFlags, vma::VmaRoot, zone::ZoneModel};

#[test]
fn a_tree_of_slab_objects_comes_and_goes_without_a_leak() {
    let zones = ZoneConfig::with_limits(ZoneModel::Classic, &[8 << 20, 32 << 20]).unwrap();
    let mm = boot(64 << 20, zones);
    mm.slab_init(CacheFlags::DEBUG).unwrap();
    let kmem_cache = VmaCache::create(mm.slab()).unwrap();
    let cache = VmaCache::new(mm.slab(), &kmem_cache);
    let mut root = VmaRoot::new();
    let mut tree = VmaTree::new(&mut root, &cache, PAGE_SIZE, 1 << 47).unwrap();
    for i in 0..500 {
        // In an order that is not the tree's: 7 and 500 have no common divisor.
        let start = 10 + i * 7 % 500 * 3;
        let object = cache.alloc(Gfp::KERNEL).unwrap();
        tree.insert(object, &anon(start, start + 2)).unwrap();
    }
    tree.check_invariants().unwrap();
    let object = cache.alloc(Gfp::KERNEL).unwrap();
    cache.free(tree.insert(object, &anon(11, 12)).unwrap_err().object);

    // SAFETY: the root's last tree was over the same cache.
    let mut tree = unsafe { VmaTree::attach(&mut root, &cache) };
    tree.check_invariants().unwrap();
    assert_eq!(tree.len(), 500);
    assert_eq!(tree.find(13 * PAGE_SIZE).map(Area::of), Some(anon(13, 15)));
    mm.slab().validate().unwrap();
    while let Some((_, object)) = tree.pop_first() {
        cache.free(object);
    }
    mm.slab().kmem_cache_destroy(kmem_cache).unwrap();
    mm.slab().validate().unwrap();
    assert!(violations(&mm).is_empty());
}
