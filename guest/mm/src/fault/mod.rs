//! Fault injection: when an allocation fails because somebody wants to see it fail
//! (Linux: lib/fault-inject.c, mm/fail_page_alloc.c, mm/failslab.c).
//!
//! A generator in the attribute takes the place of Linux's random numbers, so that a run can be
//! repeated. Its state and the counters are written with plain stores: with several CPUs a
//! candidate may be counted wrongly, but never a failure made out of nothing.

use crate::{Mm, Order, machine::Machine, page_alloc::is_armed};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SIZE, fault::FaultAttr, gfp::Gfp};

/// Decides about a page allocation.
pub(crate) fn should_fail_alloc_page(attr: &FaultAttr, gfp: Gfp, order: Order) -> bool {
    order.get() >= attr.min_order.load(Relaxed)
        && passes_gfp(attr, gfp)
        && should_fail(attr, (PAGE_SIZE as u32) << order.get())
}

/// Whether requests with these flags are candidates. What must not fail never is one.
fn passes_gfp(attr: &FaultAttr, gfp: Gfp) -> bool {
    let filter = Gfp::from_bits_retain(attr.gfp_filter.load(Relaxed));
    !gfp.contains(Gfp::NOFAIL) && gfp.contains(filter)
}

/// Decides about a candidate of `size` bytes (Linux: `should_fail_ex`).
pub fn should_fail(attr: &FaultAttr, size: u32) -> bool {
    attr.seen.store(attr.seen.load(Relaxed) + 1, Relaxed);
    let nth = attr.nth.load(Relaxed);
    if nth != 0 {
        attr.nth.store(nth - 1, Relaxed);
        return nth == 1 && inject(attr);
    }
    let probability = attr.probability.load(Relaxed);
    let times = attr.times.load(Relaxed);
    if probability == 0 || times == 0 {
        return false;
    }
    let space = attr.space.load(Relaxed);
    if i64::from(space) > i64::from(size) {
        attr.space.store(space - size as i32, Relaxed);
        return false;
    }
    let interval = attr.interval.load(Relaxed);
    if interval > 1 {
        let left = match attr.interval_left.load(Relaxed) {
            0 => interval,
            left => left.min(interval),
        };
        attr.interval_left.store(left - 1, Relaxed);
        if left > 1 {
            return false;
        }
    }
    if u64::from(probability) <= random_below(attr, 100) {
        return false;
    }
    inject(attr)
}

/// Counts a failure.
fn inject(attr: &FaultAttr) -> bool {
    let times = attr.times.load(Relaxed);
    if times > 0 {
        attr.times.store(times - 1, Relaxed);
    }
    attr.injected
        .store(attr.injected.load(Relaxed) + 1, Relaxed);
    true
}

/// The next number below `limit`, by SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom
/// number generators, OOPSLA 2014).
fn random_below(attr: &FaultAttr, limit: u64) -> u64 {
    let state = attr.rng.load(Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    attr.rng.store(state, Relaxed);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    ((z >> 32) * limit) >> 32
}

/// A cache name as it stands in an attribute, without the padding.
fn cache_filter(attr: &FaultAttr) -> &[u8] {
    let len = attr
        .cache
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(attr.cache.len());
    &attr.cache[..len]
}

impl<M: Machine + 'static> Mm<M> {
    /// True if a slab allocation from this cache has to fail by injection (`failslab`). `size` is
    /// the object's, in bytes. Costs a load as long as nothing is armed.
    #[inline]
    pub fn should_failslab(&self, cache: &str, gfp: Gfp, size: u32) -> bool {
        let attr = &self.machine.control().failslab;
        is_armed(attr) && failslab(attr, cache, gfp, size)
    }
}

/// Decides about a slab allocation while the attribute is armed.
#[cold]
fn failslab(attr: &FaultAttr, cache: &str, gfp: Gfp, size: u32) -> bool {
    let filter = cache_filter(attr);
    (filter.is_empty() || filter == cache.as_bytes())
        && passes_gfp(attr, gfp)
        && should_fail(attr, size)
}

#[cfg(test)]
mod tests;
