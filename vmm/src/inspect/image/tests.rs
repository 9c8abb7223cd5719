//! Tests of saved images as a whole.

use std::{fs, path::PathBuf};

use tempfile::TempDir;
use zerocopy::IntoBytes;

use super::*;
use crate::inspect::pagetable::{
    CpuModel,
    bits::{CR4_PAE as CR4, EFER_LMA, EFER_TYPICAL},
};

const MODEL: CpuModel = CpuModel {
    phys_bits: 46,
    gib_pages: false,
    upper_global_reserved: true,
};

/// Two ranges of memory with something at both ends.
fn memory() -> SegmentedMemory<Vec<u8>> {
    let mut memory =
        SegmentedMemory::flat(vec![0; 64 * PAGE_BYTES], Some(0x1_0000..0x10_0000)).unwrap();
    for gpa in [0x1000, 0xfff0, 0x10_0000, 0x12_fff8] {
        memory
            .slice_mut(gpa, 8)
            .unwrap()
            .copy_from_slice(&gpa.to_le_bytes());
    }
    memory
}

fn cpu() -> CpuRegisters {
    CpuRegisters {
        rip: 0x1000,
        cr: [0x8001_0001, 0, 0, 0x2000, CR4],
        efer: Some(EFER_LMA),
        pkru: Some(12),
        kernel_gs_base: Some(7),
        ..CpuRegisters::default()
    }
}

/// A directory with a saved core in it.
fn saved(memory: &SegmentedMemory<Vec<u8>>, root: Option<u64>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core");
    let view = VirtualView {
        va: 0xffff_8880_0010_0000,
        gpa: 0x10_0000,
        len: 0x2000,
    };
    save(
        &path,
        memory,
        &[cpu(), CpuRegisters::default()],
        MODEL,
        root,
        &[view],
    )
    .unwrap();
    (dir, path)
}

fn open(path: &std::path::Path) -> Result<SavedImage, OpenError> {
    SavedImage::open(path, &OpenOptions::default())
}

#[test]
fn what_is_saved_is_read_again() {
    let memory = memory();
    let (_dir, path) = saved(&memory, None);
    let image = open(&path).unwrap();
    assert_eq!(image.kind(), ImageKind::ElfCore);
    assert_eq!(image.memory().ranges(), memory.ranges());
    for range in memory.ranges() {
        let len = (range.end - range.start) as usize;
        assert_eq!(
            image.memory().slice(range.start, len),
            memory.slice(range.start, len)
        );
    }
    assert_eq!(
        image.cpus(),
        [
            cpu(),
            CpuRegisters {
                efer: None,
                ..image.cpus()[1].clone()
            }
        ]
    );
    let paging = image.paging();
    assert_eq!(
        (paging.cr3, paging.efer, paging.pkru),
        (0x2000, EFER_LMA, 12)
    );
    assert_eq!(paging.model, MODEL);
    assert!(!image.efer_is_assumed());
    assert_eq!(image.root(), None);
}

#[test]
fn zero_pages_are_holes_in_the_file() {
    use std::os::unix::fs::MetadataExt;
    let memory = SegmentedMemory::flat(vec![0; 16 << 20], None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core");
    let report = save(&path, &memory, &[cpu()], MODEL, None, &[]).unwrap();
    assert_eq!(report.stored, 0);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.len(), report.size);
    assert!(
        metadata.blocks() * 512 < 1 << 20,
        "{} blocks",
        metadata.blocks()
    );
}

#[test]
fn options_replace_registers() {
    let (_dir, path) = saved(&memory(), None);
    let options = OpenOptions {
        cr3: Some(0x5000),
        efer: Some(EFER_TYPICAL),
        phys_bits: Some(40),
        ..OpenOptions::default()
    };
    let paging = SavedImage::open(&path, &options).unwrap().paging();
    assert_eq!((paging.cr3, paging.efer), (0x5000, EFER_TYPICAL));
    assert_eq!(paging.model.phys_bits, 40);
    let second = OpenOptions {
        cpu: 1,
        ..OpenOptions::default()
    };
    let image = SavedImage::open(&path, &second).unwrap();
    assert!(
        image.efer_is_assumed(),
        "the file tells EFER of the first CPU only"
    );
    let third = OpenOptions {
        cpu: 2,
        ..OpenOptions::default()
    };
    assert!(matches!(
        SavedImage::open(&path, &third),
        Err(OpenError::NoSuchCpu { asked: 2, cpus: 2 })
    ));
    let narrow = OpenOptions {
        phys_bits: Some(20),
        ..OpenOptions::default()
    };
    assert!(matches!(
        SavedImage::open(&path, &narrow),
        Err(OpenError::Model(_))
    ));
}

#[test]
fn a_cut_core_names_both_sizes() {
    let (_dir, path) = saved(&memory(), None);
    let whole = fs::read(&path).unwrap();
    for len in [whole.len() - 1, whole.len() / 2, 300, 100] {
        fs::write(&path, &whole[..len]).unwrap();
        match open(&path) {
            Err(OpenError::Image(ImageError::Truncated { expected, actual })) => {
                assert!(expected > actual, "{expected} {actual}");
                assert_eq!(actual, len as u64);
            }
            other => panic!("cut to {len}: {other:?}"),
        }
    }
    for len in [63, 20, 4] {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(
            matches!(open(&path), Err(OpenError::Image(ImageError::Elf(_)))),
            "cut to {len}"
        );
    }
    fs::write(&path, &whole[..0]).unwrap();
    assert!(matches!(
        open(&path),
        Err(OpenError::Image(ImageError::NotPageSized { size: 0 }))
    ));
}

#[test]
fn other_elf_files_are_refused_by_name() {
    let (_dir, path) = saved(&memory(), None);
    let whole = fs::read(&path).unwrap();
    let with = |at: usize, value: u8| {
        let mut changed = whole.clone();
        changed[at] = value;
        fs::write(&path, changed).unwrap();
        match open(&path) {
            Err(OpenError::Image(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(with(4, 1), ImageError::WrongClass));
    assert!(matches!(with(16, 2), ImageError::NotACore { found: 2 }));
    assert!(matches!(
        with(18, 183),
        ImageError::WrongMachine { machine: 183 }
    ));
    fs::write(&path, b"KDUMP   and more").unwrap();
    assert!(matches!(
        open(&path),
        Err(OpenError::Image(ImageError::Compressed))
    ));
}

#[test]
fn every_cut_and_every_changed_byte_of_the_headers_is_survived() {
    let memory = SegmentedMemory::flat(vec![1; 2 * PAGE_BYTES], None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core");
    save(&path, &memory, &[cpu()], MODEL, None, &[]).unwrap();
    let whole = fs::read(&path).unwrap();
    let headers = whole.len() - 2 * PAGE_BYTES;
    for at in (0..headers).filter(|at| at % 3 == 0 || *at < 200) {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        fs::write(&path, &changed).unwrap();
        // Any answer will do; a panic will not.
        if let Ok(image) = open(&path) {
            for range in image.memory().ranges() {
                assert!(image.memory().page(range.end - PAGE_BYTES as u64).is_some());
            }
        }
    }
}

#[test]
fn a_raw_image_takes_cr3_from_its_root() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raw");
    let mut memory = SegmentedMemory::flat(vec![0; 16 * PAGE_BYTES], None).unwrap();
    fs::write(&path, memory.data()).unwrap();
    assert!(matches!(
        open(&path),
        Err(OpenError::Image(ImageError::NoCr3))
    ));

    let mut root = pagelab_abi::root::Root::new();
    root.kernel.cr3 = 0x4000;
    memory
        .slice_mut(0x3000, PAGE_BYTES)
        .unwrap()
        .copy_from_slice(root.as_mut_bytes());
    fs::write(&path, memory.data()).unwrap();
    let image = open(&path).unwrap();
    assert_eq!(
        (image.kind(), image.root(), image.paging().cr3),
        (ImageKind::Raw, Some(0x3000), 0x4000)
    );
    assert!(image.efer_is_assumed());

    fs::write(&path, &memory.data()[..5000]).unwrap();
    assert!(matches!(
        open(&path),
        Err(OpenError::Image(ImageError::NotPageSized { size: 5000 }))
    ));
}

#[test]
fn another_abi_version_is_refused() {
    let (_dir, path) = saved(&memory(), Some(0x3000));
    let mut whole = fs::read(&path).unwrap();
    let name = whole
        .windows(8)
        .position(|bytes| bytes == b"PAGELAB\0")
        .unwrap();
    whole[name + 12] ^= 0x40;
    fs::write(&path, &whole).unwrap();
    assert!(matches!(
        open(&path),
        Err(OpenError::Image(ImageError::WrongAbi { gpa: 0x3000, .. }))
    ));
}

#[test]
fn a_file_that_cannot_be_saved_is_not_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core");
    let view = VirtualView {
        va: 0,
        gpa: 0x50_0000,
        len: 0x1000,
    };
    let error = save(&path, &memory(), &[cpu()], MODEL, None, &[view]).unwrap_err();
    assert!(matches!(error, ImageError::Save { .. }), "{error}");
    assert!(!path.exists());
    assert!(matches!(
        open(&path),
        Err(OpenError::Image(ImageError::Open { .. }))
    ));
}
