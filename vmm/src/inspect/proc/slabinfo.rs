//! /proc/slabinfo, version 2.1 (Linux mm/slab_common.c, `print_slabinfo_header` and `cache_show`;
//! mm/slab.c, `get_slabinfo`).

use pagelab_abi::slab::ListKind;

use crate::inspect::decode::Cache;

const HEADER: &str = "slabinfo - version: 2.1\n\
    # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> \
    : tunables <limit> <batchcount> <sharedfactor> \
    : slabdata <active_slabs> <num_slabs> <sharedavail>\n";

/// `caches`: newest first.
pub(super) fn text(caches: &[Cache]) -> String {
    let mut text = String::from(HEADER);
    for cache in caches {
        let geometry = &cache.geometry;
        let slabs = cache.slabs();
        let active_slabs = slabs - u64::from(cache.list(ListKind::Empty).count);
        let objects = slabs * u64::from(geometry.objects);
        let active = objects.saturating_sub(cache.free_objects);
        text += &format!(
            "{:<17} {active:>6} {objects:>6} {:>6} {:>4} {:>4}",
            cache.name,
            geometry.size,
            geometry.objects,
            1 << geometry.order
        );
        text += &format!(
            " : tunables {:>4} {:>4} {:>4}",
            geometry.limit, geometry.batch, 0
        );
        text += &format!(" : slabdata {active_slabs:>6} {slabs:>6} {:>6}\n", 0);
    }
    text
}
