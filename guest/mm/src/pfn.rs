//! Numbers of page frames and sizes of blocks, so that the two cannot be confused.

use core::fmt;
use pagelab_abi::{PAGE_SHIFT, page};

/// A page frame number: physical address divided by the page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Pfn(pub u32);

impl Pfn {
    /// The frame that contains a physical address.
    ///
    /// Addresses from 2^44 on have no pfn in this crate's width and are cut.
    #[inline]
    pub const fn from_phys(address: u64) -> Self {
        Self((address >> PAGE_SHIFT) as u32)
    }

    /// Physical address of the first byte.
    #[inline]
    pub const fn phys(self) -> u64 {
        (self.0 as u64) << PAGE_SHIFT
    }

    /// The frame `pages` after this one.
    #[inline]
    #[must_use]
    pub const fn add(self, pages: u32) -> Self {
        Self(self.0 + pages)
    }
}

impl fmt::Display for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Size of a block as a power of two of pages, 0 to [`Order::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Order(u8);

impl Order {
    /// One page.
    pub const ZERO: Self = Self(0);
    /// The largest block: 2^10 pages.
    pub const MAX: Self = Self(page::MAX_ORDER as u8);
    /// A pageblock.
    pub const PAGEBLOCK: Self = Self(page::PAGEBLOCK_ORDER as u8);

    /// The order of this number, or none above [`Order::MAX`].
    #[inline]
    pub const fn new(order: u32) -> Option<Self> {
        if order <= page::MAX_ORDER {
            Some(Self(order as u8))
        } else {
            None
        }
    }

    /// The smallest order that has room for this many bytes, or none if the largest has not.
    #[inline]
    pub const fn for_bytes(bytes: u64) -> Option<Self> {
        if bytes > (pagelab_abi::PAGE_SIZE << page::MAX_ORDER) {
            return None;
        }
        let pages = bytes.div_ceil(pagelab_abi::PAGE_SIZE);
        Self::new(pages.next_power_of_two().trailing_zeros())
    }

    /// As a number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }

    /// Pages in a block of this order.
    #[inline]
    pub const fn pages(self) -> u32 {
        1 << self.0
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
