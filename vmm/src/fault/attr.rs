//! From a fault specification to the attribute in the guest's root page.

use super::{FaultKind, FaultSpec};
use pagelab_abi::{
    fault::{CallSite, FaultAttr},
    root::Root,
};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering::Relaxed;

/// What an injector has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// Candidates that it has looked at while armed.
    pub seen: u64,
    /// Failures that it has injected.
    pub injected: u64,
}

impl FaultKind {
    /// This kind's attribute; none for what fails in a device.
    pub const fn attr(self, root: &Root) -> Option<&FaultAttr> {
        match self {
            Self::FailPageAlloc => Some(&root.control.fail_page_alloc),
            Self::Failslab => Some(&root.control.failslab),
            Self::SwapIo | Self::FileIo => None,
        }
    }
}

/// Reads an injector's counts from a copy of the root page; none for what fails in a device.
pub fn read(root: &Root, kind: FaultKind) -> Injected {
    kind.attr(root)
        .map_or(Injected::default(), |attr| Injected {
            seen: attr.seen.load(Relaxed),
            injected: attr.injected.load(Relaxed),
        })
}

/// The state of an injector's generator, from the run's seed and the kind, so that two injectors do
/// not draw the same numbers.
pub fn seed(kind: FaultKind, seed: u64) -> u64 {
    (seed ^ ((kind as u64 + 1) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// The attribute that arms `spec`, whose `site` is this code. The counts so far are carried over.
/// An injector can look at [`pagelab_abi::fault::MAX_CALL_SITES`] places; more are left out.
pub fn arm(spec: &FaultSpec, code: &[CallSite], run_seed: u64, so_far: Injected) -> FaultAttr {
    let mut attr = FaultAttr::new();
    *attr.probability.get_mut() = spec.probability;
    *attr.interval.get_mut() = spec.interval;
    *attr.times.get_mut() = spec.times;
    *attr.space.get_mut() = spec.space;
    *attr.min_order.get_mut() = spec.min_order;
    *attr.gfp_filter.get_mut() = spec.gfp.bits();
    *attr.nth.get_mut() = spec.nth;
    *attr.then.get_mut() = spec.then;
    attr.cache[..spec.cache.len()].copy_from_slice(spec.cache.as_bytes());
    let caller = &spec.caller;
    *attr.pid.get_mut() = caller.pid.unwrap_or(0);
    *attr.task_filter.get_mut() = caller.task_filter.into();
    attr.comm[..caller.comm.len()].copy_from_slice(caller.comm.as_bytes());
    for (to, site) in attr.require.iter_mut().zip(code) {
        *to = *site;
    }
    *attr.seen.get_mut() = so_far.seen;
    *attr.injected.get_mut() = so_far.injected;
    *attr.rng.get_mut() = seed(spec.kind, run_seed);
    attr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_arrives() {
        let spec: FaultSpec =
            "failslab,nth=7,then=8,probability=5,interval=2,times=3,space=64,gfp=ZERO,cache=kmalloc-8,\
             pid=9,comm=sh,task-filter=1,site=fork"
                .parse()
                .unwrap();
        let code = CallSite { start: 1, end: 2 };
        let mut root = Root::new();
        root.control.failslab = arm(
            &spec,
            &[code],
            1,
            Injected {
                seen: 10,
                injected: 2,
            },
        );
        let attr = FaultKind::Failslab.attr(&root).unwrap();
        assert_eq!(attr.nth.load(Relaxed), 7);
        assert_eq!(attr.then.load(Relaxed), 8);
        assert_eq!(attr.probability.load(Relaxed), 5);
        assert_eq!(attr.interval.load(Relaxed), 2);
        assert_eq!(attr.times.load(Relaxed), 3);
        assert_eq!(attr.space.load(Relaxed), 64);
        assert_eq!(
            attr.gfp_filter.load(Relaxed),
            pagelab_abi::gfp::Gfp::ZERO.bits()
        );
        assert_eq!(&attr.cache[..10], b"kmalloc-8\0");
        assert_eq!(attr.pid.load(Relaxed), 9);
        assert_eq!(attr.task_filter.load(Relaxed), 1);
        assert_eq!(&attr.comm[..3], b"sh\0");
        assert_eq!(attr.require[..2], [code, CallSite::default()]);
        assert_eq!(
            read(&root, FaultKind::Failslab),
            Injected {
                seen: 10,
                injected: 2
            }
        );
        assert_eq!(read(&root, FaultKind::FailPageAlloc), Injected::default());
    }
}
