//! Who called: return addresses on the kernel's stack, by the chain of frame pointers, which the
//! kernel is built with.

use super::paging::stack::Stack;
use pagelab_abi::fault::{CallSite, STACKTRACE_DEPTH};

/// Whether one of the callers, up to [`STACKTRACE_DEPTH`], is in one of these ranges.
#[inline(never)]
pub(crate) fn is_called_from(sites: &[CallSite]) -> bool {
    let mut frame: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack)) };
    let stack = Stack::Main.range();
    for _ in 0..STACKTRACE_DEPTH {
        if !stack.contains(&frame) || !stack.contains(&(frame + 15)) || !frame.is_multiple_of(8) {
            return false;
        }
        // SAFETY: both words are on the stack that this function runs on, which is mapped whole.
        let (next, caller) = unsafe { (*(frame as *const u64), *((frame + 8) as *const u64)) };
        // The return address may already belong to the next function.
        let call = caller.wrapping_sub(1);
        if sites
            .iter()
            .any(|site| (site.start..site.end).contains(&call))
        {
            return true;
        }
        // Frames go up the stack, so a loop ends.
        if next <= frame {
            return false;
        }
        frame = next;
    }
    false
}
