//! Medians and ratios of paired measurements.

use std::time::Duration;

/// Measurements of a subject and of its peer, taken in turn.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    own: Vec<f64>,
    peer: Vec<f64>,
}

impl Pairs {
    /// Takes `runs` pairs, own before peer, after one pair that does not count.
    pub(super) fn take<E>(
        runs: u32,
        mut own: impl FnMut() -> Result<Duration, E>,
        mut peer: impl FnMut() -> Result<Duration, E>,
    ) -> Result<Self, E> {
        own()?;
        peer()?;
        let mut pairs = Self::default();
        for _ in 0..runs {
            pairs.own.push(own()?.as_secs_f64());
            pairs.peer.push(peer()?.as_secs_f64());
        }
        Ok(pairs)
    }

    /// Median seconds of the subject.
    pub(super) fn own(&self) -> f64 {
        median(self.own.clone())
    }

    /// Median seconds of the peer.
    pub(super) fn peer(&self) -> f64 {
        median(self.peer.clone())
    }

    /// Median of the ratios, pair by pair: what drifts over the run cancels out.
    pub(super) fn ratio(&self) -> f64 {
        median(
            self.own
                .iter()
                .zip(&self.peer)
                .map(|(own, peer)| own / peer)
                .collect(),
        )
    }
}

/// The middle value, or the mean of the two in the middle; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        len if len % 2 == 1 => values[len / 2],
        len => f64::midpoint(values[len / 2 - 1], values[len / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let pairs = Pairs {
            own: vec![2.0, 20.0, 3.0],
            peer: vec![1.0, 10.0, 1.0],
        };
        assert_eq!(pairs.ratio(), 2.0);
        assert_eq!(pairs.own(), 3.0);
    }
}
