//! A running guest, saved and read again, by pagelab and by a debugger.

use std::{io::Write, path::PathBuf, process::Command};

use pagelab::inspect::{
    image::{OpenOptions, PhysMem, SavedImage, save},
    pagetable::DeviceRange,
    report,
};
use pagelab_abi::platform::{KERNEL_BASE, MMIO_BASE, MMIO_END};
use tempfile::TempDir;

use crate::guest::{Guest, has_kvm};

/// A guest at the end of boot, and a core of it.
fn saved() -> (Guest, TempDir, PathBuf) {
    let mut guest = Guest::boot("workload=none", 64 << 20);
    guest.run_to_ready();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("core");
    guest.memory(|memory| {
        let state = guest.paging();
        let views = report::kernel_views(memory, state).expect("page tables");
        let cpu = [guest.registers()];
        save(
            &path,
            memory,
            &cpu,
            state.model,
            Some(guest.root_gpa()),
            &views,
        )
        .expect("a file");
    });
    (guest, dir, path)
}

#[test]
fn a_saved_guest_is_what_the_live_one_was() {
    if !has_kvm() {
        return;
    }
    let (guest, _dir, path) = saved();
    let image = SavedImage::open(&path, &OpenOptions::default()).expect("the saved core");
    assert_eq!(image.root(), Some(guest.root_gpa()));
    assert_eq!(image.paging(), guest.paging());
    assert!(!image.efer_is_assumed());
    let devices = [DeviceRange {
        name: "virtio-mmio".into(),
        range: MMIO_BASE..MMIO_END,
    }];
    let report = report::saved_pagetable(&image, &devices).expect("page tables");
    let live = guest.pagetable();
    assert_eq!(report.map.lines, live.map.lines);
    assert_eq!(report.audits, live.audits);
    guest.memory(|memory| {
        assert_eq!(image.memory().ranges(), memory.ranges());
        for range in memory.ranges() {
            let len = (range.end - range.start) as usize;
            assert!(image.memory().slice(range.start, len) == memory.slice(range.start, len));
        }
    });
}

#[test]
fn a_debugger_reads_a_saved_guest() {
    if !has_kvm() {
        return;
    }
    let (guest, _dir, path) = saved();
    // The root page begins with a magic number, which the guest's kernel has in its data.
    let address = KERNEL_BASE + guest.root_gpa();
    let gdb = Command::new("gdb")
        .args([
            "-nx",
            "-batch",
            "-ex",
            &format!("x/7cb {address:#x}"),
            "-ex",
            "info registers rip",
        ])
        .arg("-core")
        .arg(&path)
        .output();
    let Ok(output) = gdb else {
        // If standard error is closed there is nobody to tell.
        let _ = writeln!(
            std::io::stderr(),
            "a_debugger_reads_a_saved_guest: SKIPPED: no gdb"
        );
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    for letter in ["'P'", "'A'", "'G'", "'E'", "'L'", "'B'"] {
        assert!(
            text.contains(letter),
            "{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(
        text.contains(&format!("{:#x}", guest.registers().rip)),
        "{text}"
    );
}
