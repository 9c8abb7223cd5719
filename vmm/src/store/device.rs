//! A disk's sectors as `pagelab-ext2` wants to have them.

use std::io;

use pagelab_ext2::Device;

use crate::devices::block::Backing;

impl Device for &Backing {
    type Error = io::Error;

    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read_at(at, bytes)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(at, bytes)
    }

    /// Nothing waits to be written.
    fn forget(&self, _block: u32) -> io::Result<()> {
        Ok(())
    }
}
