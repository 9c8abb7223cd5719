//! process_vm_readv and process_vm_writev: from memory to another process's (Linux
//! mm/process_vm_access.c).

use super::{Args, user};
use crate::task::{Pid, Slot, Tasks};
use pagelab_abi::errno::Errno;

/// Most pieces of a list (Linux: `UIO_MAXIOV`).
const MAX_PIECES: u64 = 1024;

/// Most bytes of a call (Linux: `MAX_RW_COUNT`).
const MAX_BYTES: u64 = 0x7fff_f000;

/// Bytes that go through the kernel's stack at once.
const BOUNCE: usize = 512;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the other process.
    Read,
    /// To it.
    Write,
}

/// A list of pieces, each an address and a number of bytes, in the caller's memory.
struct Pieces {
    at: u64,
    count: u64,
    /// The piece that is next, and how much of it is done.
    index: u64,
    done: u64,
}

impl Pieces {
    fn new(at: u64, count: u64) -> Result<Self, Errno> {
        if count > MAX_PIECES {
            return Err(Errno::EINVAL);
        }
        Ok(Self {
            at,
            count,
            index: 0,
            done: 0,
        })
    }

    fn piece(&self, tasks: &mut Tasks, slot: Slot, index: u64) -> Result<[u64; 2], Errno> {
        let space = user::space(tasks.get_mut(slot))?;
        user::load(space, self.at.wrapping_add(16 * index))
    }

    /// Bytes of all.
    fn total(&self, tasks: &mut Tasks, slot: Slot) -> Result<u64, Errno> {
        let mut total: u64 = 0;
        for index in 0..self.count {
            let [_, len] = self.piece(tasks, slot, index)?;
            if len > i64::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            total = total.saturating_add(len).min(MAX_BYTES);
        }
        Ok(total)
    }

    /// What is next: an address and the bytes from there on; none at the end.
    fn next(&mut self, tasks: &mut Tasks, slot: Slot) -> Result<Option<(u64, u64)>, Errno> {
        while self.index < self.count {
            let [at, len] = self.piece(tasks, slot, self.index)?;
            if self.done < len {
                return Ok(Some((at.wrapping_add(self.done), len - self.done)));
            }
            (self.index, self.done) = (self.index + 1, 0);
        }
        Ok(None)
    }
}

pub(super) fn copy(tasks: &mut Tasks, slot: Slot, args: &Args, way: Way) -> Result<u64, Errno> {
    let [pid, local, local_count, remote, remote_count, flags] = *args;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let mut local = Pieces::new(local, local_count)?;
    let wanted = local.total(tasks, slot)?;
    if wanted == 0 {
        return Ok(0);
    }
    let mut remote = Pieces::new(remote, remote_count)?;
    if remote.total(tasks, slot)? == 0 {
        return Ok(0);
    }
    let other = tasks.find(Pid(pid as u32)).ok_or(Errno::ESRCH)?;
    if tasks.get(other).space.is_none() {
        return Err(Errno::ESRCH);
    }
    if other != slot {
        let (own, task) = (tasks.get(slot).cred(), tasks.get(other));
        let is_open = task.prctl.is_dumpable || own.is_capable();
        if !is_open || !own.may_access(task.cred().uid, task.cred().gid) {
            return Err(Errno::EPERM);
        }
    }
    let mut done = 0;
    while done < wanted {
        match step(
            tasks,
            [slot, other],
            [&mut local, &mut remote],
            wanted - done,
            way,
        ) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            // What was copied before it counts.
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}

/// Copies a part, and says how much; 0 at the end.
fn step(
    tasks: &mut Tasks,
    [slot, other]: [Slot; 2],
    [local, remote]: [&mut Pieces; 2],
    left: u64,
    way: Way,
) -> Result<u64, Errno> {
    let Some((here, here_len)) = local.next(tasks, slot)? else {
        return Ok(0);
    };
    let Some((there, there_len)) = remote.next(tasks, slot)? else {
        return Ok(0);
    };
    let len = here_len.min(there_len).min(left).min(BOUNCE as u64);
    let mut buffer = [0; BOUNCE];
    let part = &mut buffer[..len as usize];
    let (from, to) = match way {
        Way::Read => ((other, there), (slot, here)),
        Way::Write => ((slot, here), (other, there)),
    };
    let source = user::space(tasks.get_mut(from.0))?;
    let loaded = match source.read(from.1, part) {
        Ok(()) => part.len(),
        Err(fault) => fault.copied,
    };
    let target = user::space(tasks.get_mut(to.0))?;
    let stored = match target.write(to.1, &part[..loaded]) {
        Ok(()) => loaded,
        Err(fault) => fault.copied,
    };
    if stored == 0 {
        return Err(Errno::EFAULT);
    }
    local.done += stored as u64;
    remote.done += stored as u64;
    Ok(stored as u64)
}
