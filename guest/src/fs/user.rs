//! The program that makes a system call, as those on files need it.

use super::{
    dentry::Dentry,
    object::{Bytes, Shared},
    path::PATH_MAX,
    proc::PidFile,
    task::{self, NoText},
};
use core::fmt::Write;
use pagelab_abi::errno::Errno;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// A program: its memory, and what /proc says of it.
pub(crate) trait Program {
    /// Copies from its memory. An error says how many bytes were copied before.
    fn load(&mut self, at: u64, buf: &mut [u8]) -> Result<(), usize>;
    /// Copies to its memory. An error says how many bytes were copied before.
    fn store(&mut self, at: u64, buf: &[u8]) -> Result<(), usize>;
    /// Writes one of the texts in a process's directory of /proc, where files are named as seen from
    /// `root`.
    fn proc_text(
        &mut self,
        pid: u32,
        file: PidFile,
        root: &Shared<Dentry>,
        out: &mut dyn Write,
    ) -> Result<(), NoText> {
        task::text(pid, file, root, out)
    }
    /// Changes how the OOM killer sees a process.
    ///
    /// # Errors
    /// EINVAL outside -1000 to 1000; ESRCH.
    fn set_oom_score_adj(&mut self, pid: u32, adj: i32) -> Result<(), Errno> {
        task::set_oom_score_adj(pid, adj)
    }
}

impl dyn Program + '_ {
    /// A value.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn get<T: FromBytes + IntoBytes>(&mut self, at: u64) -> Result<T, Errno> {
        let mut value = T::new_zeroed();
        self.load(at, value.as_mut_bytes())
            .map_err(|_| Errno::EFAULT)?;
        Ok(value)
    }

    /// Writes a value.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn put<T: IntoBytes + Immutable + ?Sized>(
        &mut self,
        at: u64,
        value: &T,
    ) -> Result<(), Errno> {
        self.store(at, value.as_bytes()).map_err(|_| Errno::EFAULT)
    }

    /// A path, without its NUL.
    ///
    /// # Errors
    /// EFAULT; ENAMETOOLONG; ENOMEM.
    pub(super) fn path(&mut self, at: u64) -> Result<Bytes, Errno> {
        const CHUNK: usize = 128;
        let mut short = [0; CHUNK];
        let (len, ended) = self.string_part(at, &mut short)?;
        if ended {
            return Bytes::copy(&short[..len]);
        }
        let mut path = Bytes::zeroed(PATH_MAX)?;
        path[..len].copy_from_slice(&short[..len]);
        let mut done = len;
        while done < PATH_MAX {
            let end = PATH_MAX.min(done + CHUNK);
            let (len, ended) =
                self.string_part(at.wrapping_add(done as u64), &mut path[done..end])?;
            done += len;
            if ended {
                path.truncate(done);
                return Ok(path);
            }
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// Fills `buf` up to a NUL: how many bytes are before it, and whether there is one. What is
    /// behind it may not be there.
    fn string_part(&mut self, at: u64, buf: &mut [u8]) -> Result<(usize, bool), Errno> {
        let loaded = match self.load(at, buf) {
            Ok(()) => buf.len(),
            Err(copied) => copied,
        };
        match buf[..loaded].iter().position(|&byte| byte == 0) {
            Some(len) => Ok((len, true)),
            None if loaded == buf.len() => Ok((loaded, false)),
            None => Err(Errno::EFAULT),
        }
    }
}
