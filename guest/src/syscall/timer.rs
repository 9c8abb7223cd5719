//! alarm, setitimer, getitimer. Timers count real time; those of a process's own time are not there.

use super::{Args, time::Timeval, user};
use crate::task::{SECOND, Slot, Tasks, Timer};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `struct itimerval`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Itimerval {
    interval: Timeval,
    value: Timeval,
}

impl Itimerval {
    fn new(timer: Timer, now: u64) -> Self {
        // One that is due shows a time that is not 0, which would mean that it is off.
        let left = timer.at.map_or(0, |at| at.saturating_sub(now).max(1000));
        Self {
            interval: Timeval::new(timer.interval),
            value: Timeval::new(left),
        }
    }

    fn timer(self, now: u64) -> Result<Timer, Errno> {
        let interval = self.interval.nanoseconds()?;
        Ok(match self.value.nanoseconds()? {
            0 => Timer::default(),
            value => Timer {
                at: Some(now.saturating_add(value)),
                interval,
            },
        })
    }
}

fn check(which: u64) -> Result<(), Errno> {
    if which as u32 == linux::ITIMER_REAL {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// Seconds until the timer that it replaces would have fired, rounded, and at least 1 if there was one.
pub(super) fn alarm(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let now = tasks.clock().monotonic();
    let seconds = u64::from(args[0] as u32);
    let timer = Timer {
        at: (seconds > 0).then(|| now.saturating_add(seconds * SECOND)),
        interval: 0,
    };
    let before = tasks.set_timer(slot, timer);
    Ok(before.at.map_or(0, |at| {
        let left = at.saturating_sub(now);
        ((left + SECOND / 2) / SECOND).max(1)
    }))
}

pub(super) fn setitimer(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let [which, new, old, ..] = *args;
    let now = tasks.clock().monotonic();
    let wanted = match new {
        0 => Timer::default(),
        at => {
            let space = user::space(tasks.get_mut(slot))?;
            user::load::<Itimerval>(space, at)?.timer(now)?
        }
    };
    check(which)?;
    let before = tasks.set_timer(slot, wanted);
    let space = user::space(tasks.get_mut(slot))?;
    user::store_if(space, old, &Itimerval::new(before, now))?;
    Ok(0)
}

pub(super) fn getitimer(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    check(args[0])?;
    let now = tasks.clock().monotonic();
    let task = tasks.get_mut(slot);
    let timer = task.timer;
    user::store(user::space(task)?, args[1], &Itimerval::new(timer, now))?;
    Ok(0)
}
