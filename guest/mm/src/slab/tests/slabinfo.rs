//! /proc/slabinfo, against the format of Linux.

use super::*;
use crate::proc::slabinfo;

fn text(bench: &Bench) -> String {
    let mut text = String::new();
    slabinfo::write(bench.slab(), &mut text).unwrap();
    text
}

#[test]
fn the_format_is_that_of_linux() {
    let bench = Bench::new();
    let cache = bench.cache("test", 200);
    let objects: Vec<_> = (0..61).map(|_| bench.alloc(&cache)).collect();
    let text = text(&bench);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "slabinfo - version: 2.1");
    assert_eq!(
        lines[1],
        "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> \
         : tunables <limit> <batchcount> <sharedfactor> \
         : slabdata <active_slabs> <num_slabs> <sharedavail>"
    );
    // The cache grows slab by slab, of 20 objects each.
    assert_eq!(
        lines[2],
        "test                  80     80    200   20    1 \
         : tunables  120   60    0 : slabdata      4      4      0"
    );
    assert!(lines[3].starts_with("kmalloc-8k "));
    assert!(lines.last().unwrap().starts_with("kmem_cache "));
    assert_eq!(lines.len(), 2 + 1 + 13 + 2);
    for object in objects {
        bench.free(&cache, object);
    }
    bench.slab().drain_local();
    assert!(self::text(&bench).contains("test                   0     80    200"));
}

#[test]
fn allocations_are_counted_with_and_without_a_magazine() {
    let bench = Bench::new();
    let cache = bench.cache("test", 200);
    // Without a page for the magazine the first allocation goes to the slab.
    bench.source.fail_page.set(Some(1));
    let objects: Vec<_> = (0..10).map(|_| bench.alloc(&cache)).collect();
    assert_eq!(bench.slab().info_of_next(None).unwrap().allocs, 10);
    assert!(objects.len() == 10);
}
