//! What CPUID says in ring 3: the same on every host, so that a C library chooses the same functions
//! and a program that asks for the CPU's name or caches gets the same answer.
//!
//! The CPU raises #GP for CPUID in ring 3 when it is told to (CPUID faulting: Intel SDM vol. 3,
//! IA32_MISC_FEATURES_ENABLES; every KVM has it for its guests), and the kernel answers. What it
//! describes is x86-64-v2 (System V ABI, x86-64, 3.1.1) without what hides behind XSAVE.
//!
//! CPUID only tells: an instruction that it does not name may work nevertheless. RDRAND is random, and
//! where KVM leaves XCR0 to the host XGETBV and AVX work. A program that uses these unasked depends on
//! the host again.

use super::UserContext;
use crate::arch::probe::{self, Attempt};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// EAX, EBX, ECX, EDX.
type Registers = [u32; 4];

/// The instruction: its opcode, without a prefix, as compilers write it.
pub(crate) const OPCODE: [u8; 2] = [0x0f, 0xa2];

/// Bit 0: CPUID raises #GP in rings 1 to 3.
const IA32_MISC_FEATURES_ENABLES: u64 = 0x140;
const CPUID_FAULTING: u64 = 1;

/// Highest leaf below 0x4000_0000, and from 0x8000_0000 on.
const MAX_BASIC: u32 = 0xb;
const MAX_EXTENDED: u32 = 0x8000_0008;

/// Family 6, model 0x1a, stepping 3: the first of x86-64-v2.
const SIGNATURE: u32 = 0x0001_06a3;

/// Lines of 64 bytes, in units of 8; one logical processor, whose number is 0.
const LINE_AND_COUNT: u32 = 8 << 8 | 1 << 16;

/// SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; a hypervisor is there.
const FEATURES_ECX: u32 = 1 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23 | 1 << 31;

/// FPU, DE, PSE, TSC, MSR, PAE, MCE, CMPXCHG8B, SYSENTER, MTRR, PGE, MCA, CMOV, PAT, PSE-36, CLFLUSH,
/// MMX, FXSR, SSE, SSE2.
const FEATURES_EDX: u32 = 0x078b_f9fd;

/// LAHF and SAHF; SYSCALL, NX, long mode.
const EXTENDED_ECX: u32 = 1;
const EXTENDED_EDX: u32 = 1 << 11 | 1 << 20 | 1 << 29;

/// Descriptors of leaf 2, as many bytes (SDM vol. 2A, table 3-12): 32 KiB of data, 32 KiB of code,
/// 256 KiB, 8 MiB.
const CACHES: u32 = 0x212c_3001;
const CACHE_OF_8_MIB: u32 = 0xe4;

const VENDOR: &[u8; 12] = b"GenuineIntel";
const HYPERVISOR: &[u8; 12] = b"pagelab\0\0\0\0\0";
const BRAND: &[u8; 48] = b"pagelab x86-64-v2 virtual CPU\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Whether ring 3 sees what this module says.
static FIXED: AtomicBool = AtomicBool::new(false);

/// Has the CPU leave CPUID of ring 3 to the kernel. Interrupts are off.
pub(super) fn init() {
    // SAFETY: the bit matters in ring 3 alone. A CPU that has no such register raises an exception.
    let refused = unsafe {
        probe::attempt(
            Attempt::SetMsr,
            IA32_MISC_FEATURES_ENABLES,
            0,
            CPUID_FAULTING,
        )
    };
    if refused.is_err() {
        log::info!("CPUID cannot be intercepted: programs see the host's CPU");
    } else {
        FIXED.store(true, Relaxed);
    }
}

/// EDX of leaf 1, which programs get in their auxiliary vector as well.
pub(crate) fn hwcap() -> u32 {
    if FIXED.load(Relaxed) {
        FEATURES_EDX
    } else {
        core::arch::x86_64::__cpuid(1).edx
    }
}

impl UserContext {
    /// Executes CPUID, at which RIP stands.
    pub(crate) fn cpuid(&mut self) {
        let regs = &mut self.regs;
        let [eax, ebx, ecx, edx] = answer(regs.rax as u32, regs.rcx as u32).map(u64::from);
        (regs.rax, regs.rbx, regs.rcx, regs.rdx) = (eax, ebx, ecx, edx);
        regs.rip += OPCODE.len() as u64;
    }
}

/// What a leaf says; one that is not there, nothing.
fn answer(leaf: u32, sub_leaf: u32) -> Registers {
    match leaf {
        0 => {
            let [ebx, edx, ecx] = words(VENDOR);
            [MAX_BASIC, ebx, ecx, edx]
        }
        1 => [SIGNATURE, LINE_AND_COUNT, FEATURES_ECX, FEATURES_EDX],
        2 => [CACHES, 0, 0, CACHE_OF_8_MIB],
        4 => match sub_leaf {
            0 => cache(1, 1, 8, 64),
            1 => cache(1, 2, 8, 64),
            2 => cache(2, 3, 8, 512),
            3 => cache(3, 3, 16, 8192),
            _ => [0; 4],
        },
        0x4000_0000 => {
            let [ebx, ecx, edx] = words(HYPERVISOR);
            [0x4000_0000, ebx, ecx, edx]
        }
        0x8000_0000 => [MAX_EXTENDED, 0, 0, 0],
        0x8000_0001 => [0, 0, EXTENDED_ECX, EXTENDED_EDX],
        0x8000_0002..=0x8000_0004 => {
            let words: [u32; 12] = words(BRAND);
            let at = 4 * (leaf - 0x8000_0002) as usize;
            [words[at], words[at + 1], words[at + 2], words[at + 3]]
        }
        // 256 KiB, 8 ways.
        0x8000_0006 => [0, 0, 256 << 16 | 6 << 12 | 64, 0],
        // Bits of physical and of linear addresses.
        MAX_EXTENDED => [48 << 8 | 40, 0, 0, 0],
        _ => [0; 4],
    }
}

/// A cache of one processor, as leaf 4 has it: kind 1 is for data, 2 for code, 3 for both.
const fn cache(level: u32, kind: u32, ways: u32, sets: u32) -> Registers {
    const SELF_INITIALIZING: u32 = 1 << 8;
    const LINE: u32 = 64;
    [
        kind | level << 5 | SELF_INITIALIZING,
        (ways - 1) << 22 | (LINE - 1),
        sets - 1,
        0,
    ]
}

/// Bytes in the order of registers.
fn words<const N: usize>(text: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(text.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: &[u32]) -> String {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        String::from_utf8(bytes)
            .unwrap()
            .trim_end_matches('\0')
            .into()
    }

    #[test]
    fn names_can_be_read() {
        let [max, ebx, ecx, edx] = answer(0, 0);
        assert_eq!(
            (max, text(&[ebx, edx, ecx])),
            (MAX_BASIC, "GenuineIntel".into())
        );
        let name: Vec<u32> = (0x8000_0002..0x8000_0005)
            .flat_map(|leaf| answer(leaf, 7))
            .collect();
        assert_eq!(text(&name), "pagelab x86-64-v2 virtual CPU");
        assert_eq!(text(&answer(0x4000_0000, 0)[1..]), "pagelab");
    }

    #[test]
    fn nothing_newer_than_the_second_level_is_there() {
        let [_, _, ecx, edx] = answer(1, 0);
        // XSAVE, OSXSAVE, AVX, RDRAND; local APIC.
        assert_eq!(ecx & (0b111 << 26 | 1 << 30), 0);
        assert_eq!(edx & 1 << 9, 0);
        for leaf in [5, 6, 7, 0xd, 0x15, 0x4000_0001, 0x8000_001d, u32::MAX] {
            assert_eq!(answer(leaf, 0), [0; 4], "{leaf:#x}");
        }
    }

    #[test]
    fn caches_are_as_large_in_each_leaf() {
        let size = |sub_leaf| {
            let [_, ebx, ecx, _] = answer(4, sub_leaf);
            ((ebx >> 22) + 1) * ((ebx & 0xfff) + 1) * (ecx + 1)
        };
        assert_eq!(
            [0, 1, 2, 3].map(size),
            [32 << 10, 32 << 10, 256 << 10, 8 << 20]
        );
        assert_eq!(answer(0x8000_0006, 0)[2] >> 16, 256);
        assert_eq!(answer(4, 4), [0; 4]);
    }

    #[test]
    fn registers_are_those_of_the_instruction() {
        let mut context = UserContext::new(0x40_0000, 0);
        context.regs.rax = 0xffff_ffff_0000_0001;
        context.regs.rcx = u64::MAX;
        context.cpuid();
        let regs = &context.regs;
        assert_eq!(
            [regs.rax, regs.rdx],
            [SIGNATURE.into(), FEATURES_EDX.into()]
        );
        assert_eq!([regs.rcx, regs.rip], [FEATURES_ECX.into(), 0x40_0002]);
    }
}
