//! What is measured: the rows of the table.

use crate::{
    frames::{FRAMES, Frames},
    table,
};
use criterion::Criterion;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Frames that the bulk rows take before they give them back.
const BULK: usize = FRAMES / 2;

/// Steps of one pass of the mixed row, and blocks that it holds at most.
const STEPS: usize = 1 << 16;
const HELD: usize = 1024;

/// Measures all rows for one allocator.
pub(crate) fn all<F: Frames>(criterion: &mut Criterion) {
    let mut frames = F::new();
    row(
        criterion,
        "order-0 pair",
        F::NAME,
        &mut frames,
        1,
        |frames| {
            let start = Instant::now();
            for _ in 0..PAIRS {
                let frame = black_box(frames.get(0));
                frames.put(frame, 0);
            }
            (start.elapsed(), PAIRS)
        },
    );
    let mut held = vec![0; BULK];
    row(
        criterion,
        "order-0 bulk get",
        F::NAME,
        &mut frames,
        BULK,
        |frames| {
            let start = Instant::now();
            held.fill_with(|| frames.get(0));
            let spent = start.elapsed();
            held.iter().for_each(|&frame| frames.put(frame, 0));
            (spent, BULK)
        },
    );
    row(
        criterion,
        "order-0 bulk put",
        F::NAME,
        &mut frames,
        BULK,
        |frames| {
            held.fill_with(|| frames.get(0));
            let start = Instant::now();
            held.iter().for_each(|&frame| frames.put(frame, 0));
            (start.elapsed(), BULK)
        },
    );
    let mut random = Random(1);
    row(
        criterion,
        "order-0 random free",
        F::NAME,
        &mut frames,
        BULK,
        |frames| {
            held.fill_with(|| frames.get(0));
            random.shuffle(&mut held);
            let start = Instant::now();
            held.iter().for_each(|&frame| frames.put(frame, 0));
            (start.elapsed(), BULK)
        },
    );
    row(
        criterion,
        "mixed orders",
        F::NAME,
        &mut frames,
        STEPS,
        |frames| mixed(frames, &mut random),
    );
}

/// Pairs between two looks at the watch.
const PAIRS: usize = 1024;

/// One row: `pass` does its work once and says how long the measured part took and how many
/// operations it had.
fn row<F: Frames>(
    criterion: &mut Criterion,
    name: &'static str,
    allocator: &'static str,
    frames: &mut F,
    operations: usize,
    mut pass: impl FnMut(&mut F) -> (Duration, usize),
) {
    criterion.bench_function(&format!("{name}/{allocator}"), |bencher| {
        bencher.iter_custom(|iterations| {
            let passes = iterations.div_ceil(operations as u64);
            let (mut spent, mut done) = (Duration::ZERO, 0);
            for _ in 0..passes {
                let (time, count) = pass(frames);
                spent += time;
                done += count;
            }
            let each = spent.as_secs_f64() / done as f64;
            table::record(name, allocator, each * 1e9);
            Duration::from_secs_f64(each * iterations as f64)
        });
    });
}

/// Blocks of random order are taken and given back in random order: order n is half as likely as
/// n - 1, up to 10. Counted are takes and gives alike.
fn mixed<F: Frames>(frames: &mut F, random: &mut Random) -> (Duration, usize) {
    let plan: Vec<(u32, usize)> = (0..STEPS)
        .map(|_| {
            let order = random.next().trailing_ones().min(10);
            (order, random.next() as usize)
        })
        .collect();
    let mut held: Vec<(u32, u32)> = Vec::with_capacity(HELD);
    let start = Instant::now();
    for &(order, pick) in &plan {
        if held.len() == HELD || (pick & 1 == 0 && !held.is_empty()) {
            let (frame, order) = held.swap_remove((pick >> 1) % held.len());
            frames.put(frame, order);
        } else {
            held.push((frames.get(order), order));
        }
    }
    let spent = start.elapsed();
    for (frame, order) in held {
        frames.put(frame, order);
    }
    (spent, STEPS)
}

/// SplitMix64, so that each allocator gets the same sequence in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fisher and Yates.
    fn shuffle(&mut self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}
