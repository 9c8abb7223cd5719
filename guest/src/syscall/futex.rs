//! futex: wait, wake and requeue. A word in a shared mapping is known by its file and its place there,
//! whoever maps it and where; any other by its address and the memory that it is in.

use super::{Args, Outcome, time::Timespec, user};
use crate::task::{FutexKey, Slot, Space, Tasks, WaitFor};
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
    let is_private = operation & linux::FUTEX_PRIVATE_FLAG != 0;
    let bitset = match operation & COMMAND {
        linux::FUTEX_WAIT_BITSET | linux::FUTEX_WAKE_BITSET => args[5] as u32,
        _ => linux::FUTEX_BITSET_MATCH_ANY,
    };
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    match operation & COMMAND {
        linux::FUTEX_WAIT | linux::FUTEX_WAIT_BITSET => {
            let clock = tasks.clock();
            let shown = match operation & COMMAND {
                linux::FUTEX_WAIT => None,
                _ if operation & linux::FUTEX_CLOCK_REALTIME != 0 => Some(clock.realtime()),
                _ => Some(clock.monotonic()),
            };
            let word = Word {
                address,
                is_private,
                bitset,
            };
            wait(tasks, slot, word, value as u32, timeout, shown)
        }
        linux::FUTEX_WAKE | linux::FUTEX_WAKE_BITSET => {
            let key = key_of(user::space(tasks.get_mut(slot))?, address, is_private)?;
            let woken = tasks.wake_futex(key, value as u32, bitset);
            Ok(Outcome::Value(woken))
        }
        command @ (linux::FUTEX_REQUEUE | linux::FUTEX_CMP_REQUEUE) => {
            let (wake, requeue) = (value as i32, timeout as i32);
            if wake < 0 || requeue < 0 {
                return Err(Errno::EINVAL);
            }
            let space = user::space(tasks.get_mut(slot))?;
            let from = key_of(space, address, is_private)?;
            let to = key_of(space, args[4], is_private)?;
            if command == linux::FUTEX_CMP_REQUEUE
                && user::load::<u32>(space, address)? != args[5] as u32
            {
                return Err(Errno::EAGAIN);
            }
            let woken = tasks.wake_futex(from, wake as u32, linux::FUTEX_BITSET_MATCH_ANY);
            let moved = tasks.requeue_futex(from, to, requeue as u32);
            Ok(Outcome::Value(woken + moved))
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// Wakes one who waits for a word in a task's memory that others may share (Linux: `FUTEX_WAKE`).
pub(crate) fn wake_one(tasks: &mut Tasks, slot: Slot, address: u64) {
    let key = user::space(tasks.get_mut(slot)).and_then(|space| key_of(space, address, false));
    if let Ok(key) = key {
        tasks.wake_futex(key, 1, linux::FUTEX_BITSET_MATCH_ANY);
    }
}

/// What a word is known by, which must be there.
fn key_of(space: &mut Space, address: u64, is_private: bool) -> Result<FutexKey, Errno> {
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    user::load::<u32>(space, address)?;
    let place = if is_private {
        None
    } else {
        space.shared_place(address)
    };
    Ok(match place {
        Some((file, offset)) => FutexKey::Shared { file, offset },
        None => FutexKey::Private {
            mm: space.gpa(),
            address,
        },
    })
}

/// What is waited for.
#[derive(Clone, Copy)]
struct Word {
    address: u64,
    is_private: bool,
    /// Which wakes it hears.
    bitset: u32,
}

/// Waits while the word has a value. `shown` is what the clock of an absolute timeout shows.
fn wait(
    tasks: &mut Tasks,
    slot: Slot,
    word: Word,
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
    let key = key_of(space, word.address, word.is_private)?;
    let current: u32 = user::load(space, word.address)?;
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
    Ok(Outcome::Wait(WaitFor::Futex {
        key,
        bitset: word.bitset,
        until,
    }))
}
