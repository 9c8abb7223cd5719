//! The page cache beside the disk behind it.

use std::sync::OnceLock;

use pagelab_abi::PAGE_SIZE;
use pagelab_ext2::{FileKind, ROOT_INO, format};
use pagelab_mm::{
    Mm, Pfn,
    page_cache::{AddressSpaceOperations, FileError},
    testing::TestMachine,
};

use crate::devices::block::Backing;
use crate::inspect::{AuditResult, Outcome, audit, test_programs::Programs};

const PAGE: usize = PAGE_SIZE as usize;
const BLOCKS: u64 = 256;

/// A disk whose pages, from a block on, are a file's.
struct Store {
    disk: Backing,
    first: u64,
}

impl AddressSpaceOperations<TestMachine> for Store {
    fn name(&self) -> &'static str {
        "test"
    }

    fn read_folio(
        &self,
        mm: &Mm<TestMachine>,
        _host: u64,
        index: u64,
        pfn: Pfn,
    ) -> Result<(), FileError> {
        let mut bytes = [0; PAGE];
        let at = (self.first + index) * PAGE_SIZE;
        self.disk
            .read_at(at, &mut bytes)
            .map_err(|_| FileError::Io)?;
        Ok(mm.write_frame(pfn, 0, &bytes)?)
    }

    fn writepage(
        &self,
        _mm: &Mm<TestMachine>,
        _host: u64,
        _index: u64,
        _pfn: Pfn,
    ) -> Result<(), FileError> {
        Err(FileError::Io)
    }

    fn write_begin(&self, _: &Mm<TestMachine>, _: u64, _: u64) -> Result<(), FileError> {
        Ok(())
    }

    fn truncate(&self, _: &Mm<TestMachine>, _: u64, _: u64) -> Result<(), FileError> {
        Err(FileError::Unsupported)
    }
}

#[test]
fn a_clean_page_that_is_not_what_the_disk_has_is_found() {
    static STORES: OnceLock<[Store; 2]> = OnceLock::new();
    let disk = Backing::anonymous(BLOCKS * PAGE_SIZE).unwrap();
    let fs = format(&disk, BLOCKS, [1; 16], 0).unwrap();
    let ino = fs.new_inode(ROOT_INO, FileKind::Regular, 0o644, 0).unwrap();
    let block = u64::from(fs.make_block(ino, 0).unwrap());
    disk.write_at(block * PAGE_SIZE, &[7; PAGE]).unwrap();
    let stores = STORES.get_or_init(|| {
        [0, block].map(|first| Store {
            disk: disk.share(),
            first,
        })
    });
    let programs = Programs::new();
    let mm = programs.users[0].mm();
    let [raw, file] = stores
        .each_ref()
        .map(|store| mm.register_store(store).unwrap());
    let raw = mm.file_with_store(raw, 0, BLOCKS * PAGE_SIZE).unwrap();
    let file = mm.file_with_store(file, ino.into(), PAGE_SIZE).unwrap();
    let mut bytes = [0; PAGE];
    assert_eq!(mm.file_read(raw, PAGE_SIZE, &mut bytes), Ok(PAGE));
    assert_eq!(mm.file_read(file, 0, &mut bytes), Ok(PAGE));
    assert_eq!(bytes, [7; PAGE]);
    let result = || -> AuditResult {
        let image = programs.image();
        audit::page_cache_store(&image.snapshot(), &disk)
    };
    assert_eq!(result().outcome, Outcome::Held, "{:#?}", result());
    let finds = |words: &str| {
        let found = result();
        assert_eq!(found.outcome, Outcome::Violated);
        assert!(found.findings[0].contains(words), "{found:#?}");
    };
    disk.write_at(block * PAGE_SIZE + 9, &[8]).unwrap();
    finds("byte 0x9 is not that of block");
    disk.write_at(block * PAGE_SIZE + 9, &[7]).unwrap();
    disk.write_at(PAGE_SIZE + 4000, &[8]).unwrap();
    finds("page 0x1 of inode 0");
    disk.write_at(PAGE_SIZE + 4000, &[0]).unwrap();
    assert_eq!(result().outcome, Outcome::Held);
    // A dirty page is newer than the disk, as it should be.
    mm.file_write(file, 3, b"new").unwrap();
    assert_eq!(result().outcome, Outcome::Held);
    mm.file_put(file);
    mm.file_put(raw);
}
