//! kmalloc beside talc, in one run on one machine:
//! `cargo bench -p pagelab-mm --bench kmalloc`. After criterion's own lines comes a table with
//! ratios.
//!
//! Ours does here all that it does in the guest: double frees and foreign pointers are caught,
//! allocations counted, the fault hook asked, and events hashed; `without the clock` says what the
//! last costs. talc runs without a lock over one block of memory of the same size. Each row is
//! measured for all of them in turn, and the table has each one's fastest sample, so that other
//! work on the machine disturbs it little.

mod heaps;
mod table;
mod work;

use criterion::{Criterion, Throughput};
use heaps::{Heap, Kmalloc, Talced};
use std::{path::PathBuf, time::Duration};
use work::{Mixed, PAIRS, ROWS, Row, bulk, pairs};

fn measure<H: Heap>(criterion: &mut Criterion, heap: &mut H, row: Row) {
    let mut group = criterion.benchmark_group(row.to_string());
    group.throughput(Throughput::Elements(PAIRS as u64));
    match row {
        Row::Pair(size) => {
            group.bench_function(H::NAME, |bencher| bencher.iter(|| pairs(heap, size)));
        }
        Row::Bulk(size) => {
            let mut held = Vec::with_capacity(PAIRS);
            group.bench_function(H::NAME, |bencher| {
                bencher.iter(|| bulk(heap, &mut held, size));
            });
        }
        Row::Mixed { held, largest } => {
            let mut mixed = Mixed::new(heap, held, largest);
            group.bench_function(H::NAME, |bencher| bencher.iter(|| mixed.run(heap)));
            mixed.end(heap);
        }
    }
    group.finish();
}

fn main() {
    let output = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("kmalloc");
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(150))
        .measurement_time(Duration::from_millis(600))
        .sample_size(100)
        .output_directory(&output)
        .configure_from_args();
    let mut pagelab = Kmalloc::<true>::new();
    let mut without_clock = Kmalloc::<false>::new();
    let mut talc = Talced::new();
    for row in ROWS {
        measure(&mut criterion, &mut pagelab, row);
        measure(&mut criterion, &mut without_clock, row);
        measure(&mut criterion, &mut talc, row);
    }
    criterion.final_summary();
    let ours = [Kmalloc::<true>::NAME, Kmalloc::<false>::NAME];
    table::print(&output, &ours, Talced::NAME);
}
