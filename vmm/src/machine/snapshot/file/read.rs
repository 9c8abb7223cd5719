//! From a file to a snapshot.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use kvm_bindings::CpuId;
use sha2::{Digest, Sha256};

use super::{MAGIC, MAX_HEADER, OwnedHeader, SUM, SnapshotFileError, VERSION};
use crate::devices::block::backing::Sectors;
use crate::machine::memory::ram_ranges;
use crate::machine::snapshot::memory::{PAGE, Writer};
use crate::machine::snapshot::{Parts, Snapshot};
use crate::machine::{cpuid, host};

/// Reads, and sums up what it has read.
struct Summing<R> {
    from: R,
    sum: Sha256,
}

impl<R: Read> Read for Summing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        self.sum.update(&bytes[..read]);
        Ok(read)
    }
}

impl Snapshot {
    /// Reads a snapshot from a file, and the note that was written with it.
    ///
    /// # Errors
    /// [`SnapshotFileError`] says what is wrong with the file, or that it is of another CPU than KVM has
    /// here.
    pub fn load(path: &Path) -> Result<(Self, String), SnapshotFileError> {
        let (snapshot, note) = Self::load_to_look(path)?;
        check_cpu(&snapshot.0.cpuid)?;
        Ok((snapshot, note))
    }

    /// Whether a file begins as a snapshot does.
    pub fn is_file(path: &Path) -> bool {
        let start = File::open(path).map_err(SnapshotFileError::read);
        start.and_then(|mut file| array(&mut file)).ok() == Some(MAGIC)
    }

    /// As [`Self::load`], on whatever host: to be looked at, and not to go on.
    ///
    /// # Errors
    /// [`SnapshotFileError`] says what is wrong with the file.
    pub fn load_to_look(path: &Path) -> Result<(Self, String), SnapshotFileError> {
        let file = File::open(path).map_err(SnapshotFileError::read)?;
        let mut from = Summing {
            from: BufReader::with_capacity(1 << 20, file),
            sum: Sha256::new(),
        };
        let header = header(&mut from)?;
        let mut memory = Writer::new(header.ranges.clone())?;
        for _ in 0..header.pages {
            let (region, page, bytes) = piece(&mut from)?;
            let range = header.ranges.get(region as usize);
            if range.is_none_or(|range| page >= (range.end - range.start) / PAGE as u64) {
                return Err(senseless("a page outside the machine's memory"));
            }
            memory
                .put(region as usize, page, &bytes)
                .map_err(SnapshotFileError::read)?;
        }
        let mut disks: Vec<Option<Sectors>> = Vec::new();
        for disk in header.disks {
            disks.push(match disk {
                Some((size, read_only)) => Some(
                    Sectors::empty(size, read_only)
                        .map_err(|source| SnapshotFileError::Disk { size, source })?,
                ),
                None => None,
            });
        }
        for _ in 0..header.blocks {
            let (disk, block, bytes) = piece(&mut from)?;
            let disk = disks.get(disk as usize).and_then(Option::as_ref);
            let disk = disk.ok_or_else(|| senseless("a block of a disk that is not there"))?;
            disk.fill(block, &bytes[..])
                .map_err(|_| senseless("a block behind the end of its disk"))?;
        }
        let expected: [u8; SUM] = from.sum.clone().finalize().into();
        let mut found = [0; SUM];
        from.read_exact(&mut found)
            .map_err(SnapshotFileError::read)?;
        if found != expected {
            return Err(SnapshotFileError::Checksum);
        }
        if from.read(&mut [0]).map_err(SnapshotFileError::read)? != 0 {
            return Err(SnapshotFileError::Trailing);
        }
        let mut devices = header.devices;
        if !devices.put_sectors(disks) {
            return Err(senseless("a disk without a device, or the other way round"));
        }
        let cpuid = CpuId::from_entries(&header.cpuid)
            .map_err(|_| senseless("more CPU features than there can be"))?;
        let snapshot = Self(Arc::new(Parts {
            memory: Arc::new(memory.finish()?),
            cpu: header.cpu,
            devices,
            run: header.run,
            cpuid,
            kernel: header.kernel,
            settings: header.settings,
        }));
        Ok((snapshot, header.note))
    }
}

fn senseless(what: &str) -> SnapshotFileError {
    SnapshotFileError::Senseless(what.to_owned())
}

fn header(from: &mut impl Read) -> Result<OwnedHeader, SnapshotFileError> {
    let magic = array::<8>(from).map_err(|error| match error {
        SnapshotFileError::CutOff => SnapshotFileError::NoSnapshot,
        other => other,
    })?;
    if magic != MAGIC {
        return Err(SnapshotFileError::NoSnapshot);
    }
    let version = u32::from_le_bytes(array(from)?);
    if version != VERSION {
        return Err(SnapshotFileError::Version(version));
    }
    let len = u64::from_le_bytes(array(from)?);
    if len > MAX_HEADER {
        return Err(SnapshotFileError::Checksum);
    }
    let mut bytes = Vec::new();
    let read = from.take(len).read_to_end(&mut bytes);
    if read.map_err(SnapshotFileError::read)? as u64 != len {
        return Err(SnapshotFileError::CutOff);
    }
    // Bytes that are no header were most likely changed: there is no checksum before the end.
    let header: OwnedHeader =
        serde_json::from_slice(&bytes).map_err(|_| SnapshotFileError::Checksum)?;
    let memory = header
        .ranges
        .iter()
        .map(|range| range.end.saturating_sub(range.start))
        .fold(0_u64, u64::saturating_add);
    match ram_ranges(memory) {
        Ok(ranges) if ranges == header.ranges => Ok(header),
        _ => Err(senseless("memory that no machine has")),
    }
}

fn array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], SnapshotFileError> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)
        .map_err(SnapshotFileError::read)?;
    Ok(bytes)
}

/// A page or a block, with its place.
fn piece(from: &mut impl Read) -> Result<(u32, u64, Box<[u8; PAGE]>), SnapshotFileError> {
    let place = u32::from_le_bytes(array(from)?);
    let number = u64::from_le_bytes(array(from)?);
    let mut bytes = Box::new([0; PAGE]);
    from.read_exact(&mut bytes[..])
        .map_err(SnapshotFileError::read)?;
    Ok((place, number, bytes))
}

/// The guest has found out what its CPU can do, and counts on it.
fn check_cpu(saved: &CpuId) -> Result<(), SnapshotFileError> {
    let here = cpuid::supported(&host::open()?)?;
    if &here == saved {
        return Ok(());
    }
    let differs = saved
        .as_slice()
        .iter()
        .find(|entry| !here.as_slice().contains(entry));
    let what = match differs {
        Some(leaf) => format!("leaf {:#x}.{} of CPUID", leaf.function, leaf.index),
        None => "the number of leaves of CPUID".to_owned(),
    };
    let vendor = String::from_utf8_lossy(&cpuid::vendor(saved)).into_owned();
    Err(SnapshotFileError::OtherCpu { what, vendor })
}
