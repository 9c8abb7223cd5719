//! Speed of the page-table walk, in present PTEs a second, beside a naive scan that only loads and
//! counts the entries of the same tables in the same run.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use pagelab::inspect::{
    image::PhysMem,
    pagetable::{
        Mapping, PageTables, Visitor, WalkLimits,
        bits::{ADDRESS, P, U, W},
        synthetic::SyntheticTables,
    },
};

/// Adds up what is mapped, so that no run can be left out.
#[derive(Default)]
struct Total {
    runs: u64,
    bytes: u64,
}

impl Visitor for Total {
    fn mapping(&mut self, mapping: &Mapping) {
        self.runs += 1;
        self.bytes += mapping.len;
    }
}

/// `count` pages, physically in runs of `run` pages.
fn tables(count: u64, run: u64) -> SyntheticTables {
    let mut tables = SyntheticTables::new(count as usize / 512 + 64, 4);
    for start in (0..count).step_by(run as usize) {
        // Every second run is moved far away, so that no two touch.
        let frame = if (start / run).is_multiple_of(2) {
            start
        } else {
            start + (1 << 30)
        };
        tables.map(
            0x7f00_0000_0000 + (start << 12),
            frame << 12,
            1,
            run,
            P | W | U,
        );
    }
    tables
}

/// Physical addresses of all leaf tables.
fn leaf_tables(tables: &SyntheticTables) -> Vec<u64> {
    let mut level = vec![tables.root];
    for _ in 0..3 {
        let entries = level
            .iter()
            .flat_map(|table| (0..512).map(move |i| table + 8 * i));
        let present = entries
            .map(|gpa| tables.entry(gpa))
            .filter(|entry| entry & P != 0);
        level = present.map(|entry| entry & ADDRESS).collect();
    }
    level
}

fn naive(mem: &impl PhysMem, leaf_tables: &[u64]) -> u64 {
    let pages = leaf_tables.iter().filter_map(|&table| mem.page(table));
    pages
        .map(|page| page.iter().map(|entry| entry.get() & P).sum::<u64>())
        .sum()
}

fn walk(tables: &SyntheticTables, pages: u64) -> u64 {
    let page_tables = PageTables::new(&tables.memory, tables.state()).expect("sound tables");
    let mut total = Total::default();
    let summary = page_tables.walk(0..=u64::MAX, WalkLimits::default(), &mut total);
    assert_eq!((summary.leaves, total.bytes), (pages, pages << 12));
    total.runs
}

/// The best of many rounds, in operations a second for `count` operations.
fn rate(count: u64, mut run: impl FnMut()) -> f64 {
    let mut best = Duration::MAX;
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
    }
    count as f64 / best.as_secs_f64()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut table = Vec::new();
    for (name, pages, run) in [
        ("1 GiB in runs of 512", 1 << 18, 512),
        ("1 GiB in runs of 8", 1 << 18, 8),
        ("1 GiB in single pages", 1 << 18, 1),
        ("32 GiB in runs of 512", 1 << 23, 512),
    ] {
        let tables = tables(pages, run);
        let leaves = leaf_tables(&tables);
        let mut group = criterion.benchmark_group("walk");
        group.throughput(Throughput::Elements(pages));
        group.bench_function(BenchmarkId::new("walk", name), |b| {
            b.iter(|| walk(&tables, pages));
        });
        group.bench_function(BenchmarkId::new("naive scan", name), |b| {
            b.iter(|| naive(&tables.memory, black_box(&leaves)));
        });
        group.finish();
        let walked = rate(pages, || {
            black_box(walk(&tables, pages));
        });
        let scanned = rate(pages, || {
            black_box(naive(&tables.memory, black_box(&leaves)));
        });
        table.push((name, walked, scanned));
    }
    println!(
        "\n{:<24} {:>12} {:>12} {:>7}",
        "present PTEs", "walk M/s", "naive M/s", "ratio"
    );
    for (name, walked, scanned) in table {
        println!(
            "{name:<24} {:>12.0} {:>12.0} {:>7.2}",
            walked / 1e6,
            scanned / 1e6,
            walked / scanned
        );
    }
    criterion.final_summary();
}
