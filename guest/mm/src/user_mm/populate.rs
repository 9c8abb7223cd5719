//! Pages come before they are accessed (Linux mm/gup.c: `__mm_populate`).

use super::{Access, FaultSignal, UserMm};
use crate::{machine::Machine, vma::Area};
use core::ops::Range;
use pagelab_abi::{PAGE_SIZE, errno::Errno, vma::VmFlags};

impl<M: Machine + 'static> UserMm<M> {
    /// Brings in all pages of the areas in a range, but those that are locked on faults only.
    ///
    /// # Errors
    /// `ENOMEM` at the first page for which there is no memory, `EFAULT` at one that cannot be
    /// accessed.
    pub(super) fn populate(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        let mut at = start;
        while let Some(area) = self.tree().find_intersection(at, end).map(Area::of) {
            self.populate_area(&area, at.max(area.start)..end.min(area.end))?;
            at = area.end;
        }
        Ok(())
    }

    /// The same without errors: what does not succeed is tried again by a fault.
    pub(super) fn populate_what_goes(&mut self, start: u64, end: u64) {
        let mut at = start;
        while let Some(area) = self.tree().find_intersection(at, end).map(Area::of) {
            let part = at.max(area.start)..end.min(area.end);
            if self.populate_area(&area, part) == Err(Errno::ENOMEM) {
                return;
            }
            at = area.end;
        }
    }

    fn populate_area(&mut self, area: &Area, part: Range<u64>) -> Result<(), Errno> {
        if area.flags.contains(VmFlags::LOCKONFAULT) {
            return Ok(());
        }
        let own = area.flags & (VmFlags::WRITE | VmFlags::SHARED) == VmFlags::WRITE;
        let access = match area.flags {
            _ if own => Access::Write,
            flags if !flags.intersects(VmFlags::READ | VmFlags::WRITE) => Access::Exec,
            _ => Access::Read,
        };
        self.fault_range(part, access)
            .map_err(|signal| match signal {
                FaultSignal::Oom => Errno::ENOMEM,
                _ => Errno::EFAULT,
            })
    }

    /// Brings in all pages of a range for an access.
    pub(super) fn fault_range(
        &mut self,
        range: Range<u64>,
        access: Access,
    ) -> Result<(), FaultSignal> {
        for page in range.step_by(PAGE_SIZE as usize) {
            self.fault_in(page, access)?;
        }
        Ok(())
    }
}
