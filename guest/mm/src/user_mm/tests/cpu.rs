//! A CPU in ring 3, in software: it walks the tables as x86-64 does, and goes on using what it has
//! cached until it is told to forget it.

use super::{Access, FaultSignal, UserMm};
use crate::testing::TestMachine;
use std::collections::BTreeMap;

const P: u64 = 1;
const W: u64 = 2;
const U: u64 = 4;
const A: u64 = 0x20;
const D: u64 = 0x40;
const PS: u64 = 0x80;
const NX: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Whether a translation allows an access.
fn grants(pte: u64, access: Access) -> bool {
    let right = match access {
        Access::Write => pte & (W | D) == W | D,
        Access::Exec => pte & NX == 0,
        Access::Read => true,
    };
    pte & (P | U) == P | U && right
}

fn word(machine: &TestMachine, address: u64) -> *mut u64 {
    let frame = machine.frame((address >> 12) as u32).expect("in RAM");
    // SAFETY: inside the frame.
    unsafe { frame.byte_add((address & 0xfff) as usize).cast().as_ptr() }
}

/// The translation of an address as the tables have it: the last entry with the rights of all.
pub(super) fn translate(machine: &TestMachine, pgd: u64, address: u64) -> (u64, Option<u64>) {
    let (mut table, mut rights, mut no_exec) = (pgd, W | U, 0);
    for level in (0..4).rev() {
        let at = table + (address >> (12 + 9 * level) & 511) * 8;
        // SAFETY: tables are frames of RAM.
        let entry = unsafe { *word(machine, at) };
        if entry & P == 0 {
            return (0, None);
        }
        rights &= entry;
        no_exec |= entry & NX;
        if level == 0 || level == 1 && entry & PS != 0 {
            let within = if level == 1 { address & 0x1f_f000 } else { 0 };
            let bits = entry & !(W | U | NX | if level == 1 { PS } else { 0 });
            let pte = (bits | rights & (W | U) | no_exec) + within;
            return (pte, Some(at));
        }
        table = entry & ADDRESS;
    }
    unreachable!()
}

/// The translation that the CPU uses for an access, after as many faults as it takes.
fn access(
    user: &mut UserMm<TestMachine>,
    address: u64,
    access: Access,
) -> Result<u64, FaultSignal> {
    let machine = user.mm().machine();
    let page = address & !0xfff;
    for _ in 0..4 {
        let cached = machine.lock_tlb().get(&page).copied().unwrap_or(0);
        if grants(cached, access) {
            return Ok(cached);
        }
        let (pte, at) = translate(machine, user.pgd(), address);
        let wanted = pte | A | if access == Access::Write { D } else { 0 };
        if let Some(at) = at.filter(|_| pte & W != 0 || access != Access::Write)
            && grants(wanted, access)
        {
            // SAFETY: the entry that was just read.
            unsafe { *word(machine, at) |= wanted & (A | D) };
            machine.lock_tlb().insert(page, wanted);
            return Ok(wanted);
        }
        user.handle_fault(address, access.error_code() | pte & P)?;
    }
    panic!("{access:?} at {address:#x} faults for ever");
}

/// Loads a byte.
pub(super) fn load(user: &mut UserMm<TestMachine>, address: u64) -> Result<u8, FaultSignal> {
    let pte = access(user, address, Access::Read)?;
    let at = (pte & ADDRESS) + (address & 0xfff);
    // SAFETY: a byte of RAM.
    Ok(unsafe {
        *word(user.mm().machine(), at & !7)
            .cast::<u8>()
            .add((at & 7) as usize)
    })
}

/// Stores a byte.
pub(super) fn store(
    user: &mut UserMm<TestMachine>,
    address: u64,
    value: u8,
) -> Result<(), FaultSignal> {
    let pte = access(user, address, Access::Write)?;
    let at = (pte & ADDRESS) + (address & 0xfff);
    // SAFETY: a byte of RAM.
    unsafe {
        *word(user.mm().machine(), at & !7)
            .cast::<u8>()
            .add((at & 7) as usize) = value
    };
    Ok(())
}

/// Fetches an instruction.
pub(super) fn fetch(user: &mut UserMm<TestMachine>, address: u64) -> Result<(), FaultSignal> {
    access(user, address, Access::Exec).map(drop)
}

/// Goes over to another address space.
pub(super) fn switch(machine: &TestMachine) {
    machine.lock_tlb().clear();
}

/// What is cached.
pub(super) fn cached(machine: &TestMachine) -> BTreeMap<u64, u64> {
    machine.lock_tlb().clone()
}

/// Whether the tables still allow all that is cached, with the same frame.
pub(super) fn check_cached(user: &UserMm<TestMachine>) {
    let machine = user.mm().machine();
    for (page, cached) in cached(machine) {
        let (pte, _) = translate(machine, user.pgd(), page);
        let narrower = cached & (P | W | U) & !pte == 0 && pte & NX & !cached == 0;
        assert!(
            cached & ADDRESS == pte & ADDRESS && narrower,
            "{page:#x}: the CPU uses {cached:#x}, the tables say {pte:#x}"
        );
    }
}
