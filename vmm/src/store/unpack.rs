//! From a disk to a directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use ext4_view::{DirEntry, Ext4, Ext4Error};

use super::device::Reader;
use super::error::StoreError;
use crate::devices::block::Backing;

/// Directories below each other that are followed: more than a path can have.
const MAX_DEPTH: usize = 2048;

/// Copies what is on a disk into a directory, which is made if it is not there. The disk is not trusted: a
/// name on it is a name and no path, and links are copied, not followed.
///
/// # Errors
/// [`StoreError`].
pub fn unpack(disk: Backing, to: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(to).map_err(StoreError::host(to))?;
    let mut there = fs::read_dir(to).map_err(StoreError::host(to))?;
    if there.next().is_some() {
        return Err(StoreError::NotEmpty(to.to_owned()));
    }
    let view = Ext4::load(Box::new(Reader(disk))).map_err(unreadable)?;
    let root = ext4_view::PathBuf::new("/");
    directory(&view, &root, to, 0)
}

fn unreadable(error: Ext4Error) -> StoreError {
    StoreError::Unreadable(error.to_string())
}

fn directory(
    view: &Ext4,
    from: &ext4_view::PathBuf,
    to: &Path,
    depth: usize,
) -> Result<(), StoreError> {
    if depth > MAX_DEPTH {
        return Err(StoreError::Unreadable("directories have no end".into()));
    }
    for entry in view.read_dir(from).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let bytes: &[u8] = name.as_ref();
        let own = depth == 0 && bytes == b"lost+found";
        if own || bytes == b"." || bytes == b".." {
            continue;
        }
        copy(view, &entry, to, depth)?;
    }
    Ok(())
}

fn copy(view: &Ext4, entry: &DirEntry, to: &Path, depth: usize) -> Result<(), StoreError> {
    let name = entry.file_name();
    let bytes: &[u8] = name.as_ref();
    if bytes.contains(&b'/') || bytes.is_empty() {
        return Err(StoreError::Unreadable("a name contains a slash".into()));
    }
    let to = to.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes));
    let from = entry.path();
    let metadata = view.symlink_metadata(&from).map_err(unreadable)?;
    if metadata.is_symlink() {
        let target = view.read_link(&from).map_err(unreadable)?;
        let target = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(target.as_ref());
        return symlink(target, &to).map_err(StoreError::host(&to));
    }
    if metadata.is_dir() {
        fs::create_dir(&to).map_err(StoreError::host(&to))?;
        directory(view, &from, &to, depth + 1)?;
    } else {
        let content = view.read(&from).map_err(unreadable)?;
        fs::write(&to, content).map_err(StoreError::host(&to))?;
    }
    let mode = Permissions::from_mode(u32::from(metadata.mode()) & 0o777);
    fs::set_permissions(&to, mode).map_err(StoreError::host(&to))
}
