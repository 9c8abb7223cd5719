//! Which mappings share physical addresses: a sweep over the ends of all of them.
//!
//! Lines are sorted into classes by the caller, and only the first two of a class are ever looked
//! at, so that a million mappings of one frame cost no more than their sorting.

use std::{collections::BTreeSet, ops::Range};

use super::map::MapLine;

/// Classes that a line can be in; class `c` is bit `c` of what the caller returns.
pub(super) const CLASSES: usize = 4;

/// Physical addresses that the same lines map.
#[derive(Debug)]
pub(super) struct Overlap<'a> {
    /// The addresses.
    pub(super) gpas: Range<u64>,
    active: &'a [BTreeSet<u32>; CLASSES],
}

impl Overlap<'_> {
    /// Two different lines, the first of class `a` and the second of class `b`: their indices.
    pub(super) fn pair(&self, a: usize, b: usize) -> Option<(usize, usize)> {
        for &first in self.active[a].iter().take(2) {
            if let Some(&second) = self.active[b].iter().take(2).find(|&&other| other != first) {
                return Some((first as usize, second as usize));
            }
        }
        None
    }
}

/// Calls `visit` for each stretch of physical addresses over which the set of lines with a class
/// does not change, if there are at least two, in ascending order. `classify` returns 0 for a line
/// that does not matter.
pub(super) fn overlaps(
    lines: &[MapLine],
    classify: impl Fn(&MapLine) -> u8,
    mut visit: impl FnMut(Overlap<'_>),
) {
    // Ends come before starts at the same address.
    let mut events: Vec<(u64, bool, u32, u8)> = Vec::new();
    for (index, line) in (0..).zip(lines) {
        let classes = classify(line);
        if classes != 0 {
            events.push((line.mapping.gpa, true, index, classes));
            events.push((line.mapping.gpa_end(), false, index, classes));
        }
    }
    events.sort_unstable();
    let mut active: [BTreeSet<u32>; CLASSES] = Default::default();
    let mut count = 0u32;
    let mut since = 0;
    for (gpa, starts, index, classes) in events {
        if count >= 2 && since < gpa {
            visit(Overlap {
                gpas: since..gpa,
                active: &active,
            });
        }
        since = gpa;
        for (class, lines) in active.iter_mut().enumerate() {
            if classes & 1 << class == 0 {
                continue;
            }
            if starts {
                lines.insert(index);
            } else {
                lines.remove(&index);
            }
        }
        count = if starts { count + 1 } else { count - 1 };
    }
}
