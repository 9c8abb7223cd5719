//! Users and groups of a process (Linux kernel/sys.c, kernel/groups.c).

use super::{Args, user};
use crate::{
    cred::{Cred, Ids, NGROUPS_MAX},
    fs::Bytes,
    task::Task,
};
use linux_raw_sys::general as nr;
use pagelab_abi::errno::Errno;

/// The user or group that stays as it is.
const KEEP: u32 = u32::MAX;

/// Calls that change users, or groups.
pub(super) fn set_ids(task: &mut Task, number: u32, args: &Args) -> Result<u64, Errno> {
    let cred = task.cred();
    let (uid, gid) = (cred.uid, cred.gid);
    let ids = args.map(|arg| arg as u32);
    let changed = |of: Ids| match number {
        nr::__NR_setuid | nr::__NR_setgid => set(cred, of, ids[0]),
        nr::__NR_setreuid | nr::__NR_setregid => set_re(cred, of, [ids[0], ids[1]]),
        _ => set_res(cred, of, [ids[0], ids[1], ids[2]]),
    };
    let (uid, gid) = match number {
        nr::__NR_setuid | nr::__NR_setreuid | nr::__NR_setresuid => (changed(uid)?, gid),
        _ => (uid, changed(gid)?),
    };
    task.set_ids(uid, gid);
    Ok(0)
}

/// setuid and setgid.
fn set(cred: &Cred, of: Ids, id: u32) -> Result<Ids, Errno> {
    if id == KEEP {
        return Err(Errno::EINVAL);
    }
    if cred.is_capable() {
        return Ok(Ids::all(id));
    }
    if id != of.real && id != of.saved {
        return Err(Errno::EPERM);
    }
    Ok(Ids {
        effective: id,
        fs: id,
        ..of
    })
}

/// setreuid and setregid. Whoever changes what it may act as cannot act as who it was any more.
fn set_re(cred: &Cred, of: Ids, [real, effective]: [u32; 2]) -> Result<Ids, Errno> {
    let mut new = of;
    if real != KEEP {
        if ![of.real, of.effective].contains(&real) && !cred.is_capable() {
            return Err(Errno::EPERM);
        }
        new.real = real;
    }
    if effective != KEEP {
        if !of.has(effective) && !cred.is_capable() {
            return Err(Errno::EPERM);
        }
        new.effective = effective;
    }
    if real != KEEP || effective != KEEP && effective != of.real {
        new.saved = new.effective;
    }
    new.fs = new.effective;
    Ok(new)
}

/// setresuid and setresgid.
fn set_res(cred: &Cred, of: Ids, wanted: [u32; 3]) -> Result<Ids, Errno> {
    let mut given = wanted.iter().filter(|id| **id != KEEP);
    if !cred.is_capable() && !given.all(|id| of.has(*id)) {
        return Err(Errno::EPERM);
    }
    let or = |wanted, old| if wanted == KEEP { old } else { wanted };
    let effective = or(wanted[1], of.effective);
    Ok(Ids {
        real: or(wanted[0], of.real),
        effective,
        saved: or(wanted[2], of.saved),
        fs: effective,
    })
}

/// setfsuid and setfsgid, which say who it was and never fail.
pub(super) fn set_fs_id(task: &mut Task, number: u32, args: &Args) -> u64 {
    let cred = task.cred();
    let (mut uid, mut gid) = (cred.uid, cred.gid);
    let is_capable = cred.is_capable();
    let ids = if number == nr::__NR_setfsuid {
        &mut uid
    } else {
        &mut gid
    };
    let (id, before) = (args[0] as u32, ids.fs);
    if id != KEEP && (is_capable || ids.has(id) || ids.fs == id) {
        ids.fs = id;
        task.set_ids(uid, gid);
    }
    before.into()
}

/// Real, effective and saved user or group.
pub(super) fn get_ids(task: &mut Task, number: u32, args: &Args) -> Result<u64, Errno> {
    let cred = task.cred();
    let ids = if number == nr::__NR_getresuid {
        cred.uid
    } else {
        cred.gid
    };
    let space = user::space(task)?;
    for (at, id) in args.iter().zip([ids.real, ids.effective, ids.saved]) {
        user::store(space, *at, &id)?;
    }
    Ok(0)
}

/// How many groups it is in besides its own, and which, if there is room for them.
pub(super) fn getgroups(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let (size, at) = (args[0] as i32, args[1]);
    let room = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    let count = task.cred().groups().len();
    if room == 0 {
        return Ok(count as u64);
    }
    if count > room {
        return Err(Errno::EINVAL);
    }
    for index in 0..count {
        let group = task.cred().groups()[index];
        user::store(
            user::space(task)?,
            at.wrapping_add(4 * index as u64),
            &group,
        )?;
    }
    Ok(count as u64)
}

pub(super) fn setgroups(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    if !task.cred().is_capable() {
        return Err(Errno::EPERM);
    }
    let count = args[0] as i32;
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if count > NGROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut groups = Bytes::zeroed(4 * count)?;
    let space = user::space(task)?;
    space
        .read(args[1], &mut groups)
        .map_err(|_| Errno::EFAULT)?;
    task.set_groups(groups);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cred(effective: u32) -> Cred {
        let mut cred = Cred::root();
        cred.uid = Ids::all(effective);
        cred
    }

    const OLD: Ids = Ids {
        real: 1,
        effective: 2,
        saved: 3,
        fs: 4,
    };

    #[test]
    fn root_becomes_anybody_and_others_who_they_may() {
        assert_eq!(set(&cred(0), OLD, 9), Ok(Ids::all(9)));
        assert_eq!(set(&cred(0), OLD, KEEP), Err(Errno::EINVAL));
        assert_eq!(set(&cred(5), OLD, 2), Err(Errno::EPERM));
        let third = Ids {
            effective: 3,
            fs: 3,
            ..OLD
        };
        assert_eq!(set(&cred(5), OLD, 3), Ok(third));
    }

    #[test]
    fn who_changes_loses_who_it_was() {
        assert_eq!(set_re(&cred(5), OLD, [3, KEEP]), Err(Errno::EPERM));
        let swapped = Ids {
            real: 2,
            effective: 1,
            saved: 1,
            fs: 1,
        };
        assert_eq!(set_re(&cred(5), OLD, [2, 1]), Ok(swapped));
        let kept = Ids {
            effective: 1,
            fs: 1,
            ..OLD
        };
        assert_eq!(set_re(&cred(5), OLD, [KEEP, 1]), Ok(kept));
    }

    #[test]
    fn three_at_once_are_of_the_three_there_are() {
        let turned = Ids {
            real: 3,
            effective: 1,
            saved: 2,
            fs: 1,
        };
        assert_eq!(set_res(&cred(5), OLD, [3, 1, 2]), Ok(turned));
        assert_eq!(set_res(&cred(5), OLD, [3, 4, 2]), Err(Errno::EPERM));
        let same = Ids { fs: 2, ..OLD };
        assert_eq!(set_res(&cred(5), OLD, [KEEP; 3]), Ok(same));
    }
}
