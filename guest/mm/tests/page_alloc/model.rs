//! The naive model: which frames are whose.

use crate::step::Step;
use pagelab_abi::{PAGE_SIZE, control::Control, gfp::Gfp, page::PageFlags, zone::ZoneKind};
use pagelab_mm::{
    AllocError, Mm, Order, Pfn,
    machine::Machine,
    testing::{TestMachine, violations, with_cpu},
    validate::Census,
};
use proptest::{prelude::*, test_runner::TestCaseError};
use std::{collections::BTreeMap, ops::Range, sync::atomic::Ordering::Relaxed};

/// A block that the test has.
#[derive(Clone, Copy)]
struct Held {
    pfn: Pfn,
    order: Order,
    compound: bool,
}

/// Frames that are managed, and what was taken of them.
pub(crate) struct Model {
    /// Start and end of each range of frames that were free after boot.
    managed: Vec<Range<u32>>,
    /// Start and end of each block that was taken: allocated or in the balloon.
    taken: BTreeMap<u32, u32>,
    held: Vec<Held>,
    balloon: Vec<Held>,
    /// Page allocations until one fails by injection; 0 is never.
    fail_nth: u64,
}

impl Model {
    /// What the machine says after boot: all RAM but what is reserved.
    pub(crate) fn new(mm: &Mm<TestMachine>) -> Self {
        let state = mm.state();
        let frames = |address: u64| (address / PAGE_SIZE) as u32;
        let mut managed = Vec::new();
        for memory in state.memory.as_slice() {
            let mut start = frames(memory.base);
            for taken in state.memory_reserved.as_slice() {
                if start < frames(taken.base) {
                    managed.push(start..frames(taken.base).min(frames(memory.end())));
                }
                start = start.max(frames(taken.end()));
            }
            if start < frames(memory.end()) {
                managed.push(start..frames(memory.end()));
            }
        }
        Self {
            managed,
            taken: BTreeMap::new(),
            held: Vec::new(),
            balloon: Vec::new(),
            fail_nth: 0,
        }
    }

    /// Does a step on both sides.
    pub(crate) fn run(&mut self, mm: &Mm<TestMachine>, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Alloc { cpu, gfp, order } => self.alloc(mm, cpu, gfp, order)?,
            Step::Free { cpu, pick } => {
                if let Some(held) = pick_from(&mut self.held, pick) {
                    with_cpu(cpu, || mm.free_pages(held.pfn, held.order));
                    self.taken.remove(&held.pfn.0);
                }
            }
            Step::Split { pick } => self.split(mm, pick),
            Step::Drain { cpu } => {
                with_cpu(cpu, || mm.drain_local_pages());
            }
            Step::DrainAll => {
                mm.drain_all_pages();
            }
            Step::Inflate { max } => {
                let max = Order::new(max).expect("an order");
                self.fail_nth = 0;
                control(mm).fail_page_alloc.nth.store(0, Relaxed);
                if let Ok((pfn, order)) = mm.balloon_inflate(max) {
                    prop_assert!(order <= max);
                    self.take(pfn, order)?;
                    self.balloon.push(Held {
                        pfn,
                        order,
                        compound: false,
                    });
                }
            }
            Step::Deflate { pick } => {
                if let Some(held) = pick_from(&mut self.balloon, pick) {
                    mm.balloon_deflate(held.pfn, held.order);
                    self.taken.remove(&held.pfn.0);
                }
            }
            Step::Report { count, reported } => self.report(mm, count, reported)?,
            Step::Fail { nth } => {
                control(mm).fail_page_alloc.nth.store(nth, Relaxed);
                self.fail_nth = nth;
            }
        }
        Ok(())
    }

    fn alloc(
        &mut self,
        mm: &Mm<TestMachine>,
        cpu: usize,
        gfp: Gfp,
        order: u32,
    ) -> Result<(), TestCaseError> {
        let order = Order::new(order).expect("an order");
        let must_fail = self.fail_nth == 1;
        self.fail_nth = self.fail_nth.saturating_sub(1);
        let result = with_cpu(cpu, || mm.alloc_pages(gfp, order));
        prop_assert_eq!(result == Err(AllocError::Injected), must_fail);
        let Ok(pfn) = result else {
            return Ok(());
        };
        self.take(pfn, order)?;
        check_zone(mm, pfn, order, gfp)?;
        if gfp.contains(Gfp::ZERO) {
            for frame in pfn.0..pfn.0 + order.pages() {
                prop_assert!(is_zero(mm, frame), "frame {:#x} is not zeroed", frame);
            }
        }
        // Whoever has a frame writes to it.
        for frame in pfn.0..pfn.0 + order.pages() {
            dirty(mm, frame);
        }
        let compound = gfp.contains(Gfp::COMP) && order > Order::ZERO;
        if compound {
            let last = pfn.add(order.pages() - 1);
            prop_assert_eq!(mm.compound_head(last), pfn);
        }
        self.held.push(Held {
            pfn,
            order,
            compound,
        });
        Ok(())
    }

    fn split(&mut self, mm: &Mm<TestMachine>, pick: usize) {
        let Some(held) = pick_from(&mut self.held, pick) else {
            return;
        };
        let Some(half) = held.order.get().checked_sub(1).and_then(Order::new) else {
            return self.held.push(held);
        };
        if held.compound {
            return self.held.push(held);
        }
        mm.split_page(held.pfn, held.order);
        let upper = held.pfn.add(half.pages());
        self.taken.insert(held.pfn.0, upper.0);
        self.taken.insert(upper.0, upper.0 + half.pages());
        for pfn in [held.pfn, upper] {
            self.held.push(Held {
                pfn,
                order: half,
                compound: false,
            });
        }
    }

    fn report(
        &mut self,
        mm: &Mm<TestMachine>,
        count: usize,
        reported: bool,
    ) -> Result<(), TestCaseError> {
        let mut blocks = vec![(Pfn(0), Order::ZERO); count];
        let got = mm.report_isolate(Order::PAGEBLOCK, &mut blocks);
        for &(pfn, order) in &blocks[..got] {
            prop_assert!(order >= Order::PAGEBLOCK);
            self.take(pfn, order)?;
        }
        prop_assert_eq!(violations(mm), vec![]);
        mm.report_putback(&blocks[..got], reported);
        for (pfn, _) in &blocks[..got] {
            self.taken.remove(&pfn.0);
        }
        Ok(())
    }

    /// A block must be free, aligned and managed, and is taken now.
    fn take(&mut self, pfn: Pfn, order: Order) -> Result<(), TestCaseError> {
        let (start, end) = (pfn.0, pfn.0 + order.pages());
        prop_assert!(start % order.pages() == 0, "{start:#x} for order {order}");
        prop_assert!(
            self.managed
                .iter()
                .any(|m| m.start <= start && end <= m.end),
            "{start:#x}..{end:#x} was never given to the allocator"
        );
        let before = self.taken.range(..end).next_back();
        prop_assert!(
            before.is_none_or(|(_, &taken_end)| taken_end <= start),
            "{start:#x}..{end:#x} is taken already: {before:x?}"
        );
        self.taken.insert(start, end);
        Ok(())
    }

    /// The oracle is content, and as much is free as the model says.
    pub(crate) fn check(&self, mm: &Mm<TestMachine>) -> Result<(), TestCaseError> {
        let mut found = Vec::new();
        let census = mm.validate(&mut |violation| found.push(violation));
        prop_assert_eq!(found, vec![]);
        let sum = |of: fn(&Census) -> u64| census.iter().map(of).sum::<u64>();
        let pages = |blocks: &[Held]| -> u64 {
            blocks
                .iter()
                .map(|held| u64::from(held.order.pages()))
                .sum()
        };
        prop_assert_eq!(sum(|zone| zone.allocated), pages(&self.held));
        prop_assert_eq!(sum(|zone| zone.balloon), pages(&self.balloon));
        let managed: u64 = self
            .managed
            .iter()
            .map(|m| u64::from(m.end - m.start))
            .sum();
        let taken: u64 = self
            .taken
            .iter()
            .map(|(start, end)| u64::from(end - start))
            .sum();
        prop_assert_eq!(sum(|zone| zone.free + zone.pcp), managed - taken);
        for held in &self.held {
            let block = mm
                .block_of(held.pfn.add(held.order.pages() - 1))
                .expect("a block");
            prop_assert_eq!(block.head, held.pfn);
            prop_assert!(block.flags.contains(PageFlags::ALLOCATED));
        }
        Ok(())
    }

    /// Frees everything.
    pub(crate) fn give_back_all(&mut self, mm: &Mm<TestMachine>) {
        for held in self.held.drain(..) {
            mm.free_pages(held.pfn, held.order);
        }
        for held in self.balloon.drain(..) {
            mm.balloon_deflate(held.pfn, held.order);
        }
        self.taken.clear();
        for cpu in 0..2 {
            with_cpu(cpu, || mm.drain_local_pages());
        }
    }

    /// With everything free, each zone's free lists hold the largest blocks that the managed
    /// ranges allow, and no others.
    pub(crate) fn check_nothing_is_missing(
        &self,
        mm: &Mm<TestMachine>,
    ) -> Result<(), TestCaseError> {
        for zone in mm.zones() {
            let zone_end = zone.start_pfn + zone.spanned;
            let mut want = [0u32; 11];
            for range in &self.managed {
                let mut pfn = range.start.max(zone.start_pfn);
                let end = range.end.min(zone_end);
                while pfn < end {
                    let order = pfn.trailing_zeros().min((end - pfn).ilog2()).min(10);
                    want[order as usize] += 1;
                    pfn += 1 << order;
                }
            }
            let have: Vec<u32> = zone
                .free_area
                .iter()
                .map(|area| area.free_list.iter().map(|l| l.count.load(Relaxed)).sum())
                .collect();
            prop_assert_eq!(&have[..], &want[..]);
        }
        Ok(())
    }
}

fn pick_from(blocks: &mut Vec<Held>, pick: usize) -> Option<Held> {
    (!blocks.is_empty()).then(|| blocks.swap_remove(pick % blocks.len()))
}

/// The block lies in one zone, and the flags allow that zone.
fn check_zone(mm: &Mm<TestMachine>, pfn: Pfn, order: Order, gfp: Gfp) -> Result<(), TestCaseError> {
    let zone = mm
        .zones()
        .iter()
        .find(|zone| {
            zone.start_pfn <= pfn.0 && pfn.0 + order.pages() <= zone.start_pfn + zone.spanned
        })
        .expect("one zone has the whole block");
    let kind = ZoneKind::from_u32(zone.kind).expect("a kind");
    let high = gfp.contains(Gfp::HIGHMEM);
    let allowed = match kind {
        ZoneKind::Dma => true,
        _ if gfp.contains(Gfp::DMA) => false,
        ZoneKind::Dma32 => true,
        ZoneKind::Normal => !gfp.contains(Gfp::DMA32) || !has_dma32(mm),
        ZoneKind::HighMem => high,
        ZoneKind::Movable => high && gfp.contains(Gfp::MOVABLE),
    };
    prop_assert!(allowed, "{gfp:?} got a frame of {}", kind.name());
    Ok(())
}

fn has_dma32(mm: &Mm<TestMachine>) -> bool {
    mm.zones()
        .iter()
        .any(|zone| zone.kind == ZoneKind::Dma32 as u32)
}

/// What the host would write.
fn control(mm: &Mm<TestMachine>) -> &Control {
    mm.machine().control()
}

/// Whether all of a frame is zero.
fn is_zero(mm: &Mm<TestMachine>, pfn: u32) -> bool {
    let frame = mm.machine().frame(pfn).expect("RAM").cast::<u64>();
    // SAFETY: the frame is the test's, whole and aligned.
    unsafe { std::slice::from_raw_parts(frame.as_ptr(), 512) }
        .iter()
        .all(|&word| word == 0)
}

/// Writes to a frame.
fn dirty(mm: &Mm<TestMachine>, pfn: u32) {
    let frame = mm.machine().frame(pfn).expect("RAM");
    // SAFETY: the frame is the test's, whole.
    unsafe { frame.write_bytes(0x5a, PAGE_SIZE as usize) };
}
