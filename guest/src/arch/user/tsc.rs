//! The time-stamp counter that ring 3 sees: the event clock's time, in nanoseconds, so that it is the
//! same at each run and on every host.
//!
//! The CPU raises #GP for RDTSC in ring 3 when it is told to (CR4.TSD: Intel SDM vol. 3, 2.5), and the
//! kernel answers. RDTSCP, which CPUID does not name, does not exist.

use super::UserContext;
use crate::arch::probe::{self, Attempt};
use x86_64::registers::control::{Cr4, Cr4Flags};

/// The instructions, without a prefix, as compilers write them.
pub(crate) const RDTSC: [u8; 2] = [0x0f, 0x31];
pub(crate) const RDTSCP: [u8; 3] = [0x0f, 0x01, 0xf9];

/// Has the CPU leave RDTSC of ring 3 to the kernel. Interrupts are off.
pub(super) fn init() {
    let value = Cr4::read_raw() | Cr4Flags::TIMESTAMP_DISABLE.bits();
    // SAFETY: the bit matters in ring 3 alone.
    if unsafe { probe::attempt(Attempt::SetCr4, value, 0, 0) }.is_err() {
        log::info!("RDTSC cannot be intercepted: programs see the host's counter");
    }
}

impl UserContext {
    /// Executes RDTSC, at which RIP stands.
    pub(crate) fn rdtsc(&mut self, count: u64) {
        let regs = &mut self.regs;
        regs.rax = count & u64::from(u32::MAX);
        regs.rdx = count >> 32;
        regs.rip += RDTSC.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_in_two_registers() {
        let mut context = UserContext::new(0x40_0000, 0);
        (context.regs.rax, context.regs.rdx) = (u64::MAX, u64::MAX);
        context.rdtsc(0x1234_5678_9abc_def0);
        let regs = &context.regs;
        assert_eq!([regs.rdx, regs.rax], [0x1234_5678, 0x9abc_def0]);
        assert_eq!(regs.rip, 0x40_0002);
    }
}
