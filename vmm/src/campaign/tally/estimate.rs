//! What a sample says about all fault points.

/// Quantile of the normal distribution for 95 % between both ends.
const Z: f64 = 1.959_963_984_540_054;

/// Fault points of one class: exact where every point is stood for, otherwise with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Share of the points, 0 to 1, as counted.
    pub share: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether nothing had to be inferred.
    pub is_exact: bool,
}

impl Estimate {
    /// From `points` of `total` points that experiments stand for, `squares` the sum of the squares of the
    /// experiments' weights, in a space of `space` points.
    ///
    /// Wilson's score interval (Wilson, JASA 22, 1927) with Kish's effective size of a sample with weights
    /// (Survey Sampling, 1965, 11.7) and the correction for a finite population.
    pub(super) fn new(points: u64, total: u64, squares: u128, space: u64) -> Self {
        if total == 0 {
            let (low, high) = (0.0, 1.0);
            return Self {
                share: 0.0,
                low,
                high,
                is_exact: false,
            };
        }
        let share = points as f64 / total as f64;
        if total >= space {
            return Self {
                share,
                low: share,
                high: share,
                is_exact: true,
            };
        }
        let effective = (total as f64) * (total as f64) / (squares as f64).max(1.0);
        let correction = (space - 1) as f64 / (space - total) as f64;
        let n = effective * correction;
        let z2 = Z * Z / n;
        let middle = (share + z2 / 2.0) / (1.0 + z2);
        let half = Z / (1.0 + z2) * (share * (1.0 - share) / n + z2 / (4.0 * n)).sqrt();
        Self {
            share,
            low: (middle - half).max(0.0),
            high: (middle + half).min(1.0),
            is_exact: false,
        }
    }

    /// As `12.3 %`, or `12.3 % (10.1 to 14.8)`.
    pub fn text(self) -> String {
        let percent = |share: f64| format!("{:.1}", share * 100.0);
        match self.is_exact {
            true => format!("{} %", percent(self.share)),
            false => format!(
                "{} % ({} to {})",
                percent(self.share),
                percent(self.low),
                percent(self.high)
            ),
        }
    }
}
