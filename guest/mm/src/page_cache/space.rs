//! Files: birth, references, death.

use super::{FileId, StoreId, tree::Tree};
use crate::{AllocError, Mm, machine::Machine, sync};
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Relaxed},
};
use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    gfp::Gfp,
    page_cache::{ADDRESS_SPACE_MAGIC, AddressSpace, AddressSpaceFlags, FileRa},
};

/// The address cannot be a file's.
#[cold]
#[inline(never)]
fn not_a_file(file: FileId) -> ! {
    panic!(
        "page cache: {:#x} is no file: a wrong number, or its last reference is gone",
        file.get()
    )
}

impl<M: Machine + 'static> Mm<M> {
    /// A new, empty file with one reference, the caller's.
    ///
    /// # Errors
    /// If there is no memory or failslab says so.
    pub fn file_new(&self) -> Result<FileId, AllocError> {
        self.file_with(AddressSpaceFlags::UNEVICTABLE, 0, 0)
    }

    /// The same for memory that is shared: memfd_create, shared anonymous mappings. Its pages count
    /// as `nr_shmem`, too, and go to swap.
    ///
    /// # Errors
    /// As [`Mm::file_new`].
    pub fn file_new_shmem(&self) -> Result<FileId, AllocError> {
        self.file_with(AddressSpaceFlags::SHMEM, 0, 0)
    }

    /// A file of `size` bytes that a store has under the number `host`.
    ///
    /// # Errors
    /// As [`Mm::file_new`].
    pub fn file_with_store(
        &self,
        store: StoreId,
        host: u64,
        size: u64,
    ) -> Result<FileId, AllocError> {
        let file = self.file_with(AddressSpaceFlags::empty(), store.number(), host)?;
        self.space(file).size.store(size, Relaxed);
        Ok(file)
    }

    /// `a_ops` and `host` as in the [`AddressSpace`].
    fn file_with(
        &self,
        flags: AddressSpaceFlags,
        a_ops: u32,
        host: u64,
    ) -> Result<FileId, AllocError> {
        let slab = self.slab();
        let object = slab
            .kmem_cache_alloc(&self.page_cache().inodes, Gfp::KERNEL)
            .map_err(|_| AllocError::NoMemory)?;
        // Physical page 0 is never free memory.
        let file = FileId::from_raw(slab.physical(object)).ok_or(AllocError::NoMemory)?;
        let state = &self.state.page_cache;
        let space = AddressSpace {
            magic: AtomicU64::new(ADDRESS_SPACE_MAGIC),
            root: AtomicU64::new(0),
            size: AtomicU64::new(0),
            nrpages: AtomicU64::new(0),
            count: AtomicU32::new(1),
            lock: AtomicU32::new(0),
            flags: AtomicU32::new(flags.bits()),
            mapped: AtomicU32::new(0),
            ino: AtomicU64::new(state.next_ino.fetch_add(1, Relaxed) + 1),
            next: AtomicU64::new(0),
            prev: AtomicU64::new(0),
            i_mmap: AtomicU64::new(0),
            host: AtomicU64::new(host),
            nr_dirty: AtomicU64::new(0),
            a_ops: AtomicU32::new(a_ops),
            wb_err: AtomicU32::new(0),
            nr_swapped: AtomicU64::new(0),
            ra: FileRa::new(),
        };
        // SAFETY: the object has the size and alignment of an `AddressSpace` and is this
        // function's.
        unsafe { object.cast().write(space) };
        self.link(file);
        Ok(file)
    }

    /// Takes another reference.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_get(&self, file: FileId) {
        self.space(file).count.fetch_add(1, Relaxed);
    }

    /// Gives a reference back. With the last one the file goes away, and its pages leave the cache and swap:
    /// what is dirty of them is lost, so who wants to keep it writes it before.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_put(&self, file: FileId) {
        let space = self.space(file);
        if space.count.fetch_sub(1, AcqRel) > 1 {
            return;
        }
        self.drop_pages(file, 0, u64::MAX);
        self.unlink(file);
        space.magic.store(0, Relaxed);
        let slab = self.slab();
        // SAFETY: it came from this cache, and nobody can reach it any more.
        unsafe { slab.kmem_cache_free(&self.page_cache().inodes, slab.object(file.get())) };
    }

    /// References to a file.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_count(&self, file: FileId) -> u32 {
        self.space(file).count.load(Relaxed)
    }

    /// An area maps a file, and takes a reference.
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) fn file_mapped(&self, file: FileId) {
        self.file_get(file);
        self.space(file).mapped.fetch_add(1, Relaxed);
    }

    /// An area that mapped a file is gone, and gives its reference back.
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) fn file_unmapped(&self, file: FileId) {
        self.space(file).mapped.fetch_sub(1, Relaxed);
        self.file_put(file);
    }

    /// Whether an area maps a file.
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) fn file_is_mapped(&self, file: FileId) -> bool {
        self.space(file).mapped.load(Relaxed) != 0
    }

    /// Whether a file is shared memory.
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) fn file_is_shmem(&self, file: FileId) -> bool {
        self.file_flags(file).contains(AddressSpaceFlags::SHMEM)
    }

    /// A file's properties.
    ///
    /// # Panics
    /// If there is no such file.
    pub(crate) fn file_flags(&self, file: FileId) -> AddressSpaceFlags {
        AddressSpaceFlags::from_bits_retain(self.space(file).flags.load(Relaxed))
    }

    /// Number of a file that no other file ever has (Linux: `i_ino`).
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_ino(&self, file: FileId) -> u64 {
        self.space(file).ino.load(Relaxed)
    }

    /// Pages of a file that are in the cache.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_nrpages(&self, file: FileId) -> u64 {
        self.space(file).nrpages.load(Relaxed)
    }

    /// Pages of a file that are in swap.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_nr_swapped(&self, file: FileId) -> u64 {
        self.space(file).nr_swapped.load(Relaxed)
    }

    /// What is known of a live file.
    #[inline]
    pub(super) fn space(&self, file: FileId) -> &'static AddressSpace {
        let gpa = file.get();
        let reachable = gpa.is_multiple_of(align_of::<AddressSpace>() as u64)
            && u32::try_from(gpa >> PAGE_SHIFT)
                .is_ok_and(|pfn| self.machine.direct_map(pfn).is_some());
        if !reachable {
            not_a_file(file);
        }
        const { assert!(PAGE_SIZE.is_multiple_of(size_of::<AddressSpace>() as u64)) };
        // SAFETY: aligned, within a page of RAM in the direct map, and all of it is valid for any
        // bytes and accessed as atomics by whoever knows it as an `AddressSpace`. Whether one
        // lives there is looked at next.
        let space: &'static AddressSpace = unsafe { self.slab().object(gpa).cast().as_ref() };
        if space.magic.load(Relaxed) != ADDRESS_SPACE_MAGIC {
            not_a_file(file);
        }
        space
    }

    /// Takes the lock of a file's tree.
    pub(super) fn tree(&self, file: FileId) -> Tree<'_, M> {
        let space = self.space(file);
        let held = sync::lock(&space.lock, || self.machine.relax());
        Tree::new(self, space, held)
    }

    /// Puts a file at the head of the list.
    fn link(&self, file: FileId) {
        let state = &self.state.page_cache;
        let space = self.space(file);
        let _held = sync::lock(&state.lock, || self.machine.relax());
        let next = state.files.load(Relaxed);
        space.next.store(next, Relaxed);
        if let Some(next) = FileId::from_raw(next) {
            self.space(next).prev.store(file.get(), Relaxed);
        }
        state.files.store(file.get(), Relaxed);
        state.nr_files.fetch_add(1, Relaxed);
    }

    /// Takes a file out of the list.
    fn unlink(&self, file: FileId) {
        let state = &self.state.page_cache;
        let space = self.space(file);
        let _held = sync::lock(&state.lock, || self.machine.relax());
        let (prev, next) = (space.prev.load(Relaxed), space.next.load(Relaxed));
        match FileId::from_raw(prev) {
            Some(prev) => self.space(prev).next.store(next, Relaxed),
            None => state.files.store(next, Relaxed),
        }
        if let Some(next) = FileId::from_raw(next) {
            self.space(next).prev.store(prev, Relaxed);
        }
        state.nr_files.fetch_sub(1, Relaxed);
    }
}
