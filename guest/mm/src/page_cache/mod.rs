//! The page cache: the content of files, in pages that may be anywhere in memory.
//!
//! A file is an [`AddressSpace`]; [`FileId`] names it. What it looks like in RAM is told in
//! [`pagelab_abi::page_cache`]. Behind a file is either a store ([`AddressSpaceOperations`]), from
//! which pages are read when they are needed and to which changed pages are written, or nothing: then
//! its pages are the content, as in Linux's ramfs, and a page that is not there is a hole, which reads
//! as zeros. Pages of shared memory can be in swap instead. A page in the cache is up to date: if reading it fails, it does not get there.
//!
//! * `space`: files and their references. `node`: nodes of the trees, as objects.
//! * `tree`: pages by their number. `pages`: finding, making and dropping them.
//! * `readahead`: which pages come before they are asked for. `read_pages`: they do, several at once.
//! * `content`: bytes in and out. `shmem`: to swap, and back. `size`: truncation and holes. `mappers`:
//!   areas that map a file.
//! * `store`: what is behind files. `dirty`, `tags`: pages that are newer. `writeback`: how they go to
//!   the store, and reclaim. `errseq`: who hears of errors.
//! * `poison`: pages whose frame is broken. `validate`: everything that must hold, checked.
//!
//! # Locks
//!
//! The lock of the list of files, and one for each file's tree; never two of them at once. Under
//! neither is anything allocated or freed, or an event counted: what a change needs is allocated
//! before, and what it leaves over is freed after. So at an event each tree is whole.

mod content;
mod dirty;
mod errseq;
mod mappers;
mod node;
mod pages;
mod poison;
mod read_pages;
mod readahead;
mod shmem;
mod size;
mod space;
mod store;
mod tags;
#[cfg(test)]
mod tests;
mod tree;
mod validate;
mod writeback;

use crate::{
    Mm,
    machine::Machine,
    slab::{CreateError, KmemCache},
};
use core::num::NonZero;
use pagelab_abi::{
    page::{MAPPING_SHMEM, file_of_mapping},
    page_cache::{AddressSpace, INODE_CACHE, RADIX_TREE_NODE, RadixTreeNode},
    slab::CacheFlags,
};

pub use content::FILE_GFP;
pub use read_pages::READ_BATCH;
pub use readahead::{RA_PAGES, Reader};
pub(crate) use store::StoreTable;
pub use store::{AddressSpaceOperations, FileError, MAX_STORES, StoreId, TooManyStores};
pub use validate::Violation;
pub use writeback::Pageout;

/// A file: the physical address of its [`AddressSpace`], as it stands in
/// [`pagelab_abi::vma::Vma::file`]. It does not hold a reference by itself: see [`Mm::file_get`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct FileId(NonZero<u64>);

impl FileId {
    /// The file with this number; none for 0, which stands for no file. A number that is not a live
    /// file's is noticed when it is used.
    #[inline]
    pub const fn from_raw(number: u64) -> Option<Self> {
        match NonZero::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The file that the [`Page::mapping`](pagelab_abi::page::Page::mapping) of a page names, if it is a
    /// file's.
    #[inline]
    pub(crate) const fn of_mapping(mapping: u64) -> Option<Self> {
        Self::from_raw(file_of_mapping(mapping))
    }

    /// The mapping of a page of this file. `is_shmem`: whether that is shared memory.
    pub(super) const fn to_mapping(self, is_shmem: bool) -> u64 {
        self.get() | if is_shmem { MAPPING_SHMEM } else { 0 }
    }

    /// As a number.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

/// The slab caches of the page cache.
#[derive(Debug)]
pub(crate) struct PageCache {
    inodes: KmemCache,
    nodes: KmemCache,
}

impl<M: Machine + 'static> Mm<M> {
    /// Makes the slab caches. Once, when there are slabs.
    pub(crate) fn page_cache_init(&self) -> Result<(), CreateError> {
        let cache = |name, size: usize, align: usize| {
            let (size, align) = (size as u32, align as u32);
            self.slab()
                .kmem_cache_create(name, size, align, CacheFlags::empty(), None)
        };
        let inodes = cache(
            INODE_CACHE,
            size_of::<AddressSpace>(),
            align_of::<AddressSpace>(),
        )?;
        let nodes = cache(
            RADIX_TREE_NODE,
            size_of::<RadixTreeNode>(),
            align_of::<RadixTreeNode>(),
        )?;
        self.page_cache.call_once(|| PageCache { inodes, nodes });
        Ok(())
    }

    /// The slab caches.
    fn page_cache(&self) -> &PageCache {
        self.page_cache
            .get()
            .expect("the page cache begins with the slab allocator")
    }
}
