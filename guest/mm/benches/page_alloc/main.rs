//! The page allocator beside other frame allocators, on the same machine and in the same run:
//! `cargo bench -p pagelab-mm --bench page_alloc`. After criterion's own lines comes a table of
//! medians with ratios.
//!
//! `pagelab-mm` does here all that it does in the guest: zones, watermarks, checks of each free,
//! statistics, the fault hook and the event clock with its hash. `without the clock` says what the
//! clock costs.

mod frames;
mod rows;
mod table;

use criterion::{Criterion, criterion_group};
use frames::{Bitmap, Buddy, Pagelab};
use std::time::Duration;

fn page_alloc(criterion: &mut Criterion) {
    rows::all::<Pagelab<true>>(criterion);
    rows::all::<Pagelab<false>>(criterion);
    rows::all::<Buddy>(criterion);
    rows::all::<Bitmap>(criterion);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200));
    targets = page_alloc
}

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    table::print();
}
