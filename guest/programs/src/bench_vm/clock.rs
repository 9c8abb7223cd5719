//! The time-stamp counter, and what it counts here.

use core::arch::{
    asm,
    x86_64::{_mm_lfence, _rdtsc},
};

/// Turns of the loop that [`ticks_of_a_loop`] measures.
const TURNS: u64 = 100_000;

/// Instructions of that loop.
pub(crate) const LOOP_INSTRUCTIONS: u64 = 2 * TURNS;

/// Times that everything is measured, of which the least counts: interrupts of the machine below only add.
const ROUNDS: u32 = 5;

/// The counter, read after all that came before.
#[inline]
fn now() -> u64 {
    // SAFETY: neither touches memory, and all x86-64 CPUs have both.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}

/// Ticks of a piece of work.
#[inline]
pub(crate) fn ticks<E>(work: impl FnOnce() -> Result<(), E>) -> Result<u64, E> {
    let start = now();
    work()?;
    Ok(now().wrapping_sub(start))
}

/// The least that a measurement gives.
pub(crate) fn least<E>(mut measure: impl FnMut() -> Result<u64, E>) -> Result<u64, E> {
    let mut least = measure()?;
    for _ in 1..ROUNDS {
        least = least.min(measure()?);
    }
    Ok(least)
}

/// Ticks of a loop whose number of instructions is known.
pub(crate) fn ticks_of_a_loop() -> Result<u64, syscalls::Errno> {
    least(|| {
        ticks(|| {
            // SAFETY: counts a register down.
            unsafe {
                asm!("2:", "dec {0}", "jnz 2b", inout(reg) TURNS => _, options(nomem, nostack));
            }
            Ok(())
        })
    })
}
