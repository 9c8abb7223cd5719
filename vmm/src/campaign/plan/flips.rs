//! Which of a table's bit flips are one and the same, by what becomes of the bit.

use crate::{
    fault::BitflipSpec,
    scenario::{Fate, ForkPoint, RunConfig, RunError, fates},
};
use std::collections::BTreeMap;

/// The number of all flips that are written over unseen: each such run is the golden run.
const OVERWRITTEN: u64 = u64::MAX;

/// The number of all flips of a place that is not there.
const ABSENT: u64 = u64::MAX - 1;

/// A number for each of these flips of one place, which stand event by event. Those with one number lead to
/// the same.
///
/// # Errors
/// If a run cannot be made.
pub(super) fn alike(config: &RunConfig, flips: &[BitflipSpec]) -> Result<Vec<u64>, RunError> {
    let mut by_bit: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, flip) in flips.iter().enumerate() {
        by_bit.entry(flip.bit).or_default().push(index);
    }
    let mut numbers: Vec<u64> = (0..flips.len() as u64).collect();
    if flips.len() < 2 {
        return Ok(numbers);
    }
    let point = ForkPoint::boot(config)?;
    for (bit, indices) in by_bit {
        let events: Vec<u64> = indices
            .iter()
            .filter_map(|index| flips[*index].event)
            .collect();
        let place = flips[indices[0]].place;
        let fates = fates(&point, config, place, bit, &events)?;
        for (index, number) in indices.into_iter().zip(chains(&fates)) {
            numbers[index] = match number {
                Chain::Overwritten => OVERWRITTEN,
                Chain::Absent => ABSENT,
                // The first of the chain is the first of its number.
                Chain::Of(first) => (u64::from(bit) << 48) | first,
            };
        }
    }
    Ok(numbers)
}

/// What a flip belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    /// Flips up to the next use of the bit, known by the first of them.
    Of(u64),
    Overwritten,
    Absent,
}

/// Joins what is untouched to what comes after it.
fn chains(fates: &[Fate]) -> Vec<Chain> {
    let mut chains = Vec::with_capacity(fates.len());
    while let Some(rest) = fates.get(chains.len()..).filter(|rest| !rest.is_empty()) {
        let untouched = rest.iter().take_while(|fate| **fate == Fate::Untouched);
        let untouched = untouched.count();
        let chain = match rest.get(untouched) {
            Some(Fate::Overwritten) => Chain::Overwritten,
            // The place of what is untouched is there at the next event.
            Some(Fate::Absent) => Chain::Absent,
            _ => Chain::Of(chains.len() as u64),
        };
        let len = rest.len().min(untouched + 1);
        chains.extend(std::iter::repeat_n(chain, len));
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::{Chain::*, *};

    #[test]
    fn flips_up_to_one_use_are_one() {
        use Fate::{Absent as A, Overwritten as O, Untouched as T, Used as U};
        assert_eq!(
            chains(&[T, T, U, U, T, O, O, A, A, T, U]),
            [
                Of(0),
                Of(0),
                Of(0),
                Of(3),
                Overwritten,
                Overwritten,
                Overwritten,
                Absent,
                Absent,
                Of(9),
                Of(9)
            ]
        );
        assert_eq!(chains(&[]), []);
    }
}
