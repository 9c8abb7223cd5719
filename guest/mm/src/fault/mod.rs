//! Fault injection: when an allocation fails because somebody wants to see it fail
//! (Linux: lib/fault-inject.c, mm/fail_page_alloc.c, mm/failslab.c).
//!
//! A generator in the attribute takes the place of Linux's random numbers, so that a run can be
//! repeated. Its state and the counters are written with plain stores: with several CPUs a
//! candidate may be counted wrongly, but never a failure made out of nothing.

use crate::{Mm, Order, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SIZE,
    control::Control,
    fault::{CallSite, FaultAttr, FaultCaller},
    gfp::Gfp,
};

/// Whether an injector has to be asked.
#[inline(always)]
pub(crate) fn is_armed(control: &Control, attr: &FaultAttr) -> bool {
    let host = u64::from(attr.probability.load(Relaxed)) | attr.nth.load(Relaxed);
    host | u64::from(control.caller.fail_nth.load(Relaxed)) != 0
}

/// Decides about a page allocation.
pub(crate) fn should_fail_alloc_page<M: Machine>(machine: &M, gfp: Gfp, order: Order) -> bool {
    let attr = &machine.control().fail_page_alloc;
    order.get() >= attr.min_order.load(Relaxed)
        && passes_gfp(attr, gfp)
        && should_fail(
            machine,
            attr,
            &Request {
                gfp,
                size: (PAGE_SIZE as u32) << order.get(),
                cache: "",
            },
        )
}

/// A request that passes the filters on what is asked for.
struct Request<'a> {
    gfp: Gfp,
    /// Bytes.
    size: u32,
    /// The slab cache, or nothing.
    cache: &'a str,
}

/// Whether requests with these flags are candidates. What must not fail never is one.
fn passes_gfp(attr: &FaultAttr, gfp: Gfp) -> bool {
    let filter = Gfp::from_bits_retain(attr.gfp_filter.load(Relaxed));
    !gfp.contains(Gfp::NOFAIL) && gfp.contains(filter)
}

/// Whether one of the callers is in the code that the attribute asks for (Linux:
/// `fail_stacktrace`).
fn passes_stacktrace<M: Machine>(machine: &M, attr: &FaultAttr) -> bool {
    let is_used = |site: &&CallSite| site.start < site.end;
    let used = attr.require.iter().take_while(is_used).count();
    used == 0 || machine.is_called_from(&attr.require[..used])
}

/// Whether allocations on behalf of this process are candidates (Linux: `fail_task`).
fn passes_task(attr: &FaultAttr, caller: &FaultCaller) -> bool {
    let pid = attr.pid.load(Relaxed);
    let comm = || caller.comm.iter().map(|byte| byte.load(Relaxed));
    (pid == 0 || pid == caller.pid.load(Relaxed))
        && (attr.comm[0] == 0 || comm().eq(attr.comm))
        && (attr.task_filter.load(Relaxed) == 0 || caller.make_it_fail.load(Relaxed) != 0)
}

/// Decides about a request (Linux: `should_fail_ex`).
fn should_fail<M: Machine>(machine: &M, attr: &FaultAttr, request: &Request<'_>) -> bool {
    if !passes_stacktrace(machine, attr) {
        return false;
    }
    let caller = &machine.control().caller;
    match caller.fail_nth.load(Relaxed) {
        0 if !passes_task(attr, caller) => false,
        0 => {
            if attr.observe.load(Relaxed) != 0 {
                show(machine, request);
            }
            should_fail_candidate(attr, request.size)
        }
        // As in Linux, a process that counts its own allocations is subject to nothing else.
        nth => {
            attr.seen.store(attr.seen.load(Relaxed) + 1, Relaxed);
            caller.fail_nth.store(nth - 1, Relaxed);
            nth == 1 && inject(attr)
        }
    }
}

/// Describes a candidate to the host.
fn show<M: Machine>(machine: &M, request: &Request<'_>) {
    let candidate = &machine.control().candidate;
    candidate.gfp.store(request.gfp.bits(), Relaxed);
    candidate.size.store(request.size, Relaxed);
    let name = request.cache.bytes().chain(core::iter::repeat(0));
    for (byte, letter) in candidate.cache.iter().zip(name) {
        byte.store(letter, Relaxed);
    }
    machine.candidate();
}

/// Decides about a candidate of `size` bytes.
fn should_fail_candidate(attr: &FaultAttr, size: u32) -> bool {
    attr.seen.store(attr.seen.load(Relaxed) + 1, Relaxed);
    let nth = attr.nth.load(Relaxed);
    if nth != 0 {
        if nth > 1 {
            attr.nth.store(nth - 1, Relaxed);
            return false;
        }
        attr.nth.store(attr.then.load(Relaxed), Relaxed);
        attr.then.store(0, Relaxed);
        return inject(attr);
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
    /// the object's, in bytes. Costs two loads as long as nothing is armed.
    #[inline]
    pub fn should_failslab(&self, cache: &str, gfp: Gfp, size: u32) -> bool {
        let control = self.machine.control();
        is_armed(control, &control.failslab) && failslab(&self.machine, cache, gfp, size)
    }
}

/// Decides about a slab allocation while the attribute is armed.
#[cold]
fn failslab<M: Machine>(machine: &M, cache: &str, gfp: Gfp, size: u32) -> bool {
    let attr = &machine.control().failslab;
    let filter = cache_filter(attr);
    (filter.is_empty() || filter == cache.as_bytes())
        && passes_gfp(attr, gfp)
        && should_fail(machine, attr, &Request { gfp, size, cache })
}

#[cfg(test)]
mod tests;
