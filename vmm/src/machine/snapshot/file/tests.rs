//! Snapshots through files.

use std::fs;
use std::path::Path;

use super::super::tests::{booted, run_to, run_to_end};
use super::super::{Outputs, Snapshot};
use super::{MAGIC, SnapshotFileError};
use crate::machine::testing::has_kvm;

fn load(path: &Path, bytes: &[u8]) -> SnapshotFileError {
    fs::write(path, bytes).unwrap();
    Snapshot::load(path).unwrap_err()
}

#[test]
fn a_saved_snapshot_goes_on_as_the_machine_did_and_a_damaged_one_is_refused() {
    if !has_kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("machine");
    let mut machine = booted("swap");
    // Pages are on the swap device by then, the balloon has grown, and the console has lines.
    assert!(run_to(&mut machine, 2000));
    assert!(machine.swap().unwrap().counters().writes > 0);
    let snapshot = machine.snapshot().unwrap();
    snapshot.save(&path, "a note").unwrap();
    let expected = run_to_end(&mut machine);
    let (loaded, note) = Snapshot::load(&path).unwrap();
    assert_eq!(note, "a note");
    assert_eq!(loaded.populated(), snapshot.populated());
    let mut resumed = loaded.fork(Outputs::default()).unwrap();
    assert_eq!(run_to_end(&mut resumed), expected);

    let bytes = fs::read(&path).unwrap();
    let error = load(&path, b"PLAB");
    assert!(matches!(error, SnapshotFileError::NoSnapshot), "{error}");
    let mut other = bytes.clone();
    other[MAGIC.len()] = 99;
    let error = load(&path, &other);
    assert!(error.to_string().contains("version 99"), "{error}");
    for cut in [10, 300, bytes.len() / 2, bytes.len() - 1] {
        let error = load(&path, &bytes[..cut]);
        assert!(matches!(error, SnapshotFileError::CutOff), "{cut}: {error}");
    }
    let error = load(&path, &[&bytes[..], b"x"].concat());
    assert!(matches!(error, SnapshotFileError::Trailing), "{error}");
    // One bit, wherever it is behind the version, is noticed.
    for at in [bytes.len() - 1, bytes.len() - 5000, bytes.len() / 2, 5000] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        fs::write(&path, &other).unwrap();
        assert!(Snapshot::load(&path).is_err(), "byte {at}");
    }
    // What cannot be written leaves what was there.
    fs::write(&path, &bytes).unwrap();
    let error = snapshot.save(Path::new("/no/such/directory/file"), "");
    assert!(matches!(
        error,
        Err(SnapshotFileError::File { step: "write", .. })
    ));
    Snapshot::load(&path).unwrap();
}

#[test]
fn a_snapshot_of_another_cpu_is_refused_by_what_differs() {
    if !has_kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("machine");
    let mut machine = booted("none");
    machine.change_cpuid_for_tests();
    machine.snapshot().unwrap().save(&path, "a note").unwrap();
    let error = Snapshot::load(&path).unwrap_err();
    assert!(
        matches!(error, SnapshotFileError::OtherCpu { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("leaf 0x1.0"), "{error}");
}
