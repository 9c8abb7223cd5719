//! A process's files: its descriptors, its directory and its umask (Linux: `struct files_struct`
//! and `struct fs_struct`).

use super::{
    dentry::Dentry,
    file::OpenFile,
    locks::{self, Owner},
    memory::Pools,
    object::{Pooled, Shared},
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::errno::Errno;
use pagelab_mm::slab::KmemCache;
use spin::Mutex;

/// Descriptors in a chunk, which come into being together.
const CHUNK: usize = 64;

/// Chunks of a process.
const CHUNKS: usize = 64;

/// More descriptors than a process can ever have.
pub(crate) const MAX_FILES: u64 = (CHUNK * CHUNKS) as u64;

/// Descriptors of which one or more are in use.
pub(super) struct Chunk(Mutex<Slots>);

struct Slots {
    files: [Option<Shared<OpenFile>>; CHUNK],
    /// Bits of those that execve closes.
    close_on_exec: u64,
}

impl Chunk {
    fn create() -> Result<Shared<Self>, Errno> {
        Shared::new(Self(Mutex::new(Slots {
            files: [const { None }; CHUNK],
            close_on_exec: 0,
        })))
    }
}

impl Pooled for Chunk {
    fn pool(pools: &Pools) -> &KmemCache {
        &pools.files
    }
}

/// A system call that waits and has done a part already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partial {
    /// Its number and arguments.
    pub(super) call: (u32, [u64; 6]),
    /// What it has done.
    pub(super) done: usize,
}

/// The files of a process. A copy shares the open files, not the descriptors.
pub(crate) struct Files {
    chunks: [Option<Shared<Chunk>>; CHUNKS],
    pub(super) root: Shared<Dentry>,
    pub(super) cwd: Shared<Dentry>,
    /// Its program.
    pub(super) exe: Option<Shared<Dentry>>,
    pub(super) umask: u32,
    pub(super) partial: Option<Partial>,
    /// An open of a FIFO that waits for its other end.
    pub(super) opening: Option<Opening>,
    /// Its number, never used twice: whose its locks are.
    number: u64,
}

/// An open of a FIFO that waits.
pub(super) struct Opening {
    /// Directory, path and flags, as the call has them.
    pub(super) call: [u64; 3],
    /// What will be the descriptor's.
    pub(super) file: Shared<OpenFile>,
    /// How often the other end had been opened.
    pub(super) seen: u32,
}

/// The next [`Files::number`].
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Files {
    /// No descriptors; the directory is the root.
    pub(super) fn empty(root: Shared<Dentry>) -> Self {
        Self {
            chunks: [const { None }; CHUNKS],
            cwd: root.clone(),
            root,
            exe: None,
            umask: 0o022,
            partial: None,
            opening: None,
            number: NEXT.fetch_add(1, Relaxed),
        }
    }

    /// Whose a process's locks are.
    pub(super) fn owner(&self) -> Owner {
        Owner::Process(self.number)
    }

    /// The files of a child.
    ///
    /// # Errors
    /// ENOMEM; nothing is left of the copy.
    pub(crate) fn fork(&self) -> Result<Self, Errno> {
        let mut copy = Self::empty(self.root.clone());
        copy.cwd = self.cwd.clone();
        copy.exe = self.exe.clone();
        copy.umask = self.umask;
        for (to, from) in copy.chunks.iter_mut().zip(&self.chunks) {
            let Some(from) = from else { continue };
            let chunk = Chunk::create()?;
            {
                let (mut new, old) = (chunk.0.lock(), from.0.lock());
                new.files.clone_from(&old.files);
                new.close_on_exec = old.close_on_exec;
            }
            *to = Some(chunk);
        }
        Ok(copy)
    }

    /// Closes what a new program shall not have.
    pub(super) fn close_on_exec(&mut self) {
        self.partial = None;
        for index in 0..CHUNKS {
            let bits = match &self.chunks[index] {
                Some(chunk) => chunk.0.lock().close_on_exec,
                None => 0,
            };
            for slot in (0..CHUNK).filter(|slot| bits & 1 << slot != 0) {
                // It is open, so it can be closed.
                let _ = self.close((index * CHUNK + slot) as u32);
            }
        }
    }

    /// Forgets how far a waiting call has come, and says it: a signal has ended it.
    pub(crate) fn take_partial(&mut self) -> Option<u64> {
        self.opening = None;
        locks::stop_waiting(self.owner());
        self.partial.take().map(|partial| partial.done as u64)
    }

    fn chunk(&self, fd: u32) -> Option<(&Shared<Chunk>, usize)> {
        let fd = fd as usize;
        Some((self.chunks.get(fd / CHUNK)?.as_ref()?, fd % CHUNK))
    }

    /// The open file behind a descriptor.
    ///
    /// # Errors
    /// EBADF.
    pub(crate) fn get(&self, fd: u32) -> Result<Shared<OpenFile>, Errno> {
        let (chunk, slot) = self.chunk(fd).ok_or(Errno::EBADF)?;
        chunk.0.lock().files[slot].clone().ok_or(Errno::EBADF)
    }

    /// Whether execve closes a descriptor.
    pub(super) fn is_close_on_exec(&self, fd: u32) -> bool {
        self.chunk(fd)
            .is_some_and(|(chunk, slot)| chunk.0.lock().close_on_exec & 1 << slot != 0)
    }

    /// Says whether execve closes a descriptor that is open.
    pub(super) fn set_close_on_exec(&self, fd: u32, closes: bool) {
        if let Some((chunk, slot)) = self.chunk(fd) {
            let mut slots = chunk.0.lock();
            let bit = 1 << slot;
            if closes {
                slots.close_on_exec |= bit;
            } else {
                slots.close_on_exec &= !bit;
            }
        }
    }

    /// Gives an open file the lowest free descriptor from `min` to below `limit`.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub(super) fn add(
        &mut self,
        file: Shared<OpenFile>,
        min: u32,
        limit: u64,
        closes_on_exec: bool,
    ) -> Result<u32, Errno> {
        let fd = self.reserve(min, limit)?;
        drop(self.put(fd, file, closes_on_exec)?);
        Ok(fd)
    }

    /// The lowest free descriptor from `min` to below `limit`. The next [`Self::put`] with it does
    /// not fail.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub(super) fn reserve(&mut self, min: u32, limit: u64) -> Result<u32, Errno> {
        let limit = limit.min(MAX_FILES) as u32;
        let free = (min..limit).find(|&fd| self.get(fd).is_err());
        let fd = free.ok_or(Errno::EMFILE)?;
        self.chunk_for(fd)?;
        Ok(fd)
    }

    /// The chunk of a descriptor, made if it is not there.
    fn chunk_for(&mut self, fd: u32) -> Result<&Shared<Chunk>, Errno> {
        let place = self.chunks.get_mut(fd as usize / CHUNK);
        let place = place.ok_or(Errno::EBADF)?;
        Ok(match place {
            Some(chunk) => chunk,
            None => place.insert(Chunk::create()?),
        })
    }

    /// Gives an open file this descriptor, which is below [`MAX_FILES`], and returns what had it.
    ///
    /// # Errors
    /// ENOMEM; EBADF from [`MAX_FILES`] on.
    pub(super) fn put(
        &mut self,
        fd: u32,
        file: Shared<OpenFile>,
        closes_on_exec: bool,
    ) -> Result<Option<Shared<OpenFile>>, Errno> {
        let slot = fd as usize % CHUNK;
        let chunk = self.chunk_for(fd)?;
        let old = chunk.0.lock().files[slot].replace(file);
        self.set_close_on_exec(fd, closes_on_exec);
        if let Some(old) = &old {
            self.closed(old);
        }
        Ok(old)
    }

    /// Closes a descriptor.
    ///
    /// # Errors
    /// EBADF.
    pub(super) fn close(&mut self, fd: u32) -> Result<(), Errno> {
        let (chunk, slot) = self.chunk(fd).ok_or(Errno::EBADF)?;
        let file = {
            let mut slots = chunk.0.lock();
            slots.close_on_exec &= !(1 << slot);
            slots.files[slot].take().ok_or(Errno::EBADF)?
        };
        self.closed(&file);
        drop(file);
        Ok(())
    }

    /// As POSIX has it: with any descriptor of a file a process loses all its locks on it.
    fn closed(&self, file: &OpenFile) {
        locks::release(self.owner(), Some(file.dentry.inode.ino));
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        locks::release(self.owner(), None);
    }
}
