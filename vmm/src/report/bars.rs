//! The chart of requested beside achieved balloon sizes.

use crate::pressure::Sample;

/// Rows of the chart at most.
const ROWS: usize = 12;

/// Cells of the longest bar.
const WIDTH: u64 = 36;

/// The rows to draw: where many samples were taken, those at which the request changed and as
/// many others, evenly spread, as fit.
pub(super) fn rows(samples: &[Sample]) -> Vec<&Sample> {
    if samples.len() <= ROWS {
        return samples.iter().collect();
    }
    // The last row is always the last sample.
    (1..=ROWS)
        .map(|row| &samples[row * samples.len() / ROWS - 1])
        .collect()
}

/// A bar for one sample: full cells are achieved, shaded ones requested beyond that, and a light
/// tail achieved beyond the request. `scale` is the size in bytes of the longest bar.
pub(super) fn bar(requested: u64, achieved: u64, scale: u64) -> String {
    let cells = |bytes: u64| {
        (u128::from(bytes) * u128::from(WIDTH) / u128::from(scale.max(1))).min(u128::from(WIDTH))
            as usize
    };
    let (requested, achieved) = (cells(requested), cells(achieved));
    let both = requested.min(achieved);
    let missing = requested - both;
    let surplus = achieved - both;
    ["█".repeat(both), "░".repeat(missing), "▒".repeat(surplus)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_both_figures() {
        assert_eq!(
            bar(100, 50, 100),
            format!("{}{}", "█".repeat(18), "░".repeat(18))
        );
        assert_eq!(
            bar(50, 100, 100),
            format!("{}{}", "█".repeat(18), "▒".repeat(18))
        );
        assert_eq!(bar(0, 0, 0), "");
        assert_eq!(bar(u64::MAX, u64::MAX, 1).chars().count(), 36);
    }
}
