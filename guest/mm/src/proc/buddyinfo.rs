//! /proc/buddyinfo (Linux: mm/vmstat.c, `frag_show_print`).

use super::{blocks, name, populated};
use core::fmt::{self, Write};
use pagelab_abi::zone::Zone;

pub(super) fn write(zones: &[Zone], out: &mut dyn Write) -> fmt::Result {
    for (_, zone) in populated(zones) {
        write!(out, "Node 0, zone {:>8} ", name(zone))?;
        for area in &zone.free_area {
            write!(out, "{:6} ", blocks(area))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
