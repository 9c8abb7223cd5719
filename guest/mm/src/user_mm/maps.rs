//! /proc/PID/maps (Linux fs/proc/task_mmu.c: `show_map_vma`).

use super::{UserMm, insert::file_of};
use crate::{
    machine::Machine,
    page_cache::FileId,
    vma::{Area, Backing},
};
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use pagelab_abi::{PAGE_SHIFT, vma::VmFlags};

/// Column at which names stand (Linux: `25 + sizeof(void *) * 6`).
const NAME_COLUMN: usize = 73;

/// Writes the name of a file that an area maps.
pub type NameOf<'a> = dyn FnMut(FileId, &mut dyn Write) -> fmt::Result + 'a;

impl<M: Machine + 'static> UserMm<M> {
    /// The first area that ends above an address.
    pub fn next_area(&mut self, address: u64) -> Option<Area> {
        self.tree().find_vma(address).map(Area::of)
    }

    /// Writes /proc/PID/maps. `name` writes the name of a file that an area maps.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn maps(&mut self, out: &mut dyn Write, name: &mut NameOf<'_>) -> fmt::Result {
        let mut at = 0;
        while let Some(area) = self.next_area(at) {
            self.write_area(&area, out, name)?;
            at = area.end;
        }
        Ok(())
    }

    pub(super) fn write_area(
        &self,
        area: &Area,
        out: &mut dyn Write,
        name: &mut NameOf<'_>,
    ) -> fmt::Result {
        let flag = |flag, letter, other| {
            if area.flags.contains(flag) {
                letter
            } else {
                other
            }
        };
        let (offset, ino) = match (area.backing, file_of(area)) {
            (Backing::File { pgoff, .. }, Some(file)) => {
                (pgoff << PAGE_SHIFT, self.mm.file_ino(file))
            }
            _ => (0, 0),
        };
        let minor = u32::from(ino != 0);
        let mut line = Counted { out, written: 0 };
        write!(
            line,
            "{:08x}-{:08x} {}{}{}{} {offset:08x} 00:{minor:02x} {ino} ",
            area.start,
            area.end,
            flag(VmFlags::READ, 'r', '-'),
            flag(VmFlags::WRITE, 'w', '-'),
            flag(VmFlags::EXEC, 'x', '-'),
            flag(VmFlags::MAYSHARE, 's', 'p'),
        )?;
        let pad = NAME_COLUMN.saturating_sub(line.written);
        if ino != 0 {
            write!(line, "{:pad$}", "")?;
            if self.is_shmem(area) {
                line.write_str("/dev/zero (deleted)")?;
            } else if let Some(file) = file_of(area) {
                name(file, &mut line)?;
            }
        } else if let Some(special) = self.special_name(area) {
            write!(line, "{:pad$}{special}", "")?;
        }
        line.write_char('\n')
    }

    /// What an anonymous area is for.
    fn special_name(&self, area: &Area) -> Option<&'static str> {
        let this = self.mm_struct();
        let (heap, brk) = (this.start_brk.load(Relaxed), this.brk.load(Relaxed));
        let stack = this.start_stack.load(Relaxed);
        if heap < brk && area.start <= brk && area.end >= heap {
            Some("[heap]")
        } else if area.start < stack && area.end >= stack {
            Some("[stack]")
        } else {
            None
        }
    }
}

/// Counts what is written.
struct Counted<'a> {
    out: &'a mut dyn Write,
    written: usize,
}

impl Write for Counted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.written += text.len();
        self.out.write_str(text)
    }

    fn write_char(&mut self, char: char) -> fmt::Result {
        self.written += 1;
        self.out.write_char(char)
    }
}
