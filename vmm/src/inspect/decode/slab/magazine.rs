//! Magazines: free objects at a CPU.

use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::slab::{self, MAGAZINE_CAPACITY, MagazineEntry};

use super::Cache;
use crate::inspect::{
    decode::{DecodeError, Snapshot},
    image::read_object,
};

/// A copy of one CPU's magazine of one cache.
#[derive(Clone, Debug)]
pub struct Magazine {
    /// The CPU.
    pub cpu: usize,
    /// Physical address.
    pub gpa: u64,
    /// Allocations it has served.
    pub allocs: u64,
    /// Objects in it as it counts them; more than [`MAGAZINE_CAPACITY`] is impossible.
    pub avail: u32,
    /// The objects.
    pub entries: Vec<MagazineEntry>,
}

impl Snapshot<'_> {
    /// The magazines of a cache.
    ///
    /// # Errors
    /// If one lies outside RAM.
    pub fn magazines(&self, cache: &Cache) -> Result<Vec<Magazine>, DecodeError> {
        let present = cache
            .magazines
            .iter()
            .enumerate()
            .filter(|(_, gpa)| **gpa != 0);
        present
            .map(|(cpu, &gpa)| {
                let magazine: slab::Magazine =
                    read_object(self.mem(), gpa).map_err(DecodeError::unreadable("magazine"))?;
                let avail = magazine.avail.load(Relaxed);
                let entries = magazine
                    .entries
                    .iter()
                    .take((avail as usize).min(MAGAZINE_CAPACITY));
                Ok(Magazine {
                    cpu,
                    gpa,
                    allocs: magazine.allocs.load(Relaxed),
                    avail,
                    entries: entries
                        .map(|entry| MagazineEntry(entry.load(Relaxed)))
                        .collect(),
                })
            })
            .collect()
    }
}
