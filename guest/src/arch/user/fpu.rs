//! x87 and SSE registers in the form of `fxsave` (Intel SDM vol. 1, 10.5). The kernel itself uses
//! none of them.

/// The registers.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct FxState {
    bytes: [u8; FxState::SIZE],
}

/// Offsets.
const FCW: usize = 0;
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;

/// Bits of MXCSR that every x86-64 CPU takes.
const MXCSR_BITS: u32 = 0xffff;

impl FxState {
    /// Bytes of it.
    pub(crate) const SIZE: usize = 512;

    /// The registers of a new program: all exceptions masked, extended precision, round to nearest.
    pub(crate) const INITIAL: Self = {
        let mut bytes = [0; Self::SIZE];
        bytes[FCW] = 0x7f;
        bytes[FCW + 1] = 0x03;
        bytes[MXCSR] = 0x80;
        bytes[MXCSR + 1] = 0x1f;
        Self { bytes }
    };

    /// Its bytes, as a program finds them in a signal frame.
    pub(crate) fn bytes(&self) -> &[u8; Self::SIZE] {
        &self.bytes
    }

    /// What a program made of it; bits that would raise an exception in ring 0 are cleared.
    pub(crate) fn from_user(mut bytes: [u8; Self::SIZE]) -> Self {
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        let mxcsr = word(MXCSR) & MXCSR_BITS;
        bytes[MXCSR..MXCSR + 4].copy_from_slice(&mxcsr.to_le_bytes());
        bytes[MXCSR_MASK..MXCSR_MASK + 4].copy_from_slice(&MXCSR_BITS.to_le_bytes());
        Self { bytes }
    }

    /// Copies the CPU's registers here.
    pub(crate) fn save(&mut self) {
        // SAFETY: 512 bytes, aligned to 16.
        unsafe {
            core::arch::asm!("fxsave64 [{}]", in(reg) &raw mut self.bytes, options(nostack));
        }
    }

    /// Copies this to the CPU's registers.
    pub(crate) fn restore(&self) {
        // SAFETY: 512 bytes, aligned to 16; MXCSR has no bit that the CPU refuses, as it came from
        // the CPU or through `from_user`.
        unsafe {
            core::arch::asm!("fxrstor64 [{}]", in(reg) &raw const self.bytes, options(nostack));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_cannot_set_reserved_bits_of_mxcsr() {
        let state = FxState::from_user([0xff; FxState::SIZE]);
        assert_eq!(state.bytes()[MXCSR..MXCSR + 4], [0xff, 0xff, 0, 0]);
        assert_eq!(state.bytes()[0], 0xff);
        assert_eq!(
            FxState::INITIAL.bytes()[MXCSR..MXCSR + 4],
            [0x80, 0x1f, 0, 0]
        );
    }
}
