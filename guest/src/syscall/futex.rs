//! futex: wait and wake. Between processes a word is found by its address in a shared mapping; within
//! one, and there is one thread, a wait ends by time or by a signal only.

use super::{Args, Outcome, time::Timespec, user};
use crate::task::{Slot, Tasks, WaitFor};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

/// Operations without their flags.
const COMMAND: u32 = !(linux::FUTEX_PRIVATE_FLAG | linux::FUTEX_CLOCK_REALTIME);

pub(super) fn futex(tasks: &mut Tasks, slot: Slot, args: &Args) -> Outcome {
    match operate(tasks, slot, args) {
        Ok(outcome) => outcome,
        Err(errno) => Outcome::Error(errno),
    }
}

fn operate(tasks: &mut Tasks, slot: Slot, args: &Args) -> Result<Outcome, Errno> {
    let [address, operation, value, timeout, ..] = *args;
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let operation = operation as u32;
    match operation & COMMAND {
        linux::FUTEX_WAIT => wait(tasks, slot, address, value as u32, timeout, None),
        linux::FUTEX_WAIT_BITSET => {
            let clock = tasks.clock();
            let shown = if operation & linux::FUTEX_CLOCK_REALTIME != 0 {
                clock.realtime()
            } else {
                clock.monotonic()
            };
            wait(tasks, slot, address, value as u32, timeout, Some(shown))
        }
        linux::FUTEX_WAKE | linux::FUTEX_WAKE_BITSET => {
            // The word must be there, even if nobody waits.
            user::load::<u32>(user::space(tasks.get_mut(slot))?, address)?;
            Ok(Outcome::Value(tasks.wake_futex(address, value as u32)))
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// Waits while the word has a value. `shown` is what the clock of an absolute timeout shows.
fn wait(
    tasks: &mut Tasks,
    slot: Slot,
    address: u64,
    value: u32,
    timeout: u64,
    shown: Option<u64>,
) -> Result<Outcome, Errno> {
    let now = tasks.clock().monotonic();
    let task = tasks.get_mut(slot);
    let space = user::space(task)?;
    let limit = match timeout {
        0 => None,
        at => {
            let wanted = user::load::<Timespec>(space, at)?.nanoseconds()?;
            Some(shown.map_or(wanted, |shown| wanted.saturating_sub(shown)))
        }
    };
    let current: u32 = user::load(space, address)?;
    if core::mem::take(&mut task.futex_woken) {
        task.deadline = None;
        return Ok(Outcome::Value(0));
    }
    if current != value {
        return Err(Errno::EAGAIN);
    }
    let until = limit.map(|limit| *task.deadline.get_or_insert(now.saturating_add(limit)));
    if until.is_some_and(|until| until <= now) {
        task.deadline = None;
        return Err(Errno::ETIMEDOUT);
    }
    Ok(Outcome::Wait(WaitFor::Futex { address, until }))
}
