//! The table of medians and ratios.

use std::sync::Mutex;

/// One measured sample.
struct Sample {
    row: &'static str,
    allocator: &'static str,
    nanoseconds: f64,
}

static SAMPLES: Mutex<Vec<Sample>> = Mutex::new(Vec::new());

/// Keeps a sample.
pub(crate) fn record(row: &'static str, allocator: &'static str, nanoseconds: f64) {
    SAMPLES.lock().expect("no panic before").push(Sample {
        row,
        allocator,
        nanoseconds,
    });
}

/// Prints each row: median nanoseconds for one operation, and how many times the first
/// allocator's that is.
pub(crate) fn print() {
    let samples = SAMPLES.lock().expect("no panic before");
    let mut rows = Vec::new();
    let mut allocators = Vec::new();
    for sample in samples.iter() {
        if !rows.contains(&sample.row) {
            rows.push(sample.row);
        }
        if !allocators.contains(&sample.allocator) {
            allocators.push(sample.allocator);
        }
    }
    println!(
        "\nns for one operation (times {})",
        allocators.first().unwrap_or(&"ours")
    );
    print!("{:<20}", "");
    for allocator in &allocators {
        print!("{allocator:>24}");
    }
    println!();
    for row in rows {
        print!("{row:<20}");
        let mut first = None;
        for allocator in &allocators {
            let median = median(&samples, row, allocator);
            let ours = *first.get_or_insert(median);
            print!("{:>24}", format!("{median:.1} ({:.2}x)", median / ours));
        }
        println!();
    }
}

fn median(samples: &[Sample], row: &str, allocator: &str) -> f64 {
    let mut values: Vec<f64> = samples
        .iter()
        .filter(|sample| sample.row == row && sample.allocator == allocator)
        .map(|sample| sample.nanoseconds)
        .collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
