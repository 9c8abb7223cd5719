//! Calls on the address space.

use super::Args;
use crate::{
    fs,
    task::{Slot, Space, Tasks},
};
use pagelab_abi::{
    errno::Errno,
    mman::{MapFlags, MlockallFlags, MremapFlags, MsyncFlags, Prot},
};
use pagelab_mm::user_mm::MmapRequest;

/// MEMBARRIER_CMD_QUERY and what it offers: with one CPU and one thread a process, each command of
/// the global kind has nothing to do.
mod membarrier_command {
    pub(super) const QUERY: u64 = 0;
    pub(super) const GLOBAL: u64 = 1 << 0;
    pub(super) const GLOBAL_EXPEDITED: u64 = 1 << 1;
    pub(super) const REGISTER_GLOBAL_EXPEDITED: u64 = 1 << 2;
    pub(super) const PRIVATE_EXPEDITED: u64 = 1 << 3;
    pub(super) const REGISTER_PRIVATE_EXPEDITED: u64 = 1 << 4;
    pub(super) const OFFERED: u64 = GLOBAL
        | GLOBAL_EXPEDITED
        | REGISTER_GLOBAL_EXPEDITED
        | PRIVATE_EXPEDITED
        | REGISTER_PRIVATE_EXPEDITED;
}

/// Linux's bits of a call, those without a name included.
fn prot(bits: u64) -> Prot {
    Prot::from_bits_retain(bits as u32)
}

pub(super) fn mmap(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let [addr, len, rights, flags, fd, offset] = *args;
    if !offset.is_multiple_of(4096) {
        return Err(Errno::EINVAL);
    }
    let mut request = MmapRequest {
        addr,
        len,
        prot: prot(rights),
        flags: MapFlags::from_bits_retain(flags as u32),
        file: None,
    };
    let task = tasks.get_mut(slot);
    if !request.flags.contains(MapFlags::ANONYMOUS) {
        let is_shared = request.flags.intersects(MapFlags::SHARED);
        let stores = is_shared && request.prot.contains(Prot::WRITE);
        request.file = fs::mapping(task, fd, offset / 4096, stores)?;
    }
    let space = task.space.as_mut().ok_or(Errno::ENOMEM)?;
    space.mmap(&request)
}

pub(super) fn munmap(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    space.munmap(args[0], args[1])?;
    Ok(0)
}

pub(super) fn mprotect(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    space.mprotect(args[0], args[1], prot(args[2]))?;
    Ok(0)
}

pub(super) fn mremap(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    let [old, old_len, len, flags, new, _] = *args;
    space.mremap(
        old,
        old_len,
        len,
        MremapFlags::from_bits_retain(flags as u32),
        new,
    )
}

pub(super) fn brk(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    Ok(space.brk(args[0]))
}

pub(super) fn madvise(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    space.madvise(args[0], args[1], args[2] as u32)?;
    Ok(0)
}

pub(super) fn msync(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    space.msync(
        args[0],
        args[1],
        MsyncFlags::from_bits_retain(args[2] as u32),
    )?;
    Ok(0)
}

pub(super) fn mincore(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    space.mincore(args[0], args[1], args[2])?;
    Ok(0)
}

pub(super) fn mlock(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    space.mlock(args[0], args[1], 0)?;
    Ok(0)
}

pub(super) fn mlock2(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    space.mlock(args[0], args[1], args[2] as u32)?;
    Ok(0)
}

pub(super) fn munlock(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    space.munlock(args[0], args[1])?;
    Ok(0)
}

pub(super) fn mlockall(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    space.mlockall(MlockallFlags::from_bits_retain(args[0] as u32))?;
    Ok(0)
}

pub(super) fn munlockall(space: &mut Space, _: &Args) -> Result<u64, Errno> {
    space.munlockall();
    Ok(0)
}

pub(super) fn membarrier(args: &Args) -> Result<u64, Errno> {
    use membarrier_command::{OFFERED, QUERY};
    let (command, flags) = (args[0] as u32 as u64, args[1] as u32);
    match command {
        _ if flags != 0 => Err(Errno::EINVAL),
        QUERY => Ok(OFFERED),
        command if command.is_power_of_two() && command & OFFERED != 0 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}
