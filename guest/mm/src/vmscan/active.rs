//! Pages that are no longer in use go from active lists to inactive ones (Linux:
//! `shrink_active_list`).

use super::is_anon_list;
use crate::{Mm, lru::LruScan, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{page::PageFlags, vma::VmFlags, vmstat::VmEvent};

impl<M: Machine + 'static> Mm<M> {
    /// Moves the oldest pages of an active list to the inactive one. Code that was used stays.
    pub(super) fn shrink_active_list(&self, scan: &LruScan) {
        let (mut pages, looked_at) = self.lru_isolate(scan);
        let stat = pages.stat();
        let (mut moved, mut kept) = (0, 0);
        while let Some(pfn) = pages.pop() {
            let flags = &self.map.page(pfn.0).flags;
            let used = self.page_referenced(pfn);
            let stays =
                used.count > 0 && used.flags.contains(VmFlags::EXEC) && !is_anon_list(scan.list);
            if used.flags.contains(VmFlags::LOCKED) {
                self.mark_unevictable(pfn);
            } else if stays {
                kept += 1;
            } else {
                flags.fetch_and(!PageFlags::ACTIVE.bits(), Relaxed);
                moved += 1;
            }
            self.lru_putback(pfn, stat);
        }
        let lruvec = &self.state.lruvecs[scan.group % self.state.lruvecs.len()];
        self.note_cost(lruvec, is_anon_list(scan.list), kept);
        self.count_event(VmEvent::Pgrefill, looked_at);
        self.count_event(VmEvent::Pgdeactivate, moved);
    }

    /// A page that is in no list will be put into that of unevictable pages.
    pub(super) fn mark_unevictable(&self, pfn: crate::Pfn) {
        let flags = &self.map.page(pfn.0).flags;
        let used = PageFlags::ACTIVE | PageFlags::REFERENCED;
        flags.fetch_and(!used.bits(), Relaxed);
        flags.fetch_or(PageFlags::UNEVICTABLE.bits(), Relaxed);
        self.count_event(VmEvent::UnevictablePgsCulled, 1);
    }
}
