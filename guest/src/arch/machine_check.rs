//! Machine checks: the CPU, or who plays it, says that a frame's memory is broken (Intel SDM vol. 3, chapter
//! 15: machine-check architecture; Linux arch/x86/kernel/cpu/mce).
//!
//! The handler runs on a stack of its own and may have come in the middle of anything, so it only notes which
//! frame it was, as Linux does for errors whose recovery is optional, and clears the bank. The next
//! [safe point](crate::safe_point) deals with the frame ([`crate::memory_failure`]).

use super::{
    interrupt,
    probe::{self, Attempt},
    trap::{TrapFrame, vector},
};
use core::{
    arch::x86_64::__cpuid,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SHIFT,
    platform::{
        MCG_STATUS_MCIP, MCG_STATUS_RIPV, MCI_STATUS_ADDRV, MCI_STATUS_PCC, MCI_STATUS_VAL,
    },
};
use x86_64::registers::{
    control::{Cr4, Cr4Flags},
    model_specific::Msr,
};

/// Model-specific registers (Intel SDM vol. 4).
mod msr {
    pub(super) const MCG_CAP: u32 = 0x179;
    pub(super) const MCG_STATUS: u32 = 0x17a;
    pub(super) const MCG_CTL: u32 = 0x17b;
    /// IA32_MC0_CTL; STATUS, ADDR and MISC follow it, and then the next bank.
    pub(super) const MC0_CTL: u32 = 0x400;
}

/// MCE and MCA in CPUID leaf 1, EDX.
const CPUID_MCE_MCA: u32 = 1 << 7 | 1 << 14;

/// MCG_CTL_P in MCG_CAP.
const MCG_CTL_P: u64 = 1 << 8;

/// Broken frames that wait for a safe point, at most.
const MAX_NOTED: usize = 16;

/// Banks of the CPU; 0 if it reports no machine checks.
static BANKS: AtomicU32 = AtomicU32::new(0);

/// Frames that wait: 1 + pfn, 0 for none.
static NOTED: [AtomicU32; MAX_NOTED] = [const { AtomicU32::new(0) }; MAX_NOTED];

/// Turns the reporting of machine checks on, where the CPU has it.
pub(crate) fn init() {
    if __cpuid(1).edx & CPUID_MCE_MCA != CPUID_MCE_MCA {
        return;
    }
    let cap = read(msr::MCG_CAP);
    let banks = (cap & 0xff) as u32;
    if banks == 0 {
        return;
    }
    let mut on = Ok(());
    if cap & MCG_CTL_P != 0 {
        on = write(msr::MCG_CTL, u64::MAX);
    }
    for bank in 0..banks {
        on = on.and(write(msr::MC0_CTL + 4 * bank, u64::MAX));
    }
    let value = Cr4::read_raw() | Cr4Flags::MACHINE_CHECK_EXCEPTION.bits();
    // SAFETY: the bit lets machine checks arrive, for which there are a handler and a stack.
    let on = on.and(unsafe { probe::attempt(Attempt::SetCr4, value, 0, 0) }.map_err(drop));
    match on {
        Ok(()) => BANKS.store(banks, Relaxed),
        Err(()) => log::debug!("CPU offers machine checks but refuses them"),
    }
}

fn read(number: u32) -> u64 {
    // SAFETY: registers of the machine-check architecture, which CPUID offers, and banks that there are.
    unsafe { Msr::new(number).read() }
}

fn write(number: u32, value: u64) -> Result<(), ()> {
    // SAFETY: the registers of the machine-check architecture decide about reports of errors only.
    unsafe { probe::attempt(Attempt::SetMsr, u64::from(number), 0, value) }.map_err(drop)
}

/// Called for each exception: notes what a machine check says. False if it is none, or one after which
/// nothing can go on.
pub(crate) fn noted(frame: &TrapFrame) -> bool {
    if frame.vector != vector::MACHINE_CHECK {
        return false;
    }
    let status = read(msr::MCG_STATUS);
    let banks = (0..BANKS.load(Relaxed)).filter(|bank| note_bank(*bank));
    let all_noted = banks.count() > 0;
    // Another one while this bit is set would shut the CPU down.
    // SAFETY: clears what was reported.
    unsafe { Msr::new(msr::MCG_STATUS).write(status & !MCG_STATUS_MCIP) };
    all_noted && status & MCG_STATUS_RIPV != 0
}

/// Notes what a bank reports, and clears it. False if it reports nothing that can be dealt with.
fn note_bank(bank: u32) -> bool {
    let base = msr::MC0_CTL + 4 * bank;
    let status = read(base + 1);
    if status & MCI_STATUS_VAL == 0 {
        return false;
    }
    let usable = status & MCI_STATUS_PCC == 0 && status & MCI_STATUS_ADDRV != 0;
    let pfn = usable.then(|| (read(base + 2) >> PAGE_SHIFT) as u32);
    // SAFETY: clears what was reported; software may write 0 only.
    unsafe { Msr::new(base + 1).write(0) };
    pfn.is_some_and(|pfn| {
        let free = NOTED.iter().find(|slot| slot.load(Relaxed) == 0);
        let Some(slot) = free else { return false };
        slot.store(pfn.wrapping_add(1), Relaxed);
        interrupt::note_machine_check();
        true
    })
}

/// Takes a frame that was noted.
pub(crate) fn take() -> Option<u32> {
    let taken = NOTED.iter().map(|slot| slot.swap(0, Relaxed));
    taken.filter_map(|word| word.checked_sub(1)).next()
}
