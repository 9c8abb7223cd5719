//! Workloads: what the kernel does once it is up. `pagelab_abi::workload::WORKLOADS` describes
//! them.
//!
//! * [`mix`]: the steps of most of them; [`pages`] and [`objects`]: what a step can allocate.
//! * [`mod@storm`]: memory filled to the brim. [`mod@swap`]: the swap device; [`swapping`]: its slots. [`fatal`]: ways to die.
//! * [`content`]: patterns that are written and verified. [`rng`]: the seed's randomness.

mod content;
mod fatal;
mod lru;
mod mix;
mod objects;
mod pages;
pub(crate) mod rng;
mod storm;
mod swap;
mod swapping;

use crate::{
    cmdline::Cmdline,
    doorbell,
    drivers::balloon,
    memory::Memory,
    root::{self, progress},
    safe_point,
};
use core::sync::atomic::Ordering::Relaxed;
use mix::{Mix, Recipe};
use pagelab_abi::{
    event::EventKind,
    platform::Doorbell,
    program,
    vmstat::{NodeStat, VmEvent},
    workload::Phase,
};
use pagelab_mm::machine::Machine;
use rng::Rng;

/// Steps of the first phase.
const WORKLOAD_STEPS: u32 = 2500;

/// Steps of the phase with failures.
const FAULT_STEPS: u32 = 1200;

/// Steps after which the phase with pressure ends, whatever the host says.
const MAX_PRESSURE_STEPS: u32 = 200_000;

/// The workload does not exist.
pub(crate) struct Unknown;

/// Runs a workload. False if something that it checks did not hold.
pub(crate) fn run(mm: &'static Memory, cmdline: &Cmdline<'_>) -> Result<bool, Unknown> {
    let seed = cmdline.seed;
    let recipe = match cmdline.workload {
        program::WORKLOAD => return Ok(crate::program::run(mm, cmdline)),
        "none" => return Ok(true),
        "default" => [6, 4, 5, 5],
        "buddy" => [1, 0, 0, 0],
        "highmem" => [0, 1, 0, 0],
        "slab" => [0, 0, 1, 0],
        "kmalloc" => [0, 0, 0, 1],
        "storm" => return Ok(storm(mm, seed, storm::any)),
        "oom" => return Ok(storm(mm, seed, storm::everything)),
        "swap" => return Ok(swap_device(mm, seed, swap::run)),
        "swapping" => return Ok(swap_device(mm, seed, swapping::run)),
        "access" => {
            progress().phase.store(Phase::Workload as u32, Relaxed);
            return Ok(crate::access::run(mm, seed));
        }
        "spin" => fatal::spin(),
        "triple-fault" => fatal::triple_fault(),
        "panic" => panic!("asked for by the command line"),
        "bad-opcode" => fatal::bad_opcode(),
        "stack-overflow" => fatal::stack_overflow(),
        "double-free" => fatal::double_free(mm),
        _ => return Err(Unknown),
    };
    let [pages, high, slab, kmalloc] = recipe;
    let recipe = Recipe {
        pages,
        high,
        slab,
        kmalloc,
    };
    Ok(phases(mm, recipe, seed))
}

/// The phases of the default scenario. A frame of its own, as it is a large one.
#[inline(never)]
fn phases(mm: &'static Memory, recipe: Recipe, seed: u64) -> bool {
    let start = Inventory::of(mm);
    let mut mix = Mix::new(mm, recipe, seed);
    begin(mm, Phase::Workload);
    mix::create_caches();
    if mm.register_shrinker(&lru::SHRINKER).is_err() {
        log::warn!("no room for the workload's shrinker");
    }
    steps(&mut mix, WORKLOAD_STEPS);
    begin(mm, Phase::Pressure);
    if doorbell::is_connected() {
        steps_while_told(&mut mix);
    } else {
        steps_until_deflated(mm, &mut mix);
    }
    begin(mm, Phase::Faults);
    steps(&mut mix, FAULT_STEPS);
    begin(mm, Phase::Teardown);
    mix.free_all();
    let clean = mix::destroy_caches();
    finish(mm, &start) && clean
}

/// Memory filled to the brim: the first phase only.
#[inline(never)]
fn storm(mm: &'static Memory, seed: u64, gfp: fn(&mut Rng) -> pagelab_abi::gfp::Gfp) -> bool {
    let start = Inventory::of(mm);
    begin(mm, Phase::Workload);
    storm::run(mm, &mut Rng::new(seed), gfp);
    begin(mm, Phase::Teardown);
    finish(mm, &start)
}

/// The swap device, without a memory manager above it or with: the first phase only.
fn swap_device(mm: &'static Memory, seed: u64, run: fn(&Memory, &mut Rng) -> bool) -> bool {
    let start = Inventory::of(mm);
    begin(mm, Phase::Workload);
    let held = run(mm, &mut Rng::new(seed));
    begin(mm, Phase::Teardown);
    finish(mm, &start) && held
}

fn steps(mix: &mut Mix, count: u32) {
    for _ in 0..count {
        mix.step();
        safe_point::pass();
    }
}

/// Steps for as long as the host says that pressure goes on.
fn steps_while_told(mix: &mut Mix) {
    let pressure = &root::control().pressure_active;
    for _ in 0..MAX_PRESSURE_STEPS {
        if pressure.load(Relaxed) == 0 {
            break;
        }
        steps(mix, 1);
    }
}

/// Steps until the balloon has been inflated, be it before this phase, and deflated again, if the command line
/// announced that: a host without a doorbell has no other way to say so.
fn steps_until_deflated(mm: &Memory, mix: &mut Mix) {
    let pressure = &root::control().pressure_active;
    while pressure.load(Relaxed) != 0 {
        steps(mix, 1);
        if balloon::held_pages() == 0 && mm.event_count(VmEvent::BalloonInflate) > 0 {
            pressure.store(0, Relaxed);
        }
    }
}

/// Enters a phase and lets the host look.
fn begin(mm: &Memory, phase: Phase) {
    progress().phase.store(phase as u32, Relaxed);
    mm.machine().event(EventKind::Phase, phase as u64, 0);
    doorbell::ring(Doorbell::Phase);
    safe_point::pass();
}

/// What is not the workload's, once all lists and caches are drained.
#[derive(Debug, PartialEq, Eq)]
struct Inventory {
    /// Pages that are free, with the host, or in slabs: the allocator's own slabs stay.
    pages: u64,
    /// Objects that kmalloc handed out.
    objects: u64,
}

impl Inventory {
    fn of(mm: &Memory) -> Self {
        let pages = accounted_pages(mm);
        let slab = crate::memory::slab();
        let mut objects = 0;
        let mut newer = None;
        while let Some(info) = slab.info_of_next(newer) {
            if info.name.starts_with("kmalloc-") {
                objects += info.active_objs;
            }
            newer = Some(info.index);
        }
        Self { pages, objects }
    }
}

/// Pages that are free, with the host, out of service, or in slabs, once all lists and caches are drained.
pub(crate) fn accounted_pages(mm: &Memory) -> u64 {
    crate::memory::slab().shrink_all(u64::MAX);
    mm.drain_local_pages();
    let slabs = mm.node_stat(NodeStat::SlabReclaimable) + mm.node_stat(NodeStat::SlabUnreclaimable);
    mm.free_pages_total() + mm.balloon_pages() + mm.hwpoison_pages() + slabs.max(0) as u64
}

/// Compares with what there was before. False if pages are missing or content was wrong.
fn finish(mm: &Memory, start: &Inventory) -> bool {
    let end = Inventory::of(mm);
    if end != *start {
        log::error!("leak: {start:?} at the start, {end:?} at the end");
    }
    let mismatches = progress().mismatches.load(Relaxed);
    if mismatches > 0 {
        log::error!("{mismatches} checks failed");
    }
    end == *start && mismatches == 0
}
