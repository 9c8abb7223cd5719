//! What the calls that change the areas of a range have in common.

use super::{MAX_MAP_COUNT, UserMm};
use crate::{
    machine::Machine,
    mutation::{Mutation, is_planted},
    vma::{Area, VmaObject},
};
use core::ops::Range;
use pagelab_abi::{errno::Errno, gfp::Gfp, vma::VmFlags};

impl<M: Machine + 'static> UserMm<M> {
    /// Calls `each` with every area that has a part in `start..end`, and that part.
    ///
    /// # Errors
    /// `ENOMEM` at the first address that no area contains, what `each` says at the first area that
    /// it refuses.
    pub(super) fn each_area(
        &mut self,
        start: u64,
        end: u64,
        mut each: impl FnMut(&mut Self, &Area, Range<u64>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut at = start;
        while at < end {
            let area = self.tree().find(at).map(Area::of).ok_or(Errno::ENOMEM)?;
            let stop = area.end.min(end);
            each(self, &area, at..stop)?;
            at = stop;
        }
        Ok(())
    }

    /// Makes a part of an area an area of its own.
    ///
    /// # Errors
    /// `ENOMEM`; then nothing was changed.
    pub(super) fn isolate(&mut self, area: &Area, part: &Range<u64>) -> Result<(), Errno> {
        let cuts = [
            (part.start > area.start).then_some(part.start),
            (part.end < area.end).then_some(part.end),
        ];
        let needed = cuts.iter().flatten().count() as u64;
        if needed == 0 {
            return Ok(());
        }
        if self.tree().len() + needed > MAX_MAP_COUNT {
            return Err(Errno::ENOMEM);
        }
        let areas = self.areas();
        let mut objects: [Option<VmaObject>; 2] = [None, None];
        for (object, _) in objects.iter_mut().zip(0..needed) {
            match areas.alloc(Gfp::KERNEL) {
                Ok(new) => *object = Some(new),
                Err(_) => {
                    if let [Some(first), _] = objects {
                        if is_planted(Mutation::SlabDoubleFree) {
                            // SAFETY: none; this is the bug.
                            areas.free(unsafe { core::ptr::read(&raw const first) });
                        }
                        areas.free(first);
                    }
                    return Err(Errno::ENOMEM);
                }
            }
        }
        for (at, object) in cuts
            .into_iter()
            .flatten()
            .zip(objects.into_iter().flatten())
        {
            self.split(at, object);
        }
        Ok(())
    }

    /// Changes the flags of the area that contains an address.
    pub(super) fn set_flags(&mut self, address: u64, flags: VmFlags) {
        let done = self.tree().set_flags(address, flags);
        debug_assert_eq!(done, Ok(()));
    }
}
