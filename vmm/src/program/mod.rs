//! A Linux program as the guest's workload: what the host checks, packs and hands over.
//!
//! * [`ProgramSpec`]: what was asked for. [`Program`]: the same, read, checked and packed.
//! * `elf`: whether the guest can run the file. `archive`: the initial ramfs, a newc cpio that
//!   depends on nothing but its content. `file`: `--file HOST[:GUEST]`. `environment`: what the
//!   program finds in it.

mod archive;
mod elf;
mod environment;
mod error;
mod file;
#[cfg(test)]
mod tests;

pub use environment::{DEFAULT_ENVIRONMENT, Variable, VariableError};
pub use error::{Problem, ProgramError};
pub use file::{ExtraFile, FileSpecError};

use archive::Archive;
use pagelab_abi::program::{ARGV_FILE, ENVP_FILE};
use serde::{Deserialize, Serialize};
use std::{
    ffi::{OsStr, OsString},
    fmt, fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    sync::Arc,
};

/// Longest single argument or variable in bytes, its NUL included (Linux: `MAX_ARG_STRLEN`).
const MAX_STRING: u64 = 128 << 10;

/// Bytes of all arguments and variables with the pointers to them: a quarter of the 8 MiB that
/// Linux gives a stack.
const MAX_STRINGS: u64 = 2 << 20;

/// Largest file that is packed: what is above the end of low memory could not be handed over.
const MAX_FILE: u64 = 896 << 20;

/// A program to run, as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramSpec {
    /// The program's path on the host, and its arguments.
    pub command: Vec<OsString>,
    /// Variables besides the default ones; a later one of the same name counts.
    pub env: Vec<Variable>,
    /// More files for the guest.
    pub files: Vec<ExtraFile>,
}

/// A program that was checked and packed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Program {
    guest_path: String,
    argv: Vec<OsString>,
    /// Of no use once the guest has booted.
    #[serde(skip)]
    archive: Arc<[u8]>,
}

impl Program {
    /// Reads, checks and packs what `spec` names.
    ///
    /// # Errors
    /// [`ProgramError`] says which file cannot be used, why, and what to do.
    pub fn load(spec: &ProgramSpec) -> Result<Self, ProgramError> {
        let path = spec.command.first().cloned().unwrap_or_default();
        Self::load_from(Path::new(&path), spec)
    }

    /// As [`Self::load`], of a program that is at `path`, whatever the command calls it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_from(path: &Path, spec: &ProgramSpec) -> Result<Self, ProgramError> {
        let failed = |problem| ProgramError::new(path, problem);
        let (bytes, _) = read(path).map_err(failed)?;
        elf::check(&bytes).map_err(failed)?;
        let env = environment::merged(&spec.env);
        check_strings(spec.command.iter().chain(&env)).map_err(failed)?;

        let guest_path = guest_path(path);
        let mut archive = Archive::new();
        archive.insert(&guest_path, true, bytes);
        archive.insert(ARGV_FILE, false, terminated(&spec.command));
        archive.insert(ENVP_FILE, false, terminated(&env));
        for file in &spec.files {
            let failed = |problem| ProgramError::new(&file.host, problem);
            let (bytes, executable) = read(&file.host).map_err(failed)?;
            if !archive.insert(&file.guest, executable, bytes) {
                return Err(failed(Problem::Taken(file.guest.clone())));
            }
        }
        Ok(Self {
            guest_path,
            argv: spec.command.clone(),
            archive: archive.pack().map_err(failed)?.into(),
        })
    }

    /// The program's path in the guest.
    pub fn guest_path(&self) -> &str {
        &self.guest_path
    }

    /// The program's name as it was given, and its arguments.
    pub fn argv(&self) -> &[OsString] {
        &self.argv
    }

    /// The initial ramfs.
    pub fn archive(&self) -> Arc<[u8]> {
        self.archive.clone()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("guest_path", &self.guest_path)
            .field("argv", &self.argv)
            .finish_non_exhaustive()
    }
}

/// The content of a file, and whether it may be executed.
fn read(path: &Path) -> Result<(Vec<u8>, bool), Problem> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(Problem::NotAFile);
    }
    if about.len() > MAX_FILE {
        return Err(Problem::TooLarge(about.len()));
    }
    Ok((fs::read(path)?, about.permissions().mode() & 0o111 != 0))
}

/// Where the program stands in the guest: its own name at the top, if it is one that a kernel
/// command line can carry and that stands there for nothing else.
fn guest_path(path: &Path) -> String {
    let plain = |name: &&str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        name.bytes().all(is_plain) && !file::is_reserved(name)
    };
    let name = path.file_name().and_then(OsStr::to_str).filter(plain);
    format!("/{}", name.unwrap_or("program"))
}

fn check_strings<'a>(strings: impl Iterator<Item = &'a OsString>) -> Result<(), Problem> {
    let mut total = 0;
    for string in strings {
        let bytes = string.as_bytes();
        if bytes.contains(&0) {
            return Err(io::Error::other("an argument or variable holds a NUL").into());
        }
        let len = bytes.len() as u64 + 1;
        if len > MAX_STRING {
            return Err(Problem::StringTooLong {
                len,
                max: MAX_STRING,
            });
        }
        total += len + size_of::<u64>() as u64;
    }
    if total > MAX_STRINGS {
        return Err(Problem::StringsTooLong {
            len: total,
            max: MAX_STRINGS,
        });
    }
    Ok(())
}

/// Each string with a NUL behind it.
fn terminated(strings: &[OsString]) -> Vec<u8> {
    let each = |string: &OsString| [string.as_bytes(), &[0]].concat();
    strings.iter().flat_map(each).collect()
}
