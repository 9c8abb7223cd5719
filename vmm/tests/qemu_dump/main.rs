//! An image that another program made: QEMU boots pagelab's guest, dumps its memory, and the
//! inspector reads the dump.

mod qemu;

use std::fs;

use pagelab::inspect::{
    Outcome,
    image::{ImageError, ImageKind, OpenError, OpenOptions, PhysMem, SavedImage},
    pagetable::DeviceRange,
    report,
};
use pagelab_abi::platform::{KERNEL_BASE, MMIO_BASE, MMIO_END};
use qemu::Qemu;

/// Where QEMU's microvm has its virtio-mmio windows (hw/i386/microvm.c).
const MICROVM_MMIO: std::ops::Range<u64> = 0xfeb0_0000..0xfec0_0000;

#[test]
fn a_dump_by_qemu_is_read_walked_and_audited() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(mut qemu) = Qemu::boot(dir.path()) else {
        return;
    };
    qemu.stop_at_ready();
    for paging in [false, true] {
        let path = dir.path().join(format!("dump-{paging}"));
        qemu.dump(&path, paging);
        let image = SavedImage::open(&path, &OpenOptions::default())
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(image.kind(), ImageKind::ElfCore);
        assert_eq!(image.cpus().len(), 1);
        assert!(image.efer_is_assumed(), "QEMU's notes have no EFER");
        assert_eq!(
            image.memory().ranges().first().map(|range| range.start),
            Some(0)
        );
        let root = image.root().expect("the guest's root page");

        let devices = [
            DeviceRange {
                name: "virtio-mmio".into(),
                range: MMIO_BASE..MMIO_END,
            },
            DeviceRange {
                name: "virtio-mmio".into(),
                range: MICROVM_MMIO,
            },
        ];
        let report = report::saved_pagetable(&image, &devices).expect("page tables");
        let text = report.map.display(100).to_string();
        for audit in &report.audits {
            assert_eq!(audit.outcome, Outcome::Held, "{audit:#?}\n{text}");
        }
        // The guest's own word for where its page tables are.
        let page = pagelab::inspect::image::read_root(image.memory(), root).expect("a root page");
        assert_eq!(page.kernel.cr3 & !0xfff, image.paging().cr3 & !0xfff);
        let tables =
            pagelab::inspect::pagetable::PageTables::new(image.memory(), image.paging()).unwrap();
        assert_eq!(
            tables.translate(KERNEL_BASE + root).map(|found| found.gpa),
            Ok(root)
        );
    }
    cut_dump_names_both_sizes(&dir.path().join("dump-false"));
}

fn cut_dump_names_both_sizes(path: &std::path::Path) {
    let whole = fs::metadata(path).expect("the dump").len();
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(whole / 2))
        .expect("a dump that can be cut");
    match SavedImage::open(path, &OpenOptions::default()) {
        Err(OpenError::Image(ImageError::Truncated { expected, actual })) => {
            // QEMU ends its file with a section of names, which is nobody's memory.
            assert!(
                (whole - 64..=whole).contains(&expected),
                "{expected} of {whole}"
            );
            assert_eq!(actual, whole / 2);
        }
        other => panic!("{other:?}"),
    }
}
