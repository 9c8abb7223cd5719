//! Pages that have not been used become free memory (Linux: `shrink_inactive_list`,
//! `shrink_folio_list`).

use super::{RECLAIM_LIST, Reclaimer, ScanControl, is_anon_list, pageout::Outcome};
use crate::{
    Mm, Pfn,
    lru::{Isolated, LruScan},
    machine::Machine,
    swap::SwapWrites,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    event::EventKind,
    page::PageFlags,
    vmstat::{NodeStat, VmEvent},
};

/// What became of some pages.
#[derive(Clone, Copy, Debug, Default)]
struct Shrunk {
    /// Freed.
    reclaimed: u64,
    /// Back in their list, or in the active one.
    kept: u64,
}

impl<M: Machine + 'static> Mm<M> {
    /// Looks at the oldest pages of an inactive list, and frees those that were not used.
    pub(super) fn shrink_inactive_list(&self, scan: &LruScan, sc: &mut ScanControl) {
        let (pages, looked_at) = self.lru_isolate(scan);
        if looked_at == 0 {
            return;
        }
        let anon = is_anon_list(scan.list);
        let (scanned, stolen) = if anon {
            (VmEvent::PgscanAnon, VmEvent::PgstealAnon)
        } else {
            (VmEvent::PgscanFile, VmEvent::PgstealFile)
        };
        self.count_event(sc.who.scanned(), looked_at);
        self.count_event(scanned, looked_at);
        let shrunk = self.shrink_page_list(pages, false);
        self.count_event(sc.who.stolen(), shrunk.reclaimed);
        self.count_event(stolen, shrunk.reclaimed);
        self.count_group_scan(scan.group, looked_at, shrunk.reclaimed);
        // A page that went to swap was written, and one that stays was looked at for nothing.
        let lruvec = &self.state.lruvecs[scan.group % self.state.lruvecs.len()];
        let written = if anon { shrunk.reclaimed } else { 0 };
        self.note_cost(lruvec, anon, written + shrunk.kept);
        sc.reclaimed += shrunk.reclaimed;
        self.machine.event(
            EventKind::Reclaim,
            RECLAIM_LIST | scan.list as u64,
            shrunk.reclaimed,
        );
    }

    /// Frees pages at the wish of the program that has them, used or not (Linux: `reclaim_pages`).
    pub(crate) fn reclaim_pages(&self, pages: Isolated) {
        let shrunk = self.shrink_page_list(pages, true);
        self.count_event(Reclaimer::Direct.stolen(), shrunk.reclaimed);
    }

    /// Frees pages that can be freed, and puts the others back. Those that go to swap are written together.
    fn shrink_page_list(&self, mut pages: Isolated, even_used: bool) -> Shrunk {
        let stat = pages.stat();
        let mut shrunk = Shrunk::default();
        let mut writes = SwapWrites::new();
        while let Some(pfn) = pages.pop() {
            let outcome = self.pageout(pfn, even_used, &mut writes);
            self.settle(pfn, outcome, stat, &mut shrunk);
        }
        self.swap_write(&mut writes);
        for (pfn, written) in writes.iter() {
            let outcome = self.after_write(pfn, written);
            self.settle(pfn, outcome, stat, &mut shrunk);
        }
        shrunk
    }

    /// Does with an isolated page what was found to be right.
    fn settle(&self, pfn: Pfn, outcome: Outcome, stat: NodeStat, shrunk: &mut Shrunk) {
        let flags = &self.map.page(pfn.0).flags;
        match outcome {
            Outcome::Writing => return,
            Outcome::Freed => {
                self.lru_free_isolated(pfn, stat);
                shrunk.reclaimed += 1;
                return;
            }
            Outcome::Keep => {}
            Outcome::Activate => {
                flags.fetch_or(PageFlags::ACTIVE.bits(), Relaxed);
                self.count_event(VmEvent::Pgactivate, 1);
            }
            Outcome::Unevictable => self.mark_unevictable(pfn),
        }
        shrunk.kept += 1;
        self.lru_putback(pfn, stat);
    }
}
