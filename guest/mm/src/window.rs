//! Looking at one frame, wherever it is.

use crate::{AllocError, Mm, Pfn, machine::Machine};
use core::ptr::NonNull;
use pagelab_abi::PAGE_SIZE;

/// A window onto one frame, closed when it is dropped. Windows close in the reverse order of
/// their opening.
pub(crate) struct Window<'a, M: Machine> {
    machine: &'a M,
    base: NonNull<u8>,
}

impl<'a, M: Machine> Window<'a, M> {
    /// Opens it.
    ///
    /// # Errors
    /// [`AllocError::NoWindow`].
    #[inline]
    pub(crate) fn open(machine: &'a M, pfn: u32) -> Result<Self, AllocError> {
        let base = machine.kmap_local(pfn).ok_or(AllocError::NoWindow)?;
        Ok(Self { machine, base })
    }

    /// The frame's first byte.
    #[inline]
    pub(crate) const fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl<M: Machine> Drop for Window<'_, M> {
    fn drop(&mut self) {
        // SAFETY: the window came from `kmap_local` when this was made, whoever opened one since
        // has dropped it before, and the address goes away with this value.
        unsafe { self.machine.kunmap_local(self.base) }
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// Copies bytes out of a frame that the caller holds a reference to.
    ///
    /// # Errors
    /// [`AllocError::NoWindow`].
    ///
    /// # Panics
    /// If the bytes are not within one page.
    pub fn read_frame(&self, pfn: Pfn, offset: usize, buf: &mut [u8]) -> Result<(), AllocError> {
        check_within(offset, buf.len());
        let window = Window::open(&self.machine, pfn.0)?;
        // SAFETY: the bytes are inside the frame, which is RAM that the caller keeps allocated,
        // and `buf` is not in it: nobody has a reference to a frame's bytes.
        unsafe {
            window
                .base()
                .add(offset)
                .copy_to_nonoverlapping(NonNull::from(&mut *buf).cast(), buf.len());
        }
        Ok(())
    }

    /// Copies bytes into a frame that the caller holds a reference to.
    ///
    /// # Errors
    /// [`AllocError::NoWindow`].
    ///
    /// # Panics
    /// If the bytes are not within one page.
    pub fn write_frame(&self, pfn: Pfn, offset: usize, buf: &[u8]) -> Result<(), AllocError> {
        check_within(offset, buf.len());
        let window = Window::open(&self.machine, pfn.0)?;
        // SAFETY: as in `read_frame`.
        unsafe {
            window
                .base()
                .add(offset)
                .copy_from_nonoverlapping(NonNull::from(buf).cast(), buf.len());
        }
        Ok(())
    }

    /// Fills a part of a frame that the caller holds a reference to with zeros.
    ///
    /// # Errors
    /// [`AllocError::NoWindow`].
    ///
    /// # Panics
    /// If the part is not within one page.
    pub fn zero_frame(&self, pfn: Pfn, offset: usize, len: usize) -> Result<(), AllocError> {
        check_within(offset, len);
        let window = Window::open(&self.machine, pfn.0)?;
        // SAFETY: as in `read_frame`.
        unsafe { window.base().add(offset).write_bytes(0, len) };
        Ok(())
    }
}

fn check_within(offset: usize, len: usize) {
    let page = PAGE_SIZE as usize;
    assert!(
        offset <= page && len <= page - offset,
        "{len} bytes at {offset} are not within a page"
    );
}
