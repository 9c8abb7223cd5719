//! Pages taken out of a list to be looked at, and put back (Linux mm/vmscan.c:
//! `isolate_lru_folios`, `move_folios_to_lru`).

use super::{LRU_FLAGS, pages::list_of};
use crate::{Mm, Pfn, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    lru::LruList,
    page::{MAX_ORDER, PageFlags, zone_of},
    vmstat::NodeStat,
};

/// Pages that reclaim takes at once (Linux: `SWAP_CLUSTER_MAX`).
const BATCH: usize = 32;

/// Pages passed over, because they are in zones that do not matter, for each page taken. Linux has no
/// such limit, and calls out a soft lockup instead.
const SKIPS: usize = 1 << MAX_ORDER;

/// What to take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LruScan {
    /// Number of the memory group.
    pub(crate) group: usize,
    /// The list.
    pub(crate) list: LruList,
    /// Pages at most, 32 in any case.
    pub(crate) count: u64,
    /// Index of the highest zone whose pages are of use.
    pub(crate) highest_zone: usize,
}

/// Pages that are in no list. Each has one reference for that, and is counted as isolated.
#[must_use = "pages that are neither freed nor put back are lost"]
pub(crate) struct Isolated {
    pages: [u32; BATCH],
    count: usize,
    stat: NodeStat,
}

impl Isolated {
    /// No pages of a list yet.
    pub(crate) fn new(list: LruList) -> Self {
        let swap = matches!(list, LruList::InactiveAnon | LruList::ActiveAnon);
        Self {
            pages: [0; BATCH],
            count: 0,
            stat: if swap {
                NodeStat::IsolatedAnon
            } else {
                NodeStat::IsolatedFile
            },
        }
    }

    /// Whether there is room for no more.
    pub(crate) fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// Takes the page that came first.
    pub(crate) fn pop(&mut self) -> Option<Pfn> {
        self.count = self.count.checked_sub(1)?;
        self.pages.get(self.count).map(|pfn| Pfn(*pfn))
    }

    /// As what they are counted.
    pub(crate) fn stat(&self) -> NodeStat {
        self.stat
    }

    fn push(&mut self, pfn: u32) {
        if let Some(slot) = self.pages.get_mut(self.count) {
            *slot = pfn;
            self.count += 1;
        }
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Takes the oldest pages out of a list. Those of other zones stay where they are. Returns them, and
    /// how many were looked at.
    pub(crate) fn lru_isolate(&self, scan: &LruScan) -> (Isolated, u64) {
        let mut taken = Isolated::new(scan.list);
        let mut looked_at = 0;
        {
            let locked = self.lock_lruvec(scan.group);
            let (mut next, mut skipped) = (locked.oldest(scan.list), 0);
            while let Some(pfn) = next
                && looked_at < scan.count
                && taken.count < BATCH
                && skipped < SKIPS
            {
                next = locked.newer(pfn);
                let page = self.map.page(pfn);
                if zone_of(page.flags.load(Relaxed)) as usize > scan.highest_zone {
                    skipped += 1;
                    continue;
                }
                looked_at += 1;
                page.refcount.fetch_add(1, Relaxed);
                locked.remove(scan.list, pfn);
                taken.push(pfn);
            }
        }
        self.mod_node_stat(taken.stat, taken.count as i64);
        (taken, looked_at)
    }

    /// Takes one page out of its list. False if it is in none, or in that of unevictable pages.
    pub(crate) fn lru_isolate_page(&self, pfn: Pfn, taken: &mut Isolated) -> bool {
        let page = self.map.page(pfn.0);
        let word = page.flags.load(Relaxed);
        let list = list_of(page, word);
        let in_list = word & PageFlags::LRU.bits() != 0 && list != LruList::Unevictable;
        if !in_list || taken.count == BATCH {
            return false;
        }
        page.refcount.fetch_add(1, Relaxed);
        self.lock_lruvec_of(word).remove(list, pfn.0);
        taken.push(pfn.0);
        self.mod_node_stat(taken.stat, 1);
        true
    }

    /// Puts a page back that was counted as `stat`. It goes to the front of the list that its flags name
    /// by now; if everybody else has given it back meanwhile, it is freed.
    pub(crate) fn lru_putback(&self, pfn: Pfn, stat: NodeStat) {
        self.mod_node_stat(stat, -1);
        let page = self.map.page(pfn.0);
        if page.refcount.load(Relaxed) > 1 {
            let word = page.flags.load(Relaxed);
            let locked = self.lock_lruvec_of(word);
            let list = list_of(page, word);
            locked.push_newest(list, pfn.0);
        } else {
            page.flags.fetch_and(!LRU_FLAGS.bits(), Relaxed);
        }
        self.put_page(pfn);
    }

    /// Gives the last reference to a page back that was counted as `stat`, and so frees it.
    pub(crate) fn lru_free_isolated(&self, pfn: Pfn, stat: NodeStat) {
        self.mod_node_stat(stat, -1);
        self.put_page(pfn);
    }
}
