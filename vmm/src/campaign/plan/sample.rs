//! How many to draw, and which.

use crate::campaign::experiment::Precision;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal};

/// Standard deviations around the mean within which a normally distributed number is with this
/// probability: 1.96 for 0.95.
pub fn z_of(confidence: f64) -> f64 {
    // The standard normal distribution, whose parameters are valid.
    Normal::standard().inverse_cdf(0.5 + confidence / 2.0)
}

/// Experiments that a share needs to be known so well, whatever it is, out of `space` (Cochran, Sampling
/// Techniques, 3rd ed., 4.4, with the correction for a finite population).
pub fn sample_size(space: u64, precision: Precision) -> u64 {
    let Precision { confidence, margin } = precision;
    let unlimited = (z_of(confidence) / margin).powi(2) / 4.0;
    let size = unlimited / (1.0 + (unlimited - 1.0).max(0.0) / space as f64);
    (size.ceil() as u64).clamp(1, space)
}

/// So many numbers below `space`, each as likely as any other, ascending.
pub(super) fn draw(space: u64, size: u64, seed: u64) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let limit = usize::try_from(space).unwrap_or(usize::MAX);
    let drawn = rand::seq::index::sample(&mut rng, limit, size as usize);
    let mut drawn: Vec<u64> = drawn.into_iter().map(|index| index as u64).collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_textbook() {
        let precision = |confidence, margin| Precision { confidence, margin };
        assert!((z_of(0.95) - 1.959_964).abs() < 1e-5);
        assert_eq!(sample_size(u64::MAX, precision(0.95, 0.05)), 385);
        assert_eq!(sample_size(1000, precision(0.95, 0.05)), 278);
        assert_eq!(sample_size(u64::MAX, precision(0.99, 0.01)), 16_588);
        assert_eq!(sample_size(10, precision(0.95, 0.05)), 10);
        assert_eq!(sample_size(1, precision(0.5, 0.9)), 1);
    }

    #[test]
    fn a_draw_is_of_different_numbers_and_repeats() {
        let drawn = draw(1000, 300, 7);
        assert_eq!(drawn.len(), 300);
        assert!(drawn.is_sorted_by(|one, next| one < next));
        assert!(drawn.iter().all(|number| *number < 1000));
        assert_eq!(drawn, draw(1000, 300, 7));
        assert_ne!(drawn, draw(1000, 300, 8));
        assert_eq!(draw(5, 5, 1), [0, 1, 2, 3, 4]);
    }
}
