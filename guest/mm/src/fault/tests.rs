use super::{failslab, is_armed, should_fail_alloc_page, should_fail_candidate};
use crate::{Order, machine::Machine, testing::TestMachine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    fault::{CallSite, FaultAttr},
    gfp::Gfp,
};
use std::vec::Vec;

/// Which of `count` candidates of a page each fail.
fn failures(attr: &FaultAttr, count: usize) -> Vec<usize> {
    (1..=count)
        .filter(|_| should_fail_candidate(attr, 4096))
        .collect()
}

#[test]
fn nothing_fails_unless_armed() {
    assert_eq!(failures(&FaultAttr::new(), 100), []);
}

#[test]
fn nth_fails_once_and_beats_the_other_knobs() {
    let attr = FaultAttr::new();
    attr.nth.store(3, Relaxed);
    attr.times.store(0, Relaxed);
    assert_eq!(failures(&attr, 10), [3]);
    assert_eq!(attr.nth.load(Relaxed), 0);
    assert_eq!(
        (attr.seen.load(Relaxed), attr.injected.load(Relaxed)),
        (10, 1)
    );
}

#[test]
fn a_second_one_is_counted_from_the_first() {
    let attr = FaultAttr::new();
    attr.nth.store(3, Relaxed);
    attr.then.store(4, Relaxed);
    assert_eq!(failures(&attr, 20), [3, 7]);
    assert_eq!(attr.injected.load(Relaxed), 2);
}

#[test]
fn each_candidate_is_shown_and_none_but_candidates() {
    let machine = machine();
    let control = machine.control();
    control.failslab.observe.store(1, Relaxed);
    control.failslab.nth.store(u64::MAX, Relaxed);
    control.failslab.pid.store(7, Relaxed);
    let ask = || failslab(&machine, "vm_area_struct", Gfp::KERNEL, 64);
    assert!(!ask());
    assert_eq!(machine.candidates(), 0);
    control.caller.pid.store(7, Relaxed);
    assert!(!ask());
    assert!(!ask());
    assert_eq!(machine.candidates(), 2);
    let candidate = &control.candidate;
    assert_eq!(candidate.size.load(Relaxed), 64);
    assert_eq!(candidate.gfp.load(Relaxed), Gfp::KERNEL.bits());
    let name = candidate.cache.each_ref().map(|byte| byte.load(Relaxed));
    assert_eq!(&name[..15], b"vm_area_struct\0");
}

#[test]
fn interval_and_times() {
    let attr = FaultAttr::new();
    attr.probability.store(100, Relaxed);
    attr.interval.store(4, Relaxed);
    attr.times.store(2, Relaxed);
    assert_eq!(failures(&attr, 20), [4, 8]);
    assert_eq!(attr.times.load(Relaxed), 0);
}

#[test]
fn space_is_used_up_first() {
    let attr = FaultAttr::new();
    attr.probability.store(100, Relaxed);
    attr.space.store(3 * 4096 + 1, Relaxed);
    assert_eq!(failures(&attr, 5), [4, 5]);
}

#[test]
fn probability_is_a_share_and_the_seed_decides_which() {
    let run = |seed| {
        let attr = FaultAttr::new();
        attr.probability.store(10, Relaxed);
        attr.rng.store(seed, Relaxed);
        failures(&attr, 10_000)
    };
    let first = run(1);
    assert!((900..1100).contains(&first.len()), "{}", first.len());
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}

/// A machine without a memory manager: an injector needs none.
fn machine() -> TestMachine {
    TestMachine::new(1 << 20, 1 << 20)
}

/// Asks about a page.
fn asks(machine: &TestMachine) -> bool {
    should_fail_alloc_page(machine, Gfp::KERNEL, Order::ZERO)
}

#[test]
fn filters_decide_who_is_a_candidate() {
    let machine = machine();
    let attr = &machine.control().fail_page_alloc;
    attr.probability.store(100, Relaxed);
    attr.min_order.store(2, Relaxed);
    attr.gfp_filter
        .store((Gfp::HIGHMEM | Gfp::MOVABLE).bits(), Relaxed);
    let ask = |gfp, order| should_fail_alloc_page(&machine, gfp, Order::new(order).unwrap());
    assert!(!ask(Gfp::HIGHUSER_MOVABLE, 1));
    assert!(!ask(Gfp::HIGHUSER, 2));
    assert_eq!(attr.seen.load(Relaxed), 0);
    assert!(ask(Gfp::HIGHUSER_MOVABLE, 2));
    assert!(!ask(Gfp::HIGHUSER_MOVABLE | Gfp::NOFAIL, 2));
    assert_eq!(attr.seen.load(Relaxed), 1);
}

#[test]
fn failslab_looks_at_the_cache() {
    let mut machine = machine();
    let fails = |machine: &TestMachine, cache, size| failslab(machine, cache, Gfp::KERNEL, size);
    machine.control().failslab.probability.store(100, Relaxed);
    assert!(fails(&machine, "vm_area_struct", 64));
    machine.control_mut().failslab.cache[..9].copy_from_slice(b"kmalloc-8");
    assert!(!fails(&machine, "vm_area_struct", 64));
    assert!(!fails(&machine, "kmalloc-80", 64));
    assert!(fails(&machine, "kmalloc-8", 8));
}

#[test]
fn only_calls_from_the_code_asked_for_are_candidates() {
    let mut machine = machine();
    let site = |start, end| CallSite { start, end };
    let attr = &mut machine.control_mut().fail_page_alloc;
    attr.nth = 2.into();
    attr.require[..2].copy_from_slice(&[site(0x1000, 0x1010), site(0x3000, 0x3001)]);
    let from = |address| {
        machine.set_caller(address);
        asks(&machine)
    };
    let fails = [0xfff, 0x1000, 0x1010, 0x3001, 0x3000, 0x3000].map(from);
    assert_eq!(fails, [false, false, false, false, true, false]);
    assert_eq!(machine.control().fail_page_alloc.seen.load(Relaxed), 3);
}

#[test]
fn only_processes_asked_for_are_candidates() {
    let mut machine = machine();
    let attr = &mut machine.control_mut().fail_page_alloc;
    attr.probability = 100.into();
    attr.comm[..2].copy_from_slice(b"sh");
    attr.pid = 7.into();
    attr.task_filter = 1.into();
    let caller = &machine.control().caller;
    let name = |name: &[u8]| {
        for (byte, letter) in caller.comm.iter().zip(name.iter().chain(&[0; 16])) {
            byte.store(*letter, Relaxed);
        }
    };
    assert!(!asks(&machine), "the kernel itself is no process");
    name(b"sh");
    caller.pid.store(7, Relaxed);
    assert!(!asks(&machine), "make-it-fail is 0");
    caller.make_it_fail.store(1, Relaxed);
    assert!(asks(&machine));
    name(b"shell");
    assert!(!asks(&machine));
    name(b"sh");
    caller.pid.store(8, Relaxed);
    assert!(!asks(&machine));
}

#[test]
fn a_process_counts_its_own_allocations_of_all_kinds() {
    let machine = machine();
    let control = machine.control();
    assert!(!is_armed(control, &control.failslab));
    // What the host has armed meanwhile does not count.
    control.fail_page_alloc.nth.store(1, Relaxed);
    control.caller.fail_nth.store(3, Relaxed);
    assert!(is_armed(control, &control.failslab));
    assert!(!asks(&machine));
    assert!(!failslab(&machine, "vm_area_struct", Gfp::KERNEL, 64));
    assert!(asks(&machine));
    assert_eq!(control.caller.fail_nth.load(Relaxed), 0);
    assert_eq!(control.fail_page_alloc.nth.load(Relaxed), 1);
    assert!(asks(&machine));
    assert!(!is_armed(control, &control.failslab));
}
