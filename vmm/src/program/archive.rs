//! The initial ramfs: a newc cpio whose bytes depend on nothing but paths, contents and rights.

use super::Problem;
use cpio::newc::{Builder, ModeFileType, trailer};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// What stands at a path.
enum Entry {
    Directory { mode: u32 },
    File { executable: bool, content: Vec<u8> },
}

/// Files and the directories above them, by path without the leading slash.
pub(super) struct Archive(BTreeMap<String, Entry>);

impl Archive {
    /// An archive with nothing but an empty /tmp.
    pub(super) fn new() -> Self {
        Self(BTreeMap::from([(
            "tmp".to_owned(),
            Entry::Directory { mode: 0o1777 },
        )]))
    }

    /// Adds a file at an absolute path, and the directories above it. Returns false if something
    /// stands there, or a file where a directory would have to be.
    pub(super) fn insert(&mut self, path: &str, executable: bool, content: Vec<u8>) -> bool {
        let path = path.trim_start_matches('/');
        let above = || path.match_indices('/').map(|(at, _)| &path[..at]);
        let is_file = |path: &str| matches!(self.0.get(path), Some(Entry::File { .. }));
        if self.0.contains_key(path) || above().any(is_file) {
            return false;
        }
        for directory in above() {
            let entry = Entry::Directory { mode: 0o755 };
            self.0.entry(directory.to_owned()).or_insert(entry);
        }
        let file = Entry::File {
            executable,
            content,
        };
        self.0.insert(path.to_owned(), file);
        true
    }

    /// The archive's bytes: entries in the order of their paths, of user 0 and of the year 1970.
    pub(super) fn pack(&self) -> Result<Vec<u8>, Problem> {
        self.write().map_err(Problem::Pack)
    }

    fn write(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        for (ino, (path, entry)) in (1..).zip(&self.0) {
            let builder = Builder::new(path).ino(ino).uid(0).gid(0).mtime(0);
            let empty = Vec::new();
            let (builder, content) = match entry {
                Entry::Directory { mode } => (
                    builder
                        .mode(*mode)
                        .set_mode_file_type(ModeFileType::Directory)
                        .nlink(2),
                    &empty,
                ),
                Entry::File {
                    executable,
                    content,
                } => (
                    builder
                        .mode(if *executable { 0o755 } else { 0o644 })
                        .set_mode_file_type(ModeFileType::Regular)
                        .nlink(1),
                    content,
                ),
            };
            let size = u32::try_from(content.len()).map_err(io::Error::other)?;
            let mut writer = builder.write(&mut out, size);
            writer.write_all(content)?;
            writer.finish()?;
        }
        trailer(&mut out)?;
        Ok(out)
    }
}
