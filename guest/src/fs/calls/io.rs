//! Bytes.

use super::{Args, Caller, fd};
use crate::fs::{
    iov::Transfer,
    table::Partial,
    transfer::{Answer, Stop},
};
use pagelab_abi::errno::Errno;

/// A position that a call names.
fn position(arg: u64) -> Result<u64, Errno> {
    if arg > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    Ok(arg)
}

pub(super) fn read(caller: &mut Caller<'_>, args: &Args) -> Answer {
    let file = caller.files.get(fd(args[0]))?;
    let mut transfer = Transfer::single(caller.program, args[1], args[2]);
    Ok(file.read(&mut transfer, None)? as u64)
}

pub(super) fn pread64(caller: &mut Caller<'_>, args: &Args) -> Answer {
    let at = position(args[3])?;
    let file = caller.files.get(fd(args[0]))?;
    let mut transfer = Transfer::single(caller.program, args[1], args[2]);
    Ok(file.read(&mut transfer, Some(at))? as u64)
}

pub(super) fn readv(caller: &mut Caller<'_>, args: &Args) -> Answer {
    let file = caller.files.get(fd(args[0]))?;
    file.check(None, file.is_readable())?;
    let mut transfer = Transfer::vector(caller.program, args[1], args[2])?;
    Ok(file.read(&mut transfer, None)? as u64)
}

pub(super) fn preadv(caller: &mut Caller<'_>, args: &Args) -> Answer {
    let at = position(args[3])?;
    let file = caller.files.get(fd(args[0]))?;
    file.check(Some(at), file.is_readable())?;
    let mut transfer = Transfer::vector(caller.program, args[1], args[2])?;
    Ok(file.read(&mut transfer, Some(at))? as u64)
}

pub(super) fn write(caller: &mut Caller<'_>, number: u32, args: &Args) -> Answer {
    let file = caller.files.get(fd(args[0]))?;
    let partial = caller.files.partial.take();
    let mut transfer = Transfer::single(caller.program, args[1], args[2]);
    go_on(&mut transfer, partial, number, args);
    let written = file.write(&mut transfer, None);
    finish(written, transfer.done(), caller, number, args)
}

pub(super) fn writev(caller: &mut Caller<'_>, number: u32, args: &Args) -> Answer {
    let file = caller.files.get(fd(args[0]))?;
    file.check(None, file.is_writable())?;
    let partial = caller.files.partial.take();
    let mut transfer = Transfer::vector(caller.program, args[1], args[2])?;
    go_on(&mut transfer, partial, number, args);
    let written = file.write(&mut transfer, None);
    finish(written, transfer.done(), caller, number, args)
}

/// Skips what this very call has done already, if it is one that waited.
fn go_on(transfer: &mut Transfer<'_>, partial: Option<Partial>, number: u32, args: &Args) {
    if let Some(partial) = partial
        && partial.call == (number, *args)
    {
        transfer.skip(partial.done);
    }
}

/// Remembers what a call has done that waits now.
fn finish(
    written: Result<usize, Stop>,
    done: usize,
    caller: &mut Caller<'_>,
    number: u32,
    args: &Args,
) -> Answer {
    if written == Err(Stop::Wait) {
        caller.files.partial = Some(Partial {
            call: (number, *args),
            done,
        });
    }
    Ok(written? as u64)
}

pub(super) fn pwrite64(caller: &mut Caller<'_>, args: &Args) -> Answer {
    let at = position(args[3])?;
    let file = caller.files.get(fd(args[0]))?;
    let mut transfer = Transfer::single(caller.program, args[1], args[2]);
    Ok(file.write(&mut transfer, Some(at))? as u64)
}

pub(super) fn pwritev(caller: &mut Caller<'_>, args: &Args) -> Answer {
    let at = position(args[3])?;
    let file = caller.files.get(fd(args[0]))?;
    file.check(Some(at), file.is_writable())?;
    let mut transfer = Transfer::vector(caller.program, args[1], args[2])?;
    Ok(file.write(&mut transfer, Some(at))? as u64)
}
