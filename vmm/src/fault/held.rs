//! Faults that are held back: their requests are counted, and none fails yet.
//!
//! Up to the request that is to fail, runs that differ only in which one it is are one run. It is made with
//! the fault held back, and where it has come close each fault takes its place with the count as it stands.

use super::{FaultKind, FaultSpec, Injector};
use pagelab_abi::fault::FaultAttr;

/// The number of a candidate that no run comes to.
const NEVER: u64 = u64::MAX;

impl FaultSpec {
    /// The same fault, held back. One that has no number is itself: nobody knows which request it hits.
    #[must_use]
    pub fn held(&self) -> Self {
        let counts = match self.kind {
            FaultKind::FailPageAlloc
            | FaultKind::Failslab
            | FaultKind::SwapIo
            | FaultKind::FileIo => self.nth != 0,
        };
        match counts {
            true => Self {
                nth: NEVER,
                then: 0,
                ..self.clone()
            },
            false => self.clone(),
        }
    }

    /// Whether it is held back.
    pub(crate) fn is_held(&self) -> bool {
        self.nth == NEVER
    }
}

/// The number of a candidate, counted from where the held fault stands instead of from where it was armed.
/// None if that candidate has been.
fn left(held: u64, nth: u64) -> Option<u64> {
    let seen = NEVER - held;
    nth.checked_sub(seen).filter(|left| *left > 0)
}

/// Lets a held attribute fail what `spec` says, whose counts it has. None if that request has been.
pub fn release(mut attr: FaultAttr, spec: &FaultSpec) -> Option<FaultAttr> {
    let nth = attr.nth.get_mut();
    // At the end of a workload everything is disarmed.
    if *nth != 0 {
        *nth = left(*nth, spec.nth)?;
        *attr.then.get_mut() = spec.then;
    }
    Some(attr)
}

impl Injector {
    /// As [`release`], of a device's injector. False if that request has been.
    pub fn release(&mut self, spec: &FaultSpec) -> bool {
        if self.nth == 0 {
            return true;
        }
        let Some(left) = left(self.nth, spec.nth) else {
            return false;
        };
        self.nth = left;
        self.then = spec.then;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Injected, ReadWrite, arm};

    fn spec(text: &str) -> FaultSpec {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_is_counted_is_held() {
        for text in ["failslab,nth=3,then=2,cache=vma", "swap_io,nth=9,rw=read"] {
            let held = spec(text).held();
            assert!(held.is_held());
            assert_eq!(held.held(), held);
            assert_eq!((held.then, held.kind), (0, spec(text).kind));
        }
        let drawn = spec("failslab,probability=3");
        assert_eq!(drawn.held(), drawn);
        assert!(!drawn.is_held());
    }

    #[test]
    fn a_released_injector_fails_what_it_would_have_failed() {
        for text in [
            "swap_io,nth=5,then=4",
            "swap_io,nth=3,rw=write",
            "swap_io,nth=6",
        ] {
            let spec = spec(text);
            let what = |request: u32| match request % 2 {
                0 => ReadWrite::Read,
                _ => ReadWrite::Write,
            };
            let mut alone = Injector::new(&spec, 1, Injected::default());
            let expected: Vec<bool> = (0..20).map(|n| alone.is_chosen(what(n), 1)).collect();
            for released_at in 0..6 {
                let mut injector = Injector::new(&spec.held(), 1, Injected::default());
                let mut seen = Vec::new();
                seen.extend((0..released_at).map(|n| injector.is_chosen(what(n), 1)));
                let passed = expected[..released_at as usize].contains(&true);
                assert_eq!(injector.release(&spec), !passed, "{text} {released_at}");
                if passed {
                    continue;
                }
                seen.extend((released_at..20).map(|n| injector.is_chosen(what(n), 1)));
                assert_eq!(seen, expected, "{text} {released_at}");
                assert_eq!(injector.counts(), alone.counts());
            }
        }
    }

    #[test]
    fn a_released_attribute_counts_from_where_it_stands() {
        let spec = spec("failslab,nth=7,then=2,cache=vma");
        let mut attr = arm(&spec.held(), &[], 1, Injected::default());
        *attr.nth.get_mut() -= 4;
        *attr.seen.get_mut() = 4;
        let mut released = release(attr, &spec).unwrap();
        assert_eq!(*released.nth.get_mut(), 3);
        assert_eq!(*released.then.get_mut(), 2);
        assert_eq!(*released.seen.get_mut(), 4);
        assert_eq!(&released.cache[..3], b"vma");
        let mut late = arm(&spec.held(), &[], 1, Injected::default());
        *late.nth.get_mut() -= 7;
        assert!(release(late, &spec).is_none());
        let mut disarmed = release(FaultAttr::new(), &spec).unwrap();
        assert_eq!(*disarmed.nth.get_mut(), 0);
    }
}
