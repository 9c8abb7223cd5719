//! A directory becomes a disk, and that one a directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::size::ByteSize;

#[test]
fn a_directory_comes_back_as_it_went() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    fs::create_dir_all(from.join("sub/deeper")).unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7) as u8).collect();
    fs::write(from.join("sub/large"), &large).unwrap();
    fs::write(from.join("hole"), vec![0; 100_000]).unwrap();
    fs::write(from.join("sub/deeper/run"), "x").unwrap();
    let mode = fs::Permissions::from_mode(0o751);
    fs::set_permissions(from.join("sub/deeper/run"), mode).unwrap();
    symlink("sub/large", from.join("link")).unwrap();
    let disk = open(&DiskSource::File(from)).unwrap();
    unpack(&disk, &to).unwrap();
    assert_eq!(fs::read(to.join("sub/large")).unwrap(), large);
    assert_eq!(fs::read(to.join("hole")).unwrap(), vec![0; 100_000]);
    assert_eq!(
        fs::read_link(to.join("link")).unwrap().to_str(),
        Some("sub/large")
    );
    let mode = to.join("sub/deeper/run").metadata().unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o751);
    assert_eq!(fs::read_dir(&to).unwrap().count(), 3);
    let again = open(&DiskSource::File(to.clone())).unwrap();
    let error = unpack(&again, &to).unwrap_err();
    assert!(matches!(error, StoreError::NotEmpty(_)), "{error}");
}

#[test]
fn what_cannot_be_a_disk_is_refused_by_name() {
    let size = DiskSource::Memory(ByteSize(8192));
    let error = open(&size).unwrap_err().to_string();
    assert!(error.contains("8192") && error.contains("256K"), "{error}");
    let absent = DiskSource::File("/no/such/disk".into());
    let error = open(&absent).unwrap_err().to_string();
    assert!(error.contains("/no/such/disk"), "{error}");
    // No file system at all.
    let disk = Backing::anonymous(1 << 20).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let error = unpack(&disk, &directory.path().join("to")).unwrap_err();
    assert!(matches!(error, StoreError::Unreadable(_)), "{error}");
}
