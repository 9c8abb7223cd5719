//! Clocks and sleep. Time is that of [`Clock`]: the same in each run.

use super::{Args, Outcome, user};
use crate::task::{Clock, SECOND, Slot, Space, Tasks, WaitFor};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Clock ticks of a second, as times counts (Linux: `USER_HZ`).
const USER_HZ: u64 = 100;

/// `struct timespec`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

impl Timespec {
    pub(super) fn new(nanoseconds: u64) -> Self {
        Self {
            seconds: (nanoseconds / SECOND) as i64,
            nanoseconds: (nanoseconds % SECOND) as i64,
        }
    }

    /// In nanoseconds; what is too long is for ever.
    pub(super) fn nanoseconds(self) -> Result<u64, Errno> {
        if self.seconds < 0 || !(0..SECOND as i64).contains(&self.nanoseconds) {
            return Err(Errno::EINVAL);
        }
        let seconds = (self.seconds as u64).saturating_mul(SECOND);
        Ok(seconds.saturating_add(self.nanoseconds as u64))
    }
}

/// `struct timeval`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Timeval {
    seconds: i64,
    microseconds: i64,
}

impl Timeval {
    pub(super) fn new(nanoseconds: u64) -> Self {
        Self {
            seconds: (nanoseconds / SECOND) as i64,
            microseconds: (nanoseconds % SECOND / 1000) as i64,
        }
    }

    /// In nanoseconds; what is too long is for ever.
    pub(super) fn nanoseconds(self) -> Result<u64, Errno> {
        if self.seconds < 0 || !(0..1_000_000).contains(&self.microseconds) {
            return Err(Errno::EINVAL);
        }
        let seconds = (self.seconds as u64).saturating_mul(SECOND);
        Ok(seconds.saturating_add(1000 * self.microseconds as u64))
    }
}

/// What a clock shows to a task.
fn shown(tasks: &Tasks, slot: Slot, which: u64) -> Result<u64, Errno> {
    match which as u32 {
        linux::CLOCK_PROCESS_CPUTIME_ID | linux::CLOCK_THREAD_CPUTIME_ID => {
            Ok(tasks.cpu_time(slot))
        }
        _ => read(tasks.clock(), which),
    }
}

/// What a clock shows that is everybody's.
fn read(clock: &Clock, which: u64) -> Result<u64, Errno> {
    match which as u32 {
        linux::CLOCK_REALTIME
        | linux::CLOCK_REALTIME_COARSE
        | linux::CLOCK_TAI
        | linux::CLOCK_REALTIME_ALARM => Ok(clock.realtime()),
        linux::CLOCK_MONOTONIC
        | linux::CLOCK_MONOTONIC_RAW
        | linux::CLOCK_MONOTONIC_COARSE
        | linux::CLOCK_BOOTTIME
        | linux::CLOCK_BOOTTIME_ALARM => Ok(clock.monotonic()),
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn clock_gettime(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let time = Timespec::new(shown(tasks, slot, args[0])?);
    user::store(user::space(tasks.get_mut(slot))?, args[1], &time)?;
    Ok(0)
}

pub(super) fn clock_getres(space: &mut Space, args: &Args) -> Result<u64, Errno> {
    let cpu_time = [
        linux::CLOCK_PROCESS_CPUTIME_ID,
        linux::CLOCK_THREAD_CPUTIME_ID,
    ];
    if !cpu_time.contains(&(args[0] as u32)) {
        read(&Clock::new(), args[0])?;
    }
    user::store_if(space, args[1], &Timespec::new(1))?;
    Ok(0)
}

pub(super) fn gettimeofday(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let now = tasks.clock().realtime();
    let space = user::space(tasks.get_mut(slot))?;
    user::store_if(space, args[0], &[now / SECOND, now % SECOND / 1000])?;
    // Minutes west of Greenwich, kind of summer time.
    user::store_if(space, args[1], &[0_u32; 2])?;
    Ok(0)
}

pub(super) fn time(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let now = tasks.clock().realtime() / SECOND;
    user::store_if(user::space(tasks.get_mut(slot))?, args[0], &now)?;
    Ok(now)
}

pub(super) fn times(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let [ticks, own] = [tasks.clock().monotonic(), tasks.cpu_time(slot)];
    let [ticks, own] = [ticks, own].map(|time| time / (SECOND / USER_HZ));
    let space = user::space(tasks.get_mut(slot))?;
    user::store_if(space, args[0], &[own, 0, 0, 0])?;
    Ok(ticks)
}

pub(super) fn nanosleep(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    let wanted = user::space(tasks.get_mut(slot))
        .and_then(|space| user::load::<Timespec>(space, args[0]))
        .and_then(Timespec::nanoseconds);
    match wanted {
        Ok(wanted) => sleep(tasks, slot, |now| now.saturating_add(wanted)),
        Err(errno) => Outcome::Error(errno),
    }
}

pub(super) fn clock_nanosleep(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    let [which, flags, request, ..] = *args;
    let shown = match shown(tasks, slot, which) {
        Ok(shown) => shown,
        Err(errno) => return Outcome::Error(errno),
    };
    let wanted = user::space(tasks.get_mut(slot))
        .and_then(|space| user::load::<Timespec>(space, request))
        .and_then(Timespec::nanoseconds);
    match wanted {
        Ok(at) if flags as u32 & linux::TIMER_ABSTIME != 0 => {
            let left = at.saturating_sub(shown);
            sleep(tasks, slot, |now| now.saturating_add(left))
        }
        Ok(wanted) => sleep(tasks, slot, |now| now.saturating_add(wanted)),
        Err(errno) => Outcome::Error(errno),
    }
}

/// Waits until the time that `until` says, which counts from the first time the call is made.
fn sleep(tasks: &mut Tasks, slot: Slot, until: impl Fn(u64) -> u64) -> Outcome {
    let now = tasks.clock().monotonic();
    let task = tasks.get_mut(slot);
    let until = *task.deadline.get_or_insert_with(|| until(now));
    if until <= now {
        task.deadline = None;
        return Outcome::Value(0);
    }
    Outcome::Wait(WaitFor::Time(until))
}

/// A sleep that a signal has interrupted says how much of it is left.
pub(super) fn write_remaining(tasks: &mut Tasks, slot: Slot, number: u32) {
    let now = tasks.clock().monotonic();
    let task = tasks.get_mut(slot);
    let regs = &task.context.regs;
    let at = match number {
        linux::__NR_nanosleep => regs.rsi,
        linux::__NR_clock_nanosleep if regs.rsi as u32 & linux::TIMER_ABSTIME == 0 => regs.r10,
        _ => return,
    };
    let left = task.deadline.map_or(0, |until| until.saturating_sub(now));
    if let Some(space) = &mut task.space {
        // As Linux gives EFAULT here; the call was interrupted in any case.
        let _ = user::store_if(space, at, &Timespec::new(left));
    }
}
