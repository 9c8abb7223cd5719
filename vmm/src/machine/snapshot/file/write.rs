//! From a snapshot to a file.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Header, MAGIC, SnapshotFileError, VERSION};
use crate::devices::block::backing::Sectors;
use crate::machine::dirty_log::ones;
use crate::machine::snapshot::Snapshot;

/// Writes, and sums up what it has written.
struct Summing<W> {
    to: W,
    sum: Sha256,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Snapshot {
    /// Writes the snapshot to a file, which takes the place of one that is there only once it is whole. `note`
    /// is for who reads it.
    ///
    /// # Errors
    /// [`SnapshotFileError::File`] with what the host said; what was there is then still there.
    pub fn save(&self, path: &Path, note: &str) -> Result<(), SnapshotFileError> {
        self.save_all(path, note).map_err(SnapshotFileError::write)
    }

    fn save_all(&self, path: &Path, note: &str) -> io::Result<()> {
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        self.write_to(&mut file, note)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        if let Some(directory) = directory {
            fs::File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    fn write_to(&self, file: &mut impl Write, note: &str) -> io::Result<()> {
        let mut to = Summing {
            to: BufWriter::with_capacity(1 << 20, file),
            sum: Sha256::new(),
        };
        self.write_parts(&mut to, note)?;
        let sum = to.sum.finalize();
        to.to.write_all(&sum)?;
        to.to.flush()
    }

    fn write_parts(&self, to: &mut impl Write, note: &str) -> io::Result<()> {
        let parts = &*self.0;
        let disks = parts.devices.sectors();
        let blocks: Vec<Vec<u64>> = disks
            .iter()
            .map(|disk| disk.map_or(Ok(Vec::new()), Sectors::blocks))
            .collect::<io::Result<_>>()?;
        let header = Header {
            ranges: parts.memory.ranges().to_vec(),
            pages: parts.memory.populated_pages(),
            disks: disks.map(|disk| disk.map(|disk| (disk.size(), disk.is_read_only()))),
            blocks: blocks.iter().map(|blocks| blocks.len() as u64).sum(),
            cpuid: parts.cpuid.as_slice().to_vec(),
            cpu: &parts.cpu,
            devices: &parts.devices,
            run: parts.run,
            kernel: parts.kernel.clone(),
            settings: parts.settings,
            note: note.to_owned(),
        };
        let header = serde_json::to_vec(&header)?;
        to.write_all(&MAGIC)?;
        to.write_all(&VERSION.to_le_bytes())?;
        to.write_all(&(header.len() as u64).to_le_bytes())?;
        to.write_all(&header)?;
        for (index, region) in (0_u32..).zip(parts.memory.regions()) {
            for page in ones(region.populated()) {
                if let Some(bytes) = parts.memory.page(region, page) {
                    put(to, index, page, bytes)?;
                }
            }
        }
        for ((index, disk), blocks) in (0_u32..).zip(disks).zip(blocks) {
            let Some(disk) = disk else { continue };
            for block in blocks {
                put(to, index, block, &disk.block(block)?[..])?;
            }
        }
        Ok(())
    }
}

fn put(to: &mut impl Write, place: u32, number: u64, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&place.to_le_bytes())?;
    to.write_all(&number.to_le_bytes())?;
    to.write_all(bytes)
}
