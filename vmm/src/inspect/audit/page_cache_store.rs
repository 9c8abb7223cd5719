//! Clean pages of the page cache and the disk that they came from: the same bytes.

use std::collections::BTreeMap;

use pagelab_abi::{
    PAGE_SHIFT, PAGE_SIZE,
    page_cache::{TAG_DIRTY, TAG_ERROR},
};
use pagelab_ext2::{Device, Ext2};

use super::{AuditResult, Findings};
use crate::devices::block::Backing;
use crate::inspect::decode::{CachedFile, CachedPages, Snapshot};

pub(super) const NAME: &str = "page-cache-store";
const CHECKS: &str = "pages of the disk's files, and of the disk itself, that are clean have in memory what \
                      stands on the disk";

/// Number of the table of operations of the file that is the disk itself: the guest makes it first. That
/// of the files on it comes second.
const RAW: u32 = 1;
const FILES: u32 = 2;

/// The disk as the guest sees it: what it has changed and not yet written is in its memory.
struct Seen<'a> {
    snapshot: &'a Snapshot<'a>,
    backing: &'a Backing,
    /// Frames of the disk's own dirty pages.
    dirty: BTreeMap<u64, u32>,
}

/// A byte cannot be read.
#[derive(Debug)]
struct Unreadable;

impl Device for Seen<'_> {
    type Error = Unreadable;

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        let read = match self.dirty.get(&(at >> PAGE_SHIFT)) {
            Some(pfn) => {
                let gpa = (u64::from(*pfn) << PAGE_SHIFT) + at % PAGE_SIZE;
                self.snapshot.mem().read(gpa, bytes).is_ok()
            }
            None => self.backing.read_at(at, bytes).is_ok(),
        };
        if read { Ok(()) } else { Err(Unreadable) }
    }

    fn write(&self, _at: u64, _bytes: &[u8]) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn forget(&self, _block: u32) -> Result<(), Unreadable> {
        Err(Unreadable)
    }
}

/// Compares the page cache with the disk. Holds between two operations of the guest. Pages whose last writing
/// failed are left out: nobody knows what the disk has of them.
pub fn page_cache_store(snapshot: &Snapshot<'_>, backing: &Backing) -> AuditResult {
    let mut findings = Findings::new();
    let files = match snapshot.cached_files() {
        Ok(files) => files,
        Err(error) => {
            let why = format!("the files cannot be decoded: {error}");
            return AuditResult::skipped(NAME, CHECKS, why);
        }
    };
    let files: Vec<(CachedFile, CachedPages)> = files
        .into_iter()
        .filter(|file| file.a_ops != 0)
        .map(|file| {
            let pages = snapshot.cached_pages(&file);
            (file, pages)
        })
        .collect();
    let raw = files.iter().filter(|(file, _)| file.a_ops == RAW);
    let dirty = raw.flat_map(|(_, pages)| {
        let is_dirty = |it: &&(u64, u32)| pages.tagged[TAG_DIRTY].contains(&it.0);
        pages.pages.iter().filter(is_dirty).copied()
    });
    let seen = Seen {
        snapshot,
        backing,
        dirty: dirty.collect(),
    };
    let disk = Ext2::mount(seen, backing.size() / PAGE_SIZE).ok();
    for (file, pages) in &files {
        for &(index, pfn) in &pages.pages {
            let is_clean = [TAG_DIRTY, TAG_ERROR]
                .iter()
                .all(|tag| !pages.tagged[*tag].contains(&index));
            if !is_clean {
                continue;
            }
            let block = match (file.a_ops, &disk) {
                (RAW, _) => Some(index),
                (FILES, Some(disk)) => match disk.block_of(file.host as u32, index) {
                    Ok(block) => block.map(u64::from),
                    // A corrupt disk is not the page cache's fault.
                    Err(_) => continue,
                },
                _ => continue,
            };
            compare(snapshot, backing, (file, index, pfn), block, &mut findings);
        }
    }
    findings.into_result(NAME, CHECKS)
}

/// Compares a page with a block; without one, with zeros.
fn compare(
    snapshot: &Snapshot<'_>,
    backing: &Backing,
    (file, index, pfn): (&CachedFile, u64, u32),
    block: Option<u64>,
    findings: &mut Findings,
) {
    let [mut cached, mut stored] = [(); 2].map(|()| vec![0; PAGE_SIZE as usize]);
    let gpa = u64::from(pfn) << PAGE_SHIFT;
    if snapshot.mem().read(gpa, &mut cached).is_err() {
        return findings.add(|| format!("frame {pfn:#x} of the page cache is not in RAM"));
    }
    if let Some(block) = block
        && backing.read_at(block * PAGE_SIZE, &mut stored).is_err()
    {
        return findings.add(|| format!("block {block} cannot be read from the disk"));
    }
    let differs = cached.iter().zip(&stored).position(|(a, b)| a != b);
    if let Some(at) = differs {
        findings.add(|| {
            let place = block.map_or("a hole".to_owned(), |block| format!("block {block}"));
            format!(
                "page {index:#x} of inode {} in frame {pfn:#x} is clean, but byte {at:#x} is not that of {place} \
                 of the disk",
                file.host
            )
        });
    }
}
