//! Birth, programs and end of processes.

use super::{Args, Outcome, user};
use crate::{
    arch::user::{TASK_SIZE, load_bases},
    exec,
    signal::child_code,
    task::{CloneFlags, CloneRequest, Pid, Slot, Task, Tasks, WaitTarget, Waited, exited},
};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Codes of arch_prctl (Linux arch/x86/include/uapi/asm/prctl.h).
const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;

/// Bits of clone's flags that are the signal at the child's end.
const CSIGNAL: u64 = 0xff;

/// Flags of clone without which a library goes on, and that mean nothing to a process of its own:
/// undocumented or without effect in Linux too.
const WITHOUT_EFFECT: u64 =
    (linux::CLONE_DETACHED | linux::CLONE_UNTRACED | linux::CLONE_SYSVSEM) as u64;

pub(super) fn fork(tasks: &mut Tasks, slot: Slot) -> Outcome {
    let none = CloneRequest {
        flags: CloneFlags::empty(),
        stack: 0,
        parent_tid: 0,
        child_tid: 0,
        tls: 0,
    };
    born(tasks, slot, &none)
}

pub(super) fn vfork(tasks: &mut Tasks, slot: Slot) -> Outcome {
    let request = CloneRequest {
        flags: CloneFlags::VM | CloneFlags::VFORK,
        stack: 0,
        parent_tid: 0,
        child_tid: 0,
        tls: 0,
    };
    born(tasks, slot, &request)
}

pub(super) fn clone(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    let [flags, stack, parent_tid, child_tid, tls, _] = *args;
    match clone_flags(flags & !CSIGNAL, flags & CSIGNAL) {
        Ok(flags) => {
            let request = CloneRequest {
                flags,
                stack,
                parent_tid,
                child_tid,
                tls,
            };
            born(tasks, slot, &request)
        }
        Err(errno) => Outcome::Error(errno),
    }
}

/// `struct clone_args`, version 0.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

pub(super) fn clone3(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    match clone3_request(tasks.get_mut(slot), args) {
        Ok(request) => born(tasks, slot, &request),
        Err(errno) => Outcome::Error(errno),
    }
}

fn clone3_request(task: &mut Task, args: &Args) -> Result<CloneRequest, Errno> {
    let size = args[1];
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    if size < size_of::<CloneArgs>() as u64 {
        return Err(Errno::EINVAL);
    }
    let wanted: CloneArgs = user::load(user::space(task)?, args[0])?;
    if (wanted.stack == 0) != (wanted.stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    Ok(CloneRequest {
        flags: clone_flags(wanted.flags, wanted.exit_signal)?,
        stack: wanted.stack.wrapping_add(wanted.stack_size),
        parent_tid: wanted.parent_tid,
        child_tid: wanted.child_tid,
        tls: wanted.tls,
    })
}

/// The flags that there are. Threads and namespaces are not among them, nor another signal at the
/// end than SIGCHLD.
fn clone_flags(flags: u64, signal: u64) -> Result<CloneFlags, Errno> {
    if signal != linux::SIGCHLD.into() && signal != 0 {
        return Err(Errno::EINVAL);
    }
    CloneFlags::from_bits(flags & !WITHOUT_EFFECT).ok_or(Errno::EINVAL)
}

fn born(tasks: &mut Tasks, slot: Slot, request: &CloneRequest) -> Outcome {
    match tasks.fork(slot, request) {
        Ok(child) => {
            let value = child.0.into();
            if request.flags.contains(CloneFlags::VFORK) {
                Outcome::Yield(value)
            } else {
                Outcome::Value(value)
            }
        }
        Err(errno) => Outcome::Error(errno),
    }
}

pub(super) fn execve(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    let [path, argv, envp, ..] = *args;
    match exec::from_program(tasks, slot, path, argv, envp) {
        Ok(()) => Outcome::Keep,
        Err(errno) => Outcome::Error(errno),
    }
}

pub(super) fn exit(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    tasks.exit(slot, exited(args[0] as u32));
    Outcome::Gone
}

pub(super) fn wait4(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    const KNOWN: u32 = linux::WNOHANG
        | linux::WUNTRACED
        | linux::WCONTINUED
        | linux::__WNOTHREAD
        | linux::__WCLONE
        | linux::__WALL;
    let [pid, status_at, options, usage_at, ..] = *args;
    let options = options as u32;
    if options & !KNOWN != 0 {
        return Outcome::Error(Errno::EINVAL);
    }
    let target = match pid as i32 {
        i32::MIN => return Outcome::Error(Errno::ESRCH),
        -1 => WaitTarget::Any,
        0 => WaitTarget::Group(tasks.get(slot).pgid()),
        group @ ..0 => WaitTarget::Group(Pid(group.unsigned_abs())),
        pid => WaitTarget::Pid(Pid(pid as u32)),
    };
    match tasks.wait(slot, target, options | linux::WEXITED) {
        Err(errno) => Outcome::Error(errno),
        Ok(Waited::Blocked) => Outcome::Waits,
        Ok(Waited::Nothing) => Outcome::Value(0),
        Ok(Waited::Child(child)) => {
            let stored = user::space(tasks.get_mut(slot)).and_then(|space| {
                user::store_if(space, status_at, &child.status)?;
                user::store_if(space, usage_at, &super::system::Rusage::new(&child.usage))
            });
            stored.map(|()| child.pid.0.into()).into()
        }
    }
}

pub(super) fn waitid(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    const KNOWN: u32 = linux::WNOHANG
        | linux::WNOWAIT
        | linux::WEXITED
        | linux::WSTOPPED
        | linux::WCONTINUED
        | linux::__WNOTHREAD
        | linux::__WCLONE
        | linux::__WALL;
    let [kind, id, info_at, options, usage_at, _] = *args;
    let options = options as u32;
    let any = linux::WEXITED | linux::WSTOPPED | linux::WCONTINUED;
    if options & !KNOWN != 0 || options & any == 0 {
        return Outcome::Error(Errno::EINVAL);
    }
    let id = id as u32;
    let target = match kind as u32 {
        linux::P_ALL => WaitTarget::Any,
        linux::P_PID if (id as i32) > 0 => WaitTarget::Pid(Pid(id)),
        linux::P_PGID if id == 0 => WaitTarget::Group(tasks.get(slot).pgid()),
        linux::P_PGID if (id as i32) > 0 => WaitTarget::Group(Pid(id)),
        _ => return Outcome::Error(Errno::EINVAL),
    };
    let child = match tasks.wait(slot, target, options) {
        Err(errno) => return Outcome::Error(errno),
        Ok(Waited::Blocked) => return Outcome::Waits,
        Ok(Waited::Nothing) => None,
        Ok(Waited::Child(child)) => Some(child),
    };
    // signo, errno, code, and behind a word of padding pid, uid, status.
    let mut info = [0_u32; 7];
    if let Some(child) = &child {
        let (code, status) = child_code(child.status);
        info = [
            linux::SIGCHLD,
            0,
            code as u32,
            0,
            child.pid.0,
            child.uid,
            status,
        ];
    }
    let stored = user::space(tasks.get_mut(slot)).and_then(|space| {
        user::store_if(space, info_at, &info)?;
        match &child {
            Some(child) => {
                let usage = super::system::Rusage::new(&child.usage);
                user::store_if(space, usage_at, &usage)
            }
            None => Ok(()),
        }
    });
    stored.map(|()| 0).into()
}

pub(super) fn arch_prctl(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let [code, address, ..] = *args;
    match code {
        ARCH_SET_FS | ARCH_SET_GS => {
            if address >= TASK_SIZE {
                return Err(Errno::EPERM);
            }
            if code == ARCH_SET_FS {
                task.context.fs_base = address;
            } else {
                task.context.gs_base = address;
            }
            load_bases(&task.context);
        }
        ARCH_GET_FS | ARCH_GET_GS => {
            let base = if code == ARCH_GET_FS {
                task.context.fs_base
            } else {
                task.context.gs_base
            };
            user::store(user::space(task)?, address, &base)?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

pub(super) fn set_tid_address(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    task.clear_child_tid = args[0];
    Ok(task.pid().0.into())
}

/// Bytes of `struct robust_list_head`.
const ROBUST_HEAD: u64 = 24;

pub(super) fn set_robust_list(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    if args[1] != ROBUST_HEAD {
        return Err(Errno::EINVAL);
    }
    task.robust_list = args[0];
    Ok(0)
}

pub(super) fn get_robust_list(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let [pid, head_at, len_at, ..] = *args;
    let of = match pid as u32 {
        0 => slot,
        pid => tasks.find(Pid(pid)).ok_or(Errno::ESRCH)?,
    };
    let (own, other) = (tasks.get(slot).cred(), tasks.get(of));
    if of != slot && !own.may_access(other.cred().uid, other.cred().gid) {
        return Err(Errno::EPERM);
    }
    let head = other.robust_list;
    let space = user::space(tasks.get_mut(slot))?;
    user::store(space, len_at, &ROBUST_HEAD)?;
    user::store(space, head_at, &head)?;
    Ok(0)
}

pub(super) fn rseq(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let [address, len, flags, signature, ..] = *args;
    task.rseq(address, len as u32, flags as u32, signature as u32)?;
    Ok(0)
}
