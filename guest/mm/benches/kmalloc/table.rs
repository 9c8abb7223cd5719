//! What criterion measured, as a table with ratios.

use super::work::{PAIRS, ROWS};
use serde_json::Value;
use std::{fs, path::Path};

/// Nanoseconds for one pair in the fastest sample of a measurement.
fn fastest(output: &Path, row: &str, name: &str) -> Option<f64> {
    let file = output.join(row).join(name).join("new/sample.json");
    let json: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    let numbers = |key: &str| {
        let values = json[key].as_array()?;
        values.iter().map(Value::as_f64).collect::<Option<Vec<_>>>()
    };
    let (times, iterations) = (numbers("times")?, numbers("iters")?);
    times
        .iter()
        .zip(iterations)
        .map(|(time, iterations)| time / iterations / PAIRS as f64)
        .min_by(f64::total_cmp)
}

/// Prints each row: the rival's time, and each of ours with the rival's as a multiple of it.
pub(crate) fn print(output: &Path, ours: &[&str], rival: &str) {
    print!("\n{:<26}{rival:>10}", "ns for a pair");
    for name in ours {
        print!("{name:>22}");
    }
    println!();
    for row in ROWS {
        let row = row.to_string();
        let Some(theirs) = fastest(output, &row, rival) else {
            continue;
        };
        print!("{row:<26}{theirs:>10.1}");
        for name in ours {
            let cell = fastest(output, &row, name).map_or("-".to_owned(), |mine| {
                format!("{mine:.1} ({:.2}x)", theirs / mine)
            });
            print!("{cell:>22}");
        }
        println!();
    }
}
