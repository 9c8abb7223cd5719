//! Accesses that may fault, and whose fault is the answer.

use super::trap::TrapFrame;
use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};
use x86_64::registers::control::Cr2;

/// What to try, in the numbering of `probe.s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Attempt {
    /// Load a byte in ring 0.
    Read = 0,
    /// Store the opcode of RET in ring 0.
    Write = 1,
    /// Call the address in ring 0; what is there returns.
    Fetch = 2,
    /// Go to the address in ring 3; what is there raises an exception.
    Ring3 = 3,
    /// Load the value into CR4.
    SetCr4 = 4,
    /// Load the value into the model-specific register with this number.
    SetMsr = 5,
    /// Load a byte, and store the same, by one instruction, in ring 0.
    Modify = 6,
}

/// The exception that ended an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) vector: u64,
    pub(crate) error_code: u64,
    pub(crate) rip: u64,
    pub(crate) cr2: u64,
}

static ARMED: AtomicBool = AtomicBool::new(false);

struct Caught(UnsafeCell<Fault>);

// SAFETY: written by the trap handler while the one CPU is inside `attempt`, read after it.
unsafe impl Sync for Caught {}

static CAUGHT: Caught = Caught(UnsafeCell::new(Fault {
    vector: 0,
    error_code: 0,
    rip: 0,
    cr2: 0,
}));

unsafe extern "C" {
    safe static probe_stack: AtomicU64;
    safe static probe_landing: u8;
    fn probe_run(kind: Attempt, address: u64, user_stack: u64, selectors: u64, operand: u64)
    -> u64;
}

/// Tries an access; the error is the exception it raised.
///
/// # Safety
/// If the access succeeds, its effect must be harmless: what is written is written, and code that
/// is fetched returns. Interrupts are off.
pub(crate) unsafe fn attempt(
    kind: Attempt,
    address: u64,
    user_stack: u64,
    operand: u64,
) -> Result<(), Fault> {
    let selectors = super::segments::user().map_or(0, |user| {
        u64::from(user.data.0) << 32 | u64::from(user.code.0)
    });
    ARMED.store(true, Relaxed);
    // SAFETY: `probe.s` saves all registers of the calling convention, and an exception comes
    // back through `caught`.
    let faulted = unsafe { probe_run(kind, address, user_stack, selectors, operand) } != 0;
    ARMED.store(false, Relaxed);
    if faulted {
        // SAFETY: `caught` wrote it before it came back here.
        Err(unsafe { *CAUGHT.0.get() })
    } else {
        Ok(())
    }
}

/// Called for each exception: ends the attempt that is under way, if there is one.
pub(crate) fn caught(frame: &mut TrapFrame) -> bool {
    if !ARMED.swap(false, Relaxed) {
        return false;
    }
    let fault = Fault {
        vector: frame.vector,
        error_code: frame.error_code,
        rip: frame.rip,
        cr2: Cr2::read_raw(),
    };
    // SAFETY: the CPU stands inside `attempt`, which reads it later.
    unsafe { *CAUGHT.0.get() = fault };
    frame.rip = core::ptr::from_ref(&probe_landing) as u64;
    frame.rsp = probe_stack.load(Relaxed);
    frame.cs = 8;
    frame.ss = 16;
    frame.rflags = 2;
    true
}
