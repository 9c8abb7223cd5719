//! /proc/PID/maps (Linux fs/proc/task_mmu.c: `show_map_vma`).

use std::fmt;

use pagelab_abi::vma::{NO_FILE, VmFlags};

use super::Processes;
use crate::inspect::{decode::Area, users::Space};

/// Column of an area's name.
const NAME_COLUMN: usize = 73;

impl Processes<'_> {
    pub(super) fn maps(&self, out: &mut impl fmt::Write, space: &Space) -> fmt::Result {
        space
            .areas
            .iter()
            .try_for_each(|area| self.map_line(out, space, area))
    }

    pub(super) fn map_line(
        &self,
        out: &mut impl fmt::Write,
        space: &Space,
        area: &Area,
    ) -> fmt::Result {
        let right = |flag, letter| {
            if area.flags.contains(flag) {
                letter
            } else {
                '-'
            }
        };
        let file = self.users.file(area.file);
        // An anonymous area's number of pages is no offset in anything.
        let offset = if area.file == NO_FILE {
            0
        } else {
            area.pgoff * pagelab_abi::PAGE_SIZE
        };
        let line = format!(
            "{:08x}-{:08x} {}{}{}{} {offset:08x} 00:{:02x} {} ",
            area.start,
            area.end,
            right(VmFlags::READ, 'r'),
            right(VmFlags::WRITE, 'w'),
            right(VmFlags::EXEC, 'x'),
            if area.flags.contains(VmFlags::MAYSHARE) {
                's'
            } else {
                'p'
            },
            u8::from(file.is_some()),
            file.map_or(0, |file| file.file.ino),
        );
        match name(space, area) {
            Some(name) => writeln!(out, "{line:<NAME_COLUMN$}{name}"),
            None => writeln!(out, "{line}"),
        }
    }
}

/// What an anonymous area is for.
fn name(space: &Space, area: &Area) -> Option<&'static str> {
    let (heap, stack) = (space.mm.heap(), space.mm.start_stack());
    if area.file != NO_FILE {
        None
    } else if heap.start < heap.end && area.start <= heap.end && area.end >= heap.start {
        Some("[heap]")
    } else if area.start <= stack && stack <= area.end {
        Some("[stack]")
    } else {
        None
    }
}
