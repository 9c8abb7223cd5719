//! Where a disk keeps its sectors.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use super::{BLOCK_SIZE, BackingError, MAX_SIZE, SECTOR_SIZE};

/// Sectors in a file of the host. Which of them exist on the host is the host's affair: those never
/// written read as zeros.
#[derive(Debug)]
pub struct Backing {
    file: File,
    size: u64,
    read_only: bool,
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
            file,
            size,
            read_only: false,
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
            file,
            size,
            read_only,
        })
    }

    /// Another handle to the same sectors.
    #[cfg(test)]
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
            ..*self
        })
    }

    /// Reads from a byte on.
    ///
    /// # Errors
    /// The host's; beyond the end as well.
    pub fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, at)
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
        self.file.write_all_at(bytes, at)
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
        self.file.read_exact_at(bytes, sector * SECTOR_SIZE)
    }

    pub(super) fn write(&self, sector: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, sector * SECTOR_SIZE)
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
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
