//! From the fault space to the list of experiments.
//!
//! A [`Plan`] is a function from a number to an experiment; pairs are worked out as they are asked for, so
//! that their number has no limit but a `u64`'s.

mod armed;
mod flips;
mod sample;
mod site;
mod space;

pub use armed::{Armed, Incompatible};
pub use sample::{sample_size, z_of};
pub use space::{SpacePoint, enumerate};

use super::{
    experiment::{Explore, Precision, Strategy},
    record::FaultPoint,
};
use std::collections::BTreeMap;
use thiserror::Error;

/// The experiments of a campaign, numbered from 0.
#[derive(Debug)]
pub struct Plan {
    points: Vec<SpacePoint>,
    /// Fault points, or pairs of them, that there are.
    space: u64,
    choice: Choice,
}

#[derive(Debug)]
enum Choice {
    /// Indices of points, with their weights.
    Points(Vec<(usize, u64)>),
    /// All pairs.
    Pairs,
    /// The pairs of these numbers.
    SomePairs(Vec<u64>),
}

/// One experiment.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What is done, as records tell of it.
    pub faults: Vec<FaultPoint>,
    /// The same, as a run takes it.
    pub armed: Vec<Armed>,
    /// Fault points that it stands for.
    pub weight: u64,
}

impl Planned {
    /// The golden run's event before which its first fault strikes; none if that is not known.
    pub fn first_event(&self) -> Option<u64> {
        let events: Option<Vec<u64>> = self.faults.iter().map(|fault| fault.event).collect();
        events?.into_iter().min()
    }

    /// What of its faults shows before they strike ([`Armed::lead_in`]).
    pub fn lead_in(&self) -> Vec<String> {
        self.armed.iter().filter_map(Armed::lead_in).collect()
    }
}

/// Why there is no plan.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// The golden run never came to any fault point.
    #[error(
        "there is nothing to try: the run without faults made no request that a [[fault]] table \
         asks for; widen its filters, or give it another workload"
    )]
    Nothing,
    /// Two faults that cannot be in one run.
    #[error(
        "{0} and {1} cannot be armed in one run: an injector counts for one [[fault]] table at a time; \
         give pairs one table for each kind of fault"
    )]
    Incompatible(String, String),
}

impl Plan {
    /// The plan for these points.
    ///
    /// # Errors
    /// [`PlanError`] if there are none, or pairs of them cannot be.
    pub fn new(points: Vec<SpacePoint>, explore: &Explore, seed: u64) -> Result<Self, PlanError> {
        if points.is_empty() {
            return Err(PlanError::Nothing);
        }
        let count = points.len() as u64;
        let pairs = count * (count - 1) / 2;
        let (space, choice) = match explore.strategy {
            Strategy::Exhaustive => (count, Choice::Points(all(&points, explore.prune))),
            Strategy::Sample(precision) => {
                let drawn = draw(count, precision, seed);
                (count, Choice::Points(some(&points, &drawn, explore.prune)))
            }
            Strategy::Pairs(None) => (pairs, Choice::Pairs),
            Strategy::Pairs(Some(precision)) => {
                (pairs, Choice::SomePairs(draw(pairs, precision, seed)))
            }
        };
        if space == 0 {
            return Err(PlanError::Nothing);
        }
        if let Strategy::Pairs(_) = explore.strategy {
            check_pairs(&points)?;
        }
        Ok(Self {
            points,
            space,
            choice,
        })
    }

    /// Fault points, or pairs of them, that there are.
    pub const fn space(&self) -> u64 {
        self.space
    }

    /// Experiments.
    pub fn len(&self) -> u64 {
        match &self.choice {
            Choice::Points(points) => points.len() as u64,
            Choice::Pairs => self.space,
            Choice::SomePairs(pairs) => pairs.len() as u64,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The experiment of this number; none from [`Self::len`] on.
    pub fn get(&self, id: u64) -> Option<Planned> {
        let index = usize::try_from(id).ok()?;
        let pair = match &self.choice {
            Choice::Points(points) => {
                let (index, weight) = *points.get(index)?;
                let SpacePoint { point, armed, .. } = &self.points[index];
                return Some(Planned {
                    faults: vec![point.clone()],
                    armed: vec![armed.clone()],
                    weight,
                });
            }
            Choice::Pairs if id < self.space => id,
            Choice::Pairs => return None,
            Choice::SomePairs(pairs) => *pairs.get(index)?,
        };
        let (one, two) = nth_pair(pair);
        let (one, two) = (&self.points[one as usize], &self.points[two as usize]);
        Some(Planned {
            faults: vec![one.point.clone(), two.point.clone()],
            // That they go together was checked when the plan was made.
            armed: one.armed.and(&two.armed).ok()?,
            weight: 1,
        })
    }
}

/// All points, or the first of each class with the class's size.
fn all(points: &[SpacePoint], prune: bool) -> Vec<(usize, u64)> {
    let drawn: Vec<u64> = (0..points.len() as u64).collect();
    some(points, &drawn, prune)
}

/// These points, or the first of each class among them with their number.
fn some(points: &[SpacePoint], drawn: &[u64], prune: bool) -> Vec<(usize, u64)> {
    let mut chosen: Vec<(usize, u64)> = Vec::new();
    let mut first: BTreeMap<u32, usize> = BTreeMap::new();
    for index in drawn.iter().map(|index| *index as usize) {
        match first.get(&points[index].class).filter(|_| prune) {
            Some(&representative) => chosen[representative].1 += 1,
            None => {
                first.insert(points[index].class, chosen.len());
                chosen.push((index, 1));
            }
        }
    }
    chosen
}

fn draw(space: u64, precision: Precision, seed: u64) -> Vec<u64> {
    sample::draw(space, sample_size(space, precision), seed)
}

/// The pair with this number: (0,1), (0,2), (1,2), (0,3), …
fn nth_pair(number: u64) -> (u64, u64) {
    // The larger one is the largest k with k(k-1)/2 <= number.
    let mut larger = (2 * u128::from(number) + 1).isqrt() as u64;
    while u128::from(larger) * u128::from(larger + 1) / 2 <= u128::from(number) {
        larger += 1;
    }
    while u128::from(larger) * u128::from(larger.saturating_sub(1)) / 2 > u128::from(number) {
        larger -= 1;
    }
    let before = u128::from(larger) * u128::from(larger - 1) / 2;
    ((u128::from(number) - before) as u64, larger)
}

/// Whether each point can be in one run with each other. That depends on their tables alone, whose points
/// stand together.
fn check_pairs(points: &[SpacePoint]) -> Result<(), PlanError> {
    let mut tables: Vec<&SpacePoint> = Vec::new();
    for (index, point) in points.iter().enumerate() {
        let same = |other: &&SpacePoint| other.armed.and(&point.armed).is_ok();
        let is_new = match index.checked_sub(1) {
            Some(before) => {
                points[before].point.kind != point.point.kind
                    || points[before].armed.and(&point.armed).is_err()
            }
            None => true,
        };
        if is_new {
            if let Some(other) = tables.iter().find(|other| !same(other)) {
                let text = |point: &SpacePoint| point.point.fault.clone();
                return Err(PlanError::Incompatible(text(other), text(point)));
            }
            tables.push(point);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
