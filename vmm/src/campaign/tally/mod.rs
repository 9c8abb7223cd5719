//! Counts of a campaign: by class, by kind of fault, by call site.
//!
//! A record counts for the fault points that it stands for. What was counted is told as it is; what is
//! inferred about points that no experiment stands for comes as an [`interval`](Estimate).

mod estimate;
mod table;
#[cfg(test)]
mod tests;

pub use estimate::Estimate;
pub use table::Terminal;

use super::record::{Class, Header, Record};
use std::collections::BTreeMap;

/// Experiments and the fault points that they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Experiments.
    pub records: u64,
    /// Fault points.
    pub points: u64,
}

/// What became of a group of experiments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    classes: [Count; Class::ALL.len()],
    /// Sum of the squares of the experiments' weights.
    squares: u128,
}

impl Tally {
    /// Counts one.
    pub fn add(&mut self, record: &Record) {
        let count = &mut self.classes[record.class as usize];
        count.records += 1;
        count.points = count.points.saturating_add(record.weight);
        self.squares = self
            .squares
            .saturating_add(u128::from(record.weight).pow(2));
    }

    /// Those of one class.
    pub const fn of(&self, class: Class) -> Count {
        self.classes[class as usize]
    }

    /// Those of all classes.
    pub fn total(&self) -> Count {
        self.sum(|_| true)
    }

    /// Those in which the guest's kernel is at fault.
    pub fn failures(&self) -> Count {
        self.sum(Class::is_failure)
    }

    fn sum(&self, is_counted: impl Fn(Class) -> bool) -> Count {
        let counted = Class::ALL.into_iter().filter(|class| is_counted(*class));
        counted.fold(Count::default(), |sum, class| Count {
            records: sum.records + self.of(class).records,
            points: sum.points.saturating_add(self.of(class).points),
        })
    }

    /// What these experiments say about a class in `space` fault points, of which they are a sample.
    pub fn estimate(&self, class: Class, space: u64) -> Estimate {
        Estimate::new(
            self.of(class).points,
            self.total().points,
            self.squares,
            space,
        )
    }
}

/// All counts of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Fault points, or pairs of them, that there are.
    pub space: u64,
    /// Experiments planned.
    pub planned: u64,
    /// All experiments.
    pub all: Tally,
    /// By kind of fault; pairs as `kind + kind`.
    pub by_kind: BTreeMap<String, Tally>,
    /// By the kernel's functions, innermost first; `-` where they are not known.
    pub by_site: BTreeMap<String, Tally>,
}

impl Summary {
    /// Counts records, in whatever order.
    pub fn new<'a>(header: &Header, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut summary = Self {
            space: header.space,
            planned: header.points,
            ..Self::default()
        };
        for record in records {
            summary.add(record);
        }
        summary
    }

    /// Counts one.
    pub fn add(&mut self, record: &Record) {
        self.all.add(record);
        let joined = |parts: Vec<&str>| parts.join(" + ");
        let kind = joined(record.faults.iter().map(|it| it.kind.as_str()).collect());
        let sites = record.faults.iter();
        let site = joined(sites.map(|it| it.site.as_deref().unwrap_or("-")).collect());
        self.by_kind.entry(kind).or_default().add(record);
        self.by_site.entry(site).or_default().add(record);
    }

    /// Call sites, those with the most failures first, then those with the most errors that reached a
    /// program, then by their names.
    pub fn sites(&self) -> Vec<(&str, &Tally)> {
        let mut sites: Vec<_> = self
            .by_site
            .iter()
            .map(|(site, it)| (&**site, it))
            .collect();
        sites.sort_by_key(|(_, tally)| {
            let reached = tally.of(Class::DetectedUnrecoverable).points;
            std::cmp::Reverse((tally.failures().points, reached))
        });
        sites
    }
}
