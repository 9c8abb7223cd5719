//! Whose a process is, and what that lets it do (Linux: `struct cred`, kernel/sys.c, fs/namei.c).
//!
//! Capabilities are not kept one by one. Whose effective user is 0 has all but those about files, which go
//! with the user for files, as they do on Linux without capset and prctl's securebits.

use crate::fs::Bytes;
use linux_raw_sys::general::{R_OK, S_IXGRP, S_IXOTH, S_IXUSR, X_OK};
use pagelab_abi::errno::Errno;
use zerocopy::FromBytes;

/// Most groups that a process can be in besides its own (Linux: `NGROUPS_MAX`).
pub(crate) const NGROUPS_MAX: usize = 65536;

/// root.
const ROOT: u32 = 0;

/// A process's users, or its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Who started it.
    pub(crate) real: u32,
    /// Who it acts as.
    pub(crate) effective: u32,
    /// Who it may act as again.
    pub(crate) saved: u32,
    /// Who it acts as towards files.
    pub(crate) fs: u32,
}

impl Ids {
    /// One for all.
    pub(crate) const fn all(id: u32) -> Self {
        Self {
            real: id,
            effective: id,
            saved: id,
            fs: id,
        }
    }

    /// In the order in which /proc/PID/status has them.
    pub(crate) const fn listed(self) -> [u32; 4] {
        [self.real, self.effective, self.saved, self.fs]
    }

    /// Whether it is the real, effective or saved one.
    pub(crate) const fn has(self, id: u32) -> bool {
        self.real == id || self.effective == id || self.saved == id
    }

    /// Whether a process of these users may send a signal to one of others (Linux: `kill_ok_by_cred`).
    pub(crate) fn may_signal(self, other: Self) -> bool {
        let mut own = [self.effective, self.real].into_iter();
        self.effective == ROOT || own.any(|id| id == other.real || id == other.saved)
    }

    /// Whether all that another process could act as is this one's real one.
    const fn owns(self, other: Self) -> bool {
        self.real == other.real && self.real == other.effective && self.real == other.saved
    }
}

/// Whose a process is.
pub(crate) struct Cred {
    pub(crate) uid: Ids,
    pub(crate) gid: Ids,
    /// More groups, in ascending order, as 32-bit words.
    groups: Option<Bytes>,
}

impl Cred {
    /// root's.
    pub(crate) const fn root() -> Self {
        Self {
            uid: Ids::all(ROOT),
            gid: Ids::all(ROOT),
            groups: None,
        }
    }

    /// A child's.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn copy(&self) -> Result<Self, Errno> {
        let groups = match &self.groups {
            None => None,
            Some(groups) => Some(Bytes::copy(groups)?),
        };
        Ok(Self {
            uid: self.uid,
            gid: self.gid,
            groups,
        })
    }

    /// The groups besides its own, in ascending order.
    pub(crate) fn groups(&self) -> &[u32] {
        let words = self.groups.as_deref();
        let words = words.and_then(|bytes| <[u32]>::ref_from_bytes(bytes).ok());
        words.unwrap_or_default()
    }

    /// Puts it into these groups, 32-bit words in any order, and no others.
    pub(crate) fn set_groups(&mut self, mut groups: Bytes) {
        if let Ok(words) = <[u32]>::mut_from_bytes(&mut groups) {
            words.sort_unstable();
        }
        self.groups = (!groups.is_empty()).then_some(groups);
    }

    /// Whether it may do what is nobody's business but root's.
    #[inline]
    pub(crate) const fn is_capable(&self) -> bool {
        self.uid.effective == ROOT
    }

    /// Whether it may look into and change another process (Linux: `__ptrace_may_access`).
    pub(crate) const fn may_access(&self, uid: Ids, gid: Ids) -> bool {
        self.is_capable() || self.uid.owns(uid) && self.gid.owns(gid)
    }

    /// Whether it may say how a process of these users is scheduled.
    pub(crate) const fn may_schedule(&self, uid: Ids) -> bool {
        let own = self.uid.effective;
        self.is_capable() || own == uid.real || own == uid.effective
    }

    /// As files see it.
    pub(crate) fn viewer(&self) -> Viewer<'_> {
        Viewer {
            uid: self.uid.fs,
            gid: self.gid.fs,
            groups: self.groups(),
        }
    }

    /// As files would see who started it, which access asks for.
    pub(crate) fn real_viewer(&self) -> Viewer<'_> {
        Viewer {
            uid: self.uid.real,
            gid: self.gid.real,
            groups: self.groups(),
        }
    }
}

/// Somebody, as files see him.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer<'a> {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    groups: &'a [u32],
}

impl Viewer<'_> {
    /// root.
    pub(crate) const ROOT: Viewer<'static> = Viewer {
        uid: ROOT,
        gid: ROOT,
        groups: &[],
    };

    /// Whether files' rights do not bind him.
    #[inline]
    pub(crate) const fn is_capable(self) -> bool {
        self.uid == ROOT
    }

    /// Whether he is in a group.
    pub(crate) fn is_in_group(self, gid: u32) -> bool {
        self.gid == gid || self.groups.binary_search(&gid).is_ok()
    }

    /// Whether somebody's file is his to dispose of.
    pub(crate) const fn owns(self, uid: u32) -> bool {
        self.is_capable() || self.uid == uid
    }

    /// Whether he may do with a file what `wanted` has of `R_OK`, `W_OK` and `X_OK` (Linux:
    /// `generic_permission`).
    ///
    /// # Errors
    /// EACCES.
    pub(crate) fn may(self, wanted: u32, file: Guarded) -> Result<(), Errno> {
        let class = if self.uid == file.uid {
            file.mode >> 6
        } else if self.is_in_group(file.gid) {
            file.mode >> 3
        } else {
            file.mode
        };
        if wanted & !class & 7 == 0 {
            return Ok(());
        }
        let anybody = S_IXUSR | S_IXGRP | S_IXOTH;
        let overrides = file.is_dir || wanted & X_OK == 0 || file.mode & anybody != 0;
        if self.is_capable() && overrides {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }
}

const _: () = assert!(R_OK == 4 && X_OK == 1);

/// What decides who may do what with a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guarded {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Permissions.
    pub(crate) mode: u32,
    pub(crate) is_dir: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(mode: u32) -> Guarded {
        Guarded {
            uid: 10,
            gid: 20,
            mode,
            is_dir: false,
        }
    }

    fn viewer<'a>(uid: u32, gid: u32, groups: &'a [u32]) -> Viewer<'a> {
        Viewer { uid, gid, groups }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        for wanted in 1..8 {
            for mode in 0..0o1000 {
                for (who, bits) in [
                    (viewer(10, 20, &[]), mode >> 6),
                    (viewer(11, 20, &[]), mode >> 3),
                    (viewer(11, 21, &[5, 20, 30]), mode >> 3),
                    (viewer(11, 21, &[5, 30]), mode),
                ] {
                    let allowed = who.may(wanted, file(mode)).is_ok();
                    assert_eq!(
                        allowed,
                        wanted & bits == wanted,
                        "{who:?} {wanted} {mode:o}"
                    );
                }
            }
        }
    }

    #[test]
    fn root_may_all_but_execute_what_nobody_may() {
        let root = Viewer::ROOT;
        assert_eq!(root.may(6, file(0)), Ok(()));
        assert_eq!(root.may(1, file(0o666)), Err(Errno::EACCES));
        assert_eq!(root.may(7, file(0o001)), Ok(()));
        let directory = Guarded {
            is_dir: true,
            ..file(0)
        };
        assert_eq!(root.may(7, directory), Ok(()));
    }
}
