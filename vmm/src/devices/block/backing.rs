//! Where a disk keeps its sectors.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::layers::{Frozen, Layers};
use super::{BLOCK_SIZE, BackingError, MAX_SIZE, SECTOR_SIZE};
use crate::devices::lock;

/// Sectors in a file of the host. Which of them exist on the host is the host's affair: those never
/// written read as zeros.
///
/// From the first snapshot on the file is only read, and what is written is kept in memory.
#[derive(Debug)]
pub struct Backing {
    file: Arc<File>,
    size: u64,
    read_only: bool,
    /// What was written since the first snapshot; none before.
    layers: Mutex<Option<Layers>>,
}

/// The sectors of a disk at a snapshot, which other disks can stand on.
#[derive(Clone, Debug)]
pub struct Sectors {
    file: Arc<File>,
    size: u64,
    read_only: bool,
    frozen: Frozen,
}

impl Backing {
    /// Anonymous memory of the host, of which only what is written is there.
    ///
    /// # Errors
    /// [`BackingError`] if the size is none of a disk, or the host has no memory.
    pub fn anonymous(size: u64) -> Result<Self, BackingError> {
        if !is_disk_size(size) {
            return Err(BackingError::Size { size });
        }
        let memory = |source| BackingError::Memory { size, source };
        let file = memfd().map_err(memory)?;
        file.set_len(size).map_err(memory)?;
        Ok(Self {
            file: file.into(),
            size,
            read_only: false,
            layers: Mutex::default(),
        })
    }

    /// A file or a block device, for this machine alone unless it is only read.
    ///
    /// # Errors
    /// [`BackingError`] if it cannot be opened, is in use, or has no size of a disk.
    pub fn open(path: &Path, read_only: bool) -> Result<Self, BackingError> {
        let name = || path.to_owned();
        let open = |source| BackingError::Open {
            path: name(),
            source,
        };
        // Looked at before it is opened: opening a pipe would wait for its other end.
        let kind = path.metadata().map_err(open)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(BackingError::NoFile(name()));
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(!read_only)
            .open(path)
            .map_err(open)?;
        let locked = match read_only {
            true => file.try_lock_shared(),
            false => file.try_lock(),
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackingError::InUse(name())),
            Err(TryLockError::Error(source)) => return Err(open(source)),
        }
        // The length of a block device is where it ends.
        let size = file.seek(SeekFrom::End(0)).map_err(open)?;
        if !is_disk_size(size) {
            return Err(BackingError::FileSize { path: name(), size });
        }
        Ok(Self {
            file: file.into(),
            size,
            read_only,
            layers: Mutex::default(),
        })
    }

    /// A disk with the sectors of a snapshot, apart from all others that stand on them.
    pub(crate) fn on(sectors: &Sectors) -> Self {
        Self {
            file: sectors.file.clone(),
            size: sectors.size,
            read_only: sectors.read_only,
            layers: Mutex::new(Some(Layers::above(sectors.frozen.clone()))),
        }
    }

    /// The sectors as they are now. What is written from here on is kept apart from them.
    pub(super) fn freeze(&self) -> Sectors {
        Sectors {
            file: self.file.clone(),
            size: self.size,
            read_only: self.read_only,
            frozen: lock(&self.layers).get_or_insert_default().freeze(),
        }
    }

    /// Makes the sectors those of a snapshot.
    pub(super) fn restore(&mut self, sectors: &Sectors) {
        *self = Self::on(sectors);
    }

    /// Another handle to the same sectors.
    #[cfg(test)]
    pub(crate) fn share(&self) -> Self {
        Self {
            file: self.file.clone(),
            size: self.size,
            read_only: self.read_only,
            layers: Mutex::default(),
        }
    }

    /// Reads from a byte on.
    ///
    /// # Errors
    /// The host's; beyond the end as well.
    pub fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        match &*lock(&self.layers) {
            None => self.file.read_exact_at(bytes, at),
            Some(layers) => self.read_above(layers, at, bytes),
        }
    }

    /// Writes from a byte on, within the disk.
    ///
    /// # Errors
    /// The host's; beyond the end as well.
    pub fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &mut *lock(&self.layers) {
            None => self.file.write_all_at(bytes, at),
            Some(layers) => self.write_above(layers, at, bytes),
        }
    }

    /// Reads the parts that are in a layer from there, and the others from the file.
    fn read_above(&self, layers: &Layers, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        for (number, within, bytes) in blocks(at, bytes) {
            match layers.get(number) {
                Some(block) => bytes.copy_from_slice(&block[within..][..bytes.len()]),
                None => {
                    let at = number * BLOCK_SIZE + within as u64;
                    self.file.read_exact_at(bytes, at)?;
                }
            }
        }
        Ok(())
    }

    fn write_above(&self, layers: &mut Layers, mut at: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let number = at / BLOCK_SIZE;
            let within = (at % BLOCK_SIZE) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_SIZE as usize - within));
            let below = |block: &mut [u8]| self.file.read_exact_at(block, number * BLOCK_SIZE);
            layers.get_mut(number, below)?[within..][..now.len()].copy_from_slice(now);
            at += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Bytes of the disk.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it can only be read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether `len` bytes from `sector` on are on the disk.
    pub(super) fn contains(&self, sector: u64, len: u64) -> bool {
        let end = sector
            .checked_mul(SECTOR_SIZE)
            .and_then(|start| start.checked_add(len));
        end.is_some_and(|end| end <= self.size)
    }

    pub(super) fn read(&self, sector: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read_at(sector * SECTOR_SIZE, bytes)
    }

    pub(super) fn write(&self, sector: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(sector * SECTOR_SIZE, bytes)
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        match &*lock(&self.layers) {
            None => self.file.sync_data(),
            // What is in memory is as safe there as it will ever be.
            Some(_) => Ok(()),
        }
    }
}

/// Cuts bytes of a disk at the ends of its blocks: the block's number, where in it they begin, the bytes.
fn blocks(at: u64, bytes: &mut [u8]) -> impl Iterator<Item = (u64, usize, &mut [u8])> {
    let first = (BLOCK_SIZE - at % BLOCK_SIZE) as usize;
    let (head, tail) = bytes.split_at_mut(first.min(bytes.len()));
    let rest = tail.chunks_mut(BLOCK_SIZE as usize);
    let parts = std::iter::once(head).chain(rest).zip(at / BLOCK_SIZE..);
    parts.enumerate().map(move |(index, (bytes, number))| {
        let within = if index == 0 { at % BLOCK_SIZE } else { 0 };
        (number, within as usize, bytes)
    })
}

impl Sectors {
    /// A disk of which nothing was written, in memory of the host.
    pub(crate) fn empty(size: u64, read_only: bool) -> io::Result<Self> {
        let disk = Backing::anonymous(size).map_err(io::Error::other)?;
        Ok(Self {
            read_only,
            ..disk.freeze()
        })
    }

    /// Writes a block of a disk on which nothing stands yet.
    pub(crate) fn fill(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let at = number.checked_mul(BLOCK_SIZE);
        let at = at.filter(|at| *at < self.size);
        let at = at.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.file.write_all_at(bytes, at)
    }

    /// Bytes of the disk.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it can only be read.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// A block.
    pub(crate) fn block(&self, number: u64) -> io::Result<Box<[u8; BLOCK_SIZE as usize]>> {
        let mut bytes = Box::new([0; BLOCK_SIZE as usize]);
        Backing::on(self).read_at(number * BLOCK_SIZE, &mut bytes[..])?;
        Ok(bytes)
    }

    /// Numbers of the blocks that are not zero, ascending.
    pub(crate) fn blocks(&self) -> io::Result<Vec<u64>> {
        let mut numbers: Vec<u64> = self.frozen.numbers().collect();
        let mut at = 0;
        while let Some(data) = seek(&self.file, at, libc::SEEK_DATA)? {
            // There is a hole at the end of every file.
            at = seek(&self.file, data, libc::SEEK_HOLE)?.unwrap_or(self.size);
            numbers.extend(data / BLOCK_SIZE..at.min(self.size).div_ceil(BLOCK_SIZE));
        }
        numbers.sort_unstable();
        numbers.dedup();
        let mut not_zero = Vec::with_capacity(numbers.len());
        for number in numbers {
            if *self.block(number)? != [0; BLOCK_SIZE as usize] {
                not_zero.push(number);
            }
        }
        Ok(not_zero)
    }
}

/// The next byte from `at` on that is data, or a hole (lseek(2)); none behind the last.
fn seek(file: &File, at: u64, what: libc::c_int) -> io::Result<Option<u64>> {
    let at = libc::off_t::try_from(at).map_err(io::Error::other)?;
    // SAFETY: the call moves the file's position, on which nothing here depends.
    let found = unsafe { libc::lseek(file.as_raw_fd(), at, what) };
    if let Ok(found) = u64::try_from(found) {
        return Ok(Some(found));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENXIO) => Ok(None),
        _ => Err(error),
    }
}

fn is_disk_size(size: u64) -> bool {
    (BLOCK_SIZE..=MAX_SIZE).contains(&size) && size.is_multiple_of(BLOCK_SIZE)
}

fn memfd() -> io::Result<File> {
    // SAFETY: the name is a C string; the call touches nothing else of this process.
    let fd = unsafe { libc::memfd_create(c"pagelab-disk".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nothing else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn anonymous_memory_is_sparse_and_reads_as_zeros() {
        let backing = Backing::anonymous(64 << 30).unwrap();
        let last = (64 << 30) / SECTOR_SIZE - 1;
        let mut bytes = [7; 512];
        backing.read(last, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 512]);
        backing.write(last, &[9; 512]).unwrap();
        backing.flush().unwrap();
        backing.read(last, &mut bytes).unwrap();
        assert_eq!(bytes, [9; 512]);
        let taken = backing.file.metadata().unwrap().blocks() * 512;
        assert!(taken <= 4 << 20, "{taken} bytes for one sector");
    }

    #[test]
    fn what_is_written_after_a_snapshot_is_apart_from_it_and_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        fs::write(&path, vec![3; 3 * BLOCK_SIZE as usize]).unwrap();
        let mut disk = Backing::open(&path, false).unwrap();
        disk.write_at(5000, &[4; 10]).unwrap();
        let snapshot = disk.freeze();
        let other = Backing::on(&snapshot);
        // Over the end of a block, from within one.
        disk.write_at(4000, &[5; 200]).unwrap();
        other.write_at(8192, &[6; 4096]).unwrap();
        let read = |disk: &Backing| {
            let mut bytes = vec![0; 3 * BLOCK_SIZE as usize];
            disk.read_at(0, &mut bytes).unwrap();
            bytes
        };
        let mut expected = vec![3; 3 * BLOCK_SIZE as usize];
        expected[5000..5010].fill(4);
        let at_snapshot = expected.clone();
        let mut of_other = expected.clone();
        expected[4000..4200].fill(5);
        of_other[8192..].fill(6);
        assert!(read(&disk) == expected && read(&other) == of_other);
        let mut part = [0; 300];
        disk.read_at(3990, &mut part).unwrap();
        assert_eq!(part, expected[3990..4290]);
        disk.restore(&snapshot);
        assert!(read(&disk) == at_snapshot && fs::read(&path).unwrap() == at_snapshot);
        assert!(disk.write_at(3 * BLOCK_SIZE, &[1]).is_err());
        assert!(disk.read_at(3 * BLOCK_SIZE, &mut [1]).is_err());
    }

    #[test]
    fn only_what_is_on_the_disk_is_contained() {
        let backing = Backing::anonymous(BLOCK_SIZE).unwrap();
        assert!(backing.contains(0, BLOCK_SIZE) && backing.contains(7, 512));
        for (sector, len) in [(0, BLOCK_SIZE + 1), (8, 1), (u64::MAX, 512), (7, u64::MAX)] {
            assert!(!backing.contains(sector, len), "{sector} {len}");
        }
    }

    #[test]
    fn sizes_that_are_none_of_a_disk_are_named() {
        for size in [0, 1, 511, BLOCK_SIZE + 512, MAX_SIZE + BLOCK_SIZE, u64::MAX] {
            let text = Backing::anonymous(size).unwrap_err().to_string();
            assert!(text.contains(&size.to_string()), "{text}");
        }
    }

    #[test]
    fn a_file_keeps_what_is_written_and_serves_one_machine() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        fs::write(&path, vec![3; 8192]).unwrap();
        let backing = Backing::open(&path, false).unwrap();
        backing.write(1, &[5; 512]).unwrap();
        for read_only in [false, true] {
            let error = Backing::open(&path, read_only).unwrap_err();
            assert!(matches!(error, BackingError::InUse(_)), "{error}");
        }
        drop(backing);
        assert_eq!(fs::read(&path).unwrap()[512..1024], [5; 512]);
        let readers = [true, true].map(|read_only| Backing::open(&path, read_only).unwrap());
        assert!(readers.iter().all(Backing::is_read_only));
    }

    #[test]
    fn what_cannot_be_a_disk_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("short");
        fs::write(&path, [0; 100]).unwrap();
        let error = Backing::open(&path, false).unwrap_err();
        assert!(matches!(error, BackingError::FileSize { size: 100, .. }));
        let error = Backing::open(directory.path(), false).unwrap_err();
        assert!(matches!(error, BackingError::NoFile(_)));
        let error = Backing::open(&directory.path().join("absent"), false).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
    }
}
