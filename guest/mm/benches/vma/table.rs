//! What criterion measured, as a table with ratios.

use super::{AREAS, OPERATIONS};
use serde_json::Value;
use std::{fs, path::Path};

/// Nanoseconds for one operation in the fastest sample of a measurement.
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
        .map(|(time, iterations)| time / iterations / OPERATIONS as f64)
        .min_by(f64::total_cmp)
}

/// Prints each row: our time, and each rival's with its multiple of ours.
pub(crate) fn print(output: &Path, ours: &str, rivals: &[&str]) {
    print!("\n{:<16}{ours:>10}", "ns");
    for name in rivals {
        print!("{name:>20}");
    }
    println!();
    for row in ["lookup", "churn"] {
        for areas in AREAS {
            let row = format!("{row}-{areas}");
            let Some(mine) = fastest(output, &row, ours) else {
                continue;
            };
            print!("{row:<16}{mine:>10.1}");
            for name in rivals {
                let cell = fastest(output, &row, name).map_or("-".to_owned(), |theirs| {
                    format!("{theirs:.1} ({:.2}x)", theirs / mine)
                });
                print!("{cell:>20}");
            }
            println!();
        }
    }
}
