//! What an address space counts is what it has.

use pagelab_abi::{
    mm_struct::{NR_RSS_STATS, RssStat},
    vma::VmFlags,
    vmstat::NodeStat,
};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::{
    decode::Area,
    users::{Space, Users},
};

pub(super) const AUDIT: Audit = Audit {
    name: "rss-counters",
    checks: "the counts of an address space are the pages of its areas and tables",
    run,
};

const NAMES: [&str; NR_RSS_STATS] = ["file", "anonymous", "swapped", "shared-memory"];

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    for space in users.spaces.iter().filter(|space| !space.pages.is_cut) {
        let mut require = |what: &str, counted: u64, has: u64| {
            findings.require(counted == has, || {
                format!("{} counts {counted} {what}, and has {has}", space.name)
            });
        };
        let has = rss(guest, users, space);
        for ((name, counted), has) in NAMES.iter().zip(space.mm.all_rss()).zip(has) {
            require(&format!("{name} pages"), counted, has);
        }
        let [total_vm, locked_vm, pgtables] = space.mm.counts();
        let pages = |fits: &dyn Fn(&Area) -> bool| -> u64 {
            let areas = space.areas.iter().filter(|area| fits(area));
            areas.map(Area::pages).sum()
        };
        require("pages in areas", total_vm, pages(&|_| true));
        let locked = pages(&|area| area.flags.contains(VmFlags::LOCKED));
        require("pages in locked areas", locked_vm, locked);
        // One is set aside for each large entry.
        let tables = space.pages.tables.len() as u64 + space.large();
        require("page tables", pgtables, tables);
    }
    if let Some(why) = users.incomplete() {
        return Err(Skip(why));
    }
    let large: u64 = users.spaces.iter().map(Space::large).sum();
    let counted = guest.snapshot.vmstat.node(NodeStat::AnonThps);
    findings.require(counted == large, || {
        format!("the guest counts {counted} large entries, and there are {large}")
    });
    Ok(())
}

/// Pages present, by kind, and those in swap.
fn rss(guest: &Guest<'_>, users: &Users, space: &Space) -> [u64; NR_RSS_STATS] {
    let mut rss = [0; NR_RSS_STATS];
    for (page, _) in space.held().filter(|(page, _)| !page.is_special()) {
        let mapping = page
            .pfn()
            .and_then(|pfn| guest.snapshot.descriptor(pfn))
            .map_or(0, |page| page.mapping);
        let kind = match users.file(mapping) {
            Some(file) if file.is_shmem() => RssStat::Shmem,
            Some(_) => RssStat::File,
            None => RssStat::Anon,
        };
        rss[kind as usize] += page.frames();
    }
    rss[RssStat::Swap as usize] = space.swapped().count() as u64;
    rss
}
