//! System calls, with Linux's names. An error is Linux's errno.

use core::{ffi::CStr, ptr::NonNull};
use linux_raw_sys::general as linux;
use syscalls::{Errno, Sysno, syscall};

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;

/// A mapping that this value owns.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes of private anonymous memory.
    ///
    /// # Errors
    /// Linux's.
    pub fn anonymous(len: usize) -> Result<Self, Errno> {
        let flags = linux::MAP_PRIVATE | linux::MAP_ANONYMOUS;
        Self::new(len, flags, -1)
    }

    /// Maps the first `len` bytes of a file, shared.
    ///
    /// # Errors
    /// Linux's.
    pub fn shared(len: usize, file: &Fd) -> Result<Self, Errno> {
        Self::new(len, linux::MAP_SHARED, file.0)
    }

    fn new(len: usize, flags: u32, fd: i32) -> Result<Self, Errno> {
        let rights = linux::PROT_READ | linux::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { syscall!(Sysno::mmap, 0, len, rights, flags, fd, 0) }?;
        match NonNull::new(start as *mut u8) {
            Some(start) => Ok(Self { start, len }),
            None => Err(Errno::EINVAL),
        }
    }

    /// Number of whole pages.
    pub const fn pages(&self) -> usize {
        self.len / PAGE_SIZE
    }

    /// Stores a byte at the start of each page.
    #[inline]
    pub fn write_each(&self) {
        for page in 0..self.pages() {
            // SAFETY: inside the mapping, which is writable; what else sees it sees only bytes.
            unsafe { self.start.as_ptr().add(page * PAGE_SIZE).write_volatile(1) };
        }
    }

    /// Stores a byte at the start of the first page.
    #[inline]
    pub fn write_first(&self) {
        // SAFETY: as in `write_each`; there is no mapping of no pages.
        unsafe { self.start.as_ptr().write_volatile(1) };
    }

    /// Loads a byte from the start of each page.
    #[inline]
    pub fn read_each(&self) {
        for page in 0..self.pages() {
            // SAFETY: inside the mapping, which is readable.
            unsafe { self.start.as_ptr().add(page * PAGE_SIZE).read_volatile() };
        }
    }

    /// Takes the right to write from every second page, so that each page is an area of its own.
    ///
    /// # Errors
    /// Linux's. Some pages may have changed.
    pub fn stripe(&self) -> Result<(), Errno> {
        for page in (0..self.pages()).step_by(2) {
            let at = self.start.as_ptr() as usize + page * PAGE_SIZE;
            // SAFETY: a page of this mapping, to which nobody has a reference.
            unsafe { syscall!(Sysno::mprotect, at, PAGE_SIZE, linux::PROT_READ) }?;
        }
        Ok(())
    }

    /// Gives it back.
    ///
    /// # Errors
    /// Linux's; then it stays.
    #[inline]
    pub fn unmap(self) -> Result<(), Errno> {
        let mapping = core::mem::ManuallyDrop::new(self);
        mapping.munmap()
    }

    #[inline]
    fn munmap(&self) -> Result<(), Errno> {
        // SAFETY: the whole mapping, which nobody can use afterwards.
        unsafe { syscall!(Sysno::munmap, self.start.as_ptr(), self.len) }.map(drop)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and nothing depends on it.
        let _ = self.munmap();
    }
}

/// An open file, closed when it is dropped.
#[derive(Debug)]
pub struct Fd(i32);

impl Fd {
    /// A file in memory, of `len` bytes of zeros.
    ///
    /// # Errors
    /// Linux's.
    pub fn in_memory(name: &CStr, len: usize) -> Result<Self, Errno> {
        // SAFETY: the name is a string with its NUL.
        let fd = unsafe { syscall!(Sysno::memfd_create, name.as_ptr(), 0) }?;
        let file = Self(fd as i32);
        // SAFETY: touches no memory.
        unsafe { syscall!(Sysno::ftruncate, file.0, len) }?;
        Ok(file)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the file is this value's.
        let _ = unsafe { syscall!(Sysno::close, self.0) };
    }
}

/// A child process that does nothing. It is killed and waited for when it is dropped.
#[derive(Debug)]
pub struct Child(i32);

impl Child {
    /// Forks a child that waits for a signal.
    ///
    /// # Errors
    /// Linux's.
    pub fn paused() -> Result<Self, Errno> {
        match fork()? {
            0 => loop {
                // SAFETY: touches no memory.
                let _ = unsafe { syscall!(Sysno::pause) };
            },
            pid => Ok(Self(pid)),
        }
    }

    /// Forks a child that exits at once.
    ///
    /// # Errors
    /// Linux's.
    #[inline]
    pub fn exiting() -> Result<Self, Errno> {
        match fork()? {
            0 => exit(0),
            pid => Ok(Self(pid)),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Linux's.
    #[inline]
    pub fn wait(self) -> Result<(), Errno> {
        core::mem::ManuallyDrop::new(self).wait4()
    }

    #[inline]
    fn wait4(&self) -> Result<(), Errno> {
        // SAFETY: no status and no usage are asked for, so nothing is written.
        unsafe { syscall!(Sysno::wait4, self.0, 0, 0, 0) }.map(drop)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: touches no memory.
        let _ = unsafe { syscall!(Sysno::kill, self.0, linux::SIGKILL) };
        let _ = self.wait4();
    }
}

/// 0 in the child, the child's number in the parent.
#[inline]
fn fork() -> Result<i32, Errno> {
    // SAFETY: one thread, and the child goes on in a copy of the memory.
    unsafe { syscall!(Sysno::fork) }.map(|pid| pid as i32)
}

/// Asks for the parent's number: the cheapest system call that a C library cannot answer itself.
#[inline]
pub fn getppid() {
    // SAFETY: touches no memory.
    let _ = unsafe { syscall!(Sysno::getppid) };
}

/// Writes to an open file. The number of bytes that were written.
///
/// # Errors
/// Linux's.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the bytes are readable.
    unsafe { syscall!(Sysno::write, fd, bytes.as_ptr(), bytes.len()) }
}

/// Ends the program.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: does not return.
        let _ = unsafe { syscall!(Sysno::exit_group, status) };
    }
}
