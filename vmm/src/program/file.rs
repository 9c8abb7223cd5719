//! `--file HOST[:GUEST]`: a file of the host for the program to find.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};
use thiserror::Error;

/// Names at the top of the guest's tree that the guest, or the hand-over itself, needs.
const RESERVED: [&str; 5] = [".pagelab", "dev", "proc", "tmp", "sys"];

/// A file of the host and where it stands in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraFile {
    /// Path on the host.
    pub host: PathBuf,
    /// Absolute path in the guest.
    pub guest: String,
}

/// Why a file cannot be placed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FileSpecError {
    /// There is no path on the host.
    #[error("'{0}' names no file; write HOST or HOST:/GUEST")]
    Empty(String),
    /// The path in the guest is not absolute or not plain.
    #[error(
        "'{0}' is no path for a file in the guest; write an absolute one without '.', '..' or \
         empty parts, such as /data/input"
    )]
    BadGuestPath(String),
    /// The path in the guest belongs to the guest itself.
    #[error("'{0}' belongs to the guest itself; write another path, such as /data/input")]
    Reserved(String),
}

/// Whether a name at the top of the tree is the guest's own.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

impl FromStr for ExtraFile {
    type Err = FileSpecError;

    fn from_str(text: &str) -> Result<Self, FileSpecError> {
        let (host, guest) = match text.split_once(':') {
            Some((host, guest)) => (host, guest.to_owned()),
            None => {
                let name = Path::new(text).file_name().and_then(|name| name.to_str());
                (text, format!("/{}", name.unwrap_or_default()))
            }
        };
        if host.is_empty() {
            return Err(FileSpecError::Empty(text.to_owned()));
        }
        let parts = guest.strip_prefix('/').map(|rest| rest.split('/'));
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        let Some(mut parts) = parts.filter(|parts| parts.clone().all(plain)) else {
            return Err(FileSpecError::BadGuestPath(guest));
        };
        let top = parts.next().unwrap_or_default();
        // Files may go into /tmp, but not into its place.
        if is_reserved(top) && !(top == "tmp" && parts.next().is_some()) {
            return Err(FileSpecError::Reserved(guest));
        }
        Ok(Self {
            host: host.into(),
            guest,
        })
    }
}
