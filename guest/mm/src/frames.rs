//! Blocks of frames owned by a value.

use crate::{AllocError, Mm, Order, Pfn, machine::Machine};
use pagelab_abi::gfp::Gfp;

/// An allocated block that this value owns. It cannot free itself, for it does not know its memory
/// manager: give it to [`Mm::release`], or it is a leak.
#[must_use = "the frames leak unless they are given to `Mm::release`"]
#[derive(Debug, PartialEq, Eq)]
pub struct Frames {
    pfn: Pfn,
    order: Order,
}

impl Frames {
    /// First frame.
    #[inline]
    pub const fn pfn(&self) -> Pfn {
        self.pfn
    }

    /// Size.
    #[inline]
    pub const fn order(&self) -> Order {
        self.order
    }

    /// Gives up ownership: the caller frees the block by its number.
    #[inline]
    pub const fn into_raw(self) -> (Pfn, Order) {
        (self.pfn, self.order)
    }

    /// Takes ownership of an allocated block that nobody else will free. A wrong number shows when
    /// it is released.
    #[inline]
    pub const fn from_raw(pfn: Pfn, order: Order) -> Self {
        Self { pfn, order }
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// As [`Mm::alloc_pages`], but owned by a value.
    ///
    /// # Errors
    /// As [`Mm::alloc_pages`].
    #[inline]
    pub fn alloc_frames(&self, gfp: Gfp, order: Order) -> Result<Frames, AllocError> {
        self.alloc_pages(gfp, order)
            .map(|pfn| Frames { pfn, order })
    }

    /// Frees a block.
    ///
    /// # Panics
    /// As [`Mm::free_pages`], if the value was made from a wrong number.
    #[inline]
    pub fn release(&self, frames: Frames) {
        self.free_pages(frames.pfn, frames.order);
    }
}
