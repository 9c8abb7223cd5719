//! A disk's sectors as `pagelab-ext2` and `ext4-view` want to have them.

use std::io;

use ext4_view::Ext4Read;
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

/// A disk to read.
pub(super) struct Reader(pub(super) Backing);

impl Ext4Read for Reader {
    fn read(
        &mut self,
        at: u64,
        bytes: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        Ok(self.0.read_at(at, bytes)?)
    }
}
