//! /proc/slabinfo, version 2.1 (Linux mm/slab_common.c `cache_show`, mm/slab.c `get_slabinfo`).

use crate::slab::{PageSource, Slab, SlabInfo};
use core::fmt::{self, Write};

/// The two lines above the caches.
const HEADER: &str = "slabinfo - version: 2.1\n\
    # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> \
    : tunables <limit> <batchcount> <sharedfactor> \
    : slabdata <active_slabs> <num_slabs> <sharedavail>\n";

/// No lock is held while `out` is written to.
pub(crate) fn write<S: PageSource>(slab: Slab<'_, S>, out: &mut dyn Write) -> fmt::Result {
    out.write_str(HEADER)?;
    let mut newer = None;
    while let Some(info) = slab.info_of_next(newer) {
        line(&info, out)?;
        newer = Some(info.index);
    }
    Ok(())
}

/// Writes one cache. Shared and alien magazines do not exist here, so their two columns are 0.
fn line(info: &SlabInfo<'_>, out: &mut dyn Write) -> fmt::Result {
    writeln!(
        out,
        "{:<17} {:>6} {:>6} {:>6} {:>4} {:>4} : tunables {:>4} {:>4} {:>4} : slabdata {:>6} {:>6} {:>6}",
        info.name,
        info.active_objs,
        info.num_objs,
        info.objsize,
        info.objperslab,
        info.pagesperslab,
        info.limit,
        info.batchcount,
        0,
        info.active_slabs,
        info.num_slabs,
        0,
    )
}
