//! poll, select and their kin: waiting for several files, and time (Linux fs/select.c).

use super::{
    Args, Outcome,
    time::{Timespec, Timeval},
    user,
};
use crate::{
    signal::SigSet,
    task::{Slot, Task, Tasks, WaitFor},
};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Nanoseconds of a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// Descriptors that select looks at.
const FD_SETSIZE: u64 = 1024;

/// `struct pollfd`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct PollFd {
    fd: i32,
    events: u16,
    revents: u16,
}

/// What select's three sets ask for (Linux: `POLLIN_SET` and its kin).
const SETS: [u32; 3] = [
    linux::POLLRDNORM | linux::POLLRDBAND | linux::POLLIN | linux::POLLHUP | linux::POLLERR,
    linux::POLLWRBAND | linux::POLLWRNORM | linux::POLLOUT | linux::POLLERR,
    linux::POLLPRI,
];

pub(super) fn poll(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    let limit = u64::try_from(args[2] as i32).ok();
    let limit = limit.map(|milliseconds| milliseconds * MILLISECOND);
    let answer = poll_files(tasks, slot, args, limit, None);
    answer.unwrap_or_else(Outcome::Error)
}

pub(super) fn ppoll(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    let wanted = limit(tasks.get_mut(slot), args[2])
        .and_then(|limit| Ok((limit, mask(tasks.get_mut(slot), args[3], args[4])?)));
    let answer = wanted.and_then(|(limit, mask)| {
        let outcome = poll_files(tasks, slot, args, limit, mask)?;
        finish(tasks, slot, outcome, args[2], Timespec::new)
    });
    answer.unwrap_or_else(Outcome::Error)
}

pub(super) fn select(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    let limit = match args[4] {
        0 => Ok(None),
        at => user::space(tasks.get_mut(slot))
            .and_then(|space| user::load::<Timeval>(space, at)?.nanoseconds())
            .map(Some),
    };
    let answer = limit.and_then(|limit| {
        let outcome = select_files(tasks, slot, args, limit, None)?;
        finish(tasks, slot, outcome, args[4], Timeval::new)
    });
    answer.unwrap_or_else(Outcome::Error)
}

pub(super) fn pselect6(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    let task = tasks.get_mut(slot);
    let set: Result<[u64; 2], Errno> = match args[5] {
        0 => Ok([0; 2]),
        at => user::space(task).and_then(|space| user::load(space, at)),
    };
    let wanted = set.and_then(|[at, size]| {
        let limit = limit(task, args[4])?;
        Ok((limit, mask(task, at, size)?))
    });
    let answer = wanted.and_then(|(limit, mask)| {
        let outcome = select_files(tasks, slot, args, limit, mask)?;
        finish(tasks, slot, outcome, args[4], Timespec::new)
    });
    answer.unwrap_or_else(Outcome::Error)
}

/// The time that a `struct timespec` limits the wait to.
fn limit(task: &mut Task, at: u64) -> Result<Option<u64>, Errno> {
    if at == 0 {
        return Ok(None);
    }
    let wanted: Timespec = user::load(user::space(task)?, at)?;
    wanted.nanoseconds().map(Some)
}

/// The signals that are blocked meanwhile.
fn mask(task: &mut Task, at: u64, size: u64) -> Result<Option<SigSet>, Errno> {
    if at == 0 {
        return Ok(None);
    }
    if size != size_of::<SigSet>() as u64 {
        return Err(Errno::EINVAL);
    }
    user::load(user::space(task)?, at).map(|set| Some(SigSet(set)))
}

fn poll_files(
    tasks: &mut Tasks,
    slot: Slot,
    args: &Args,
    limit: Option<u64>,
    mask: Option<SigSet>,
) -> Result<Outcome, Errno> {
    let now = tasks.clock().monotonic();
    let task = tasks.get_mut(slot);
    let (at, count) = (args[0], u64::from(args[1] as u32));
    if count > task.rlimits[linux::RLIMIT_NOFILE as usize].current {
        return Err(Errno::EINVAL);
    }
    let mut ready = 0;
    for i in 0..count {
        ready += u64::from(polled(task, at.wrapping_add(8 * i))?.revents != 0);
    }
    if ready == 0
        && let Some(outcome) = wait(task, now, limit, mask)
    {
        return Ok(outcome);
    }
    for i in 0..count {
        let at = at.wrapping_add(8 * i);
        let polled = polled(task, at)?;
        user::store(user::space(task)?, at, &polled)?;
    }
    Ok(Outcome::Value(ready))
}

/// An entry with its answer.
fn polled(task: &mut Task, at: u64) -> Result<PollFd, Errno> {
    let mut entry: PollFd = user::load(user::space(task)?, at)?;
    entry.revents = match (u32::try_from(entry.fd), &task.files) {
        (Ok(fd), Some(files)) => match files.poll(fd) {
            Some(found) => {
                let wanted = u32::from(entry.events) | linux::POLLERR | linux::POLLHUP;
                (found & wanted) as u16
            }
            None => linux::POLLNVAL as u16,
        },
        _ => 0,
    };
    Ok(entry)
}

fn select_files(
    tasks: &mut Tasks,
    slot: Slot,
    args: &Args,
    limit: Option<u64>,
    mask: Option<SigSet>,
) -> Result<Outcome, Errno> {
    let now = tasks.clock().monotonic();
    let task = tasks.get_mut(slot);
    let count = u64::try_from(args[0] as i32).map_err(|_| Errno::EINVAL)?;
    let count = count.min(FD_SETSIZE);
    let sets = [args[1], args[2], args[3]];
    let mut ready = 0;
    for word in 0..count.div_ceil(64) {
        for (set, wanted) in sets.into_iter().zip(SETS) {
            ready += u64::from(selected(task, set, word, count, wanted)?.count_ones());
        }
    }
    if ready == 0
        && let Some(outcome) = wait(task, now, limit, mask)
    {
        return Ok(outcome);
    }
    for word in 0..count.div_ceil(64) {
        for (set, wanted) in sets.into_iter().zip(SETS) {
            let found = selected(task, set, word, count, wanted)?;
            if set != 0 {
                let at = set.wrapping_add(8 * word);
                user::store(user::space(task)?, at, &found)?;
            }
        }
    }
    Ok(Outcome::Value(ready))
}

/// Of 64 descriptors of a set those that are ready.
fn selected(task: &mut Task, set: u64, word: u64, count: u64, wanted: u32) -> Result<u64, Errno> {
    if set == 0 {
        return Ok(0);
    }
    let asked: u64 = user::load(user::space(task)?, set.wrapping_add(8 * word))?;
    let files = task.files.as_ref().ok_or(Errno::EBADF)?;
    let mut found = 0;
    for bit in 0..64.min(count - 64 * word) {
        if asked & 1 << bit != 0 {
            let mask = files.poll((64 * word + bit) as u32).ok_or(Errno::EBADF)?;
            found |= u64::from(mask & wanted != 0) << bit;
        }
    }
    Ok(found)
}

/// Waits, unless the time is over; `mask` is blocked meanwhile.
fn wait(task: &mut Task, now: u64, limit: Option<u64>, mask: Option<SigSet>) -> Option<Outcome> {
    let until = limit.map(|limit| *task.deadline.get_or_insert(now.saturating_add(limit)));
    if until.is_some_and(|until| until <= now) {
        return None;
    }
    if let Some(mask) = mask {
        task.signals.suspend_with(mask);
    }
    Some(Outcome::Wait(WaitFor::Poll(until)))
}

/// Writes how much time was left, if the call is over and was limited.
fn finish<T: IntoBytes + Immutable>(
    tasks: &mut Tasks,
    slot: Slot,
    outcome: Outcome,
    at: u64,
    format: impl Fn(u64) -> T,
) -> Result<Outcome, Errno> {
    if let Outcome::Value(_) = outcome
        && at != 0
    {
        let now = tasks.clock().monotonic();
        let task = tasks.get_mut(slot);
        // A call that never waited has its whole time left: its limit is unchanged.
        if let Some(until) = task.deadline.take() {
            // As Linux: where it cannot be written, the answer is the same.
            let left = format(until.saturating_sub(now));
            let _ = user::store(user::space(task)?, at, &left);
        }
    }
    Ok(outcome)
}
