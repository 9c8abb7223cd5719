//! alarm, setitimer, getitimer.

use super::{Args, time::Timeval, user};
use crate::task::{SECOND, Slot, Tasks, Timer, Which};
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

fn which(number: u64) -> Result<Which, Errno> {
    match number as u32 {
        linux::ITIMER_REAL => Ok(Which::Real),
        linux::ITIMER_VIRTUAL => Ok(Which::Cpu(0)),
        linux::ITIMER_PROF => Ok(Which::Cpu(1)),
        _ => Err(Errno::EINVAL),
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
    let before = tasks.set_timer(slot, Which::Real, timer);
    Ok(before.at.map_or(0, |at| {
        let left = at.saturating_sub(now);
        ((left + SECOND / 2) / SECOND).max(1)
    }))
}

pub(super) fn setitimer(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let [number, new, old, ..] = *args;
    let wanted = match new {
        0 => None,
        at => {
            let space = user::space(tasks.get_mut(slot))?;
            let wanted: Itimerval = user::load(space, at)?;
            // What is wrong with it comes before what is wrong with the number.
            wanted.timer(0)?;
            Some(wanted)
        }
    };
    let which = which(number)?;
    let now = tasks.timer_clock(slot, which);
    let timer = wanted.map_or(Ok(Timer::default()), |wanted| wanted.timer(now))?;
    let before = tasks.set_timer(slot, which, timer);
    let space = user::space(tasks.get_mut(slot))?;
    user::store_if(space, old, &Itimerval::new(before, now))?;
    Ok(0)
}

pub(super) fn getitimer(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<u64, Errno> {
    let which = which(args[0])?;
    let shown = Itimerval::new(tasks.timer(slot, which), tasks.timer_clock(slot, which));
    user::store(user::space(tasks.get_mut(slot))?, args[1], &shown)?;
    Ok(0)
}
