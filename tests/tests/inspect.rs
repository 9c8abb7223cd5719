//! `pagelab inspect` on saved images, and that looking changes nothing.

use pagelab_tests::{kvm, pagelab};
use std::fs;

#[test]
fn a_saved_machine_says_what_the_live_one_said() {
    if !kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let core = folder.path().join("vm.core");
    let core = core.to_str().unwrap();
    let live = pagelab(&[
        "run",
        "--memory",
        "64M",
        "--workload",
        "buddy",
        "--stop-at",
        "900",
        "--inspect",
        "pagetable,zoneinfo,buddyinfo,slabinfo",
        "--format",
        "json",
        "--save",
        core,
    ]);
    assert_eq!(live.status, Some(0), "{live:#?}");
    let before = fs::read(core).unwrap();
    let saved = pagelab(&[
        "inspect",
        core,
        "--inspect",
        "pagetable,zoneinfo,buddyinfo,slabinfo",
        "--format",
        "json",
    ]);
    assert_eq!(saved.status, Some(0), "{saved:#?}");
    assert_eq!(saved.json()["views"], live.json()["views"]);
    assert_eq!(fs::read(core).unwrap(), before, "looking changed the image");

    // Truncated: named as such.
    let cut = folder.path().join("cut.core");
    fs::write(&cut, &before[..before.len() / 2]).unwrap();
    let ran = pagelab(&["inspect", cut.to_str().unwrap()]);
    assert_eq!(ran.status, Some(2), "{ran:#?}");
    assert!(ran.stderr.contains("truncated"), "{ran:#?}");
}

#[test]
fn another_abi_version_is_refused_by_name() {
    if !kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let core = folder.path().join("vm.core");
    let path = core.to_str().unwrap();
    let run = [
        "run",
        "--memory",
        "64M",
        "--workload",
        "none",
        "--save",
        path,
    ];
    assert_eq!(pagelab(&run).status, Some(0));
    let mut bytes = fs::read(&core).unwrap();
    let magic = b"PAGELAB\x1a";
    let places: Vec<usize> = (0..bytes.len() - 8)
        .filter(|at| &bytes[*at..*at + 8] == magic)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 8..at + 12].copy_from_slice(&99u32.to_le_bytes());
    }
    fs::write(&core, bytes).unwrap();
    let ran = pagelab(&["inspect", path, "--inspect", "buddyinfo"]);
    assert_eq!(ran.status, Some(2), "{ran:#?}");
    assert!(ran.stderr.contains("99"), "{ran:#?}");
}
