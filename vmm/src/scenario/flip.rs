//! Turning one bit of the guest's memory over.

use super::{RunError, observe::with_memory};
use crate::{
    fault::BitflipSpec,
    inspect::{
        decode::Snapshot,
        locate::{LocateError, Place},
    },
    machine::Machine,
    report::Bitflip,
};
use vm_memory::{Bytes, GuestAddress};

/// Turns it over where the guest stands. What is not there is not changed, and the account says why.
/// The CPU may go on with what it has cached of a page table.
pub(super) fn flip(machine: &Machine, spec: &BitflipSpec, event: u64) -> Result<Bitflip, RunError> {
    let mut account = Bitflip {
        armed: spec.to_string(),
        event,
        gpa: None,
        before: 0,
        after: 0,
        reason: None,
    };
    match address(machine, spec) {
        Ok(gpa) => match turn(machine, gpa, spec.bit) {
            Ok(before) => {
                account.before = before;
                account.after = before ^ 1 << (spec.bit % 8);
                account.gpa = Some(format!("{gpa:#x}"));
            }
            Err(error) => account.reason = Some(error.to_string()),
        },
        Err(error) => account.reason = Some(error.to_string()),
    }
    Ok(account)
}

/// The guest-physical address of the byte that has the bit.
pub(super) fn address(machine: &Machine, spec: &BitflipSpec) -> Result<u64, LocateError> {
    let first = locate(machine, spec.place)?;
    Ok(first.saturating_add(u64::from(spec.bit / 8)))
}

/// Turns a bit of the byte at this address over, as the bit `number` of a longer place. The byte that was
/// there before.
pub(super) fn turn(
    machine: &Machine,
    gpa: u64,
    number: u32,
) -> Result<u8, vm_memory::GuestMemoryError> {
    let memory = machine.memory();
    let mut byte = [0];
    memory.read_slice(&mut byte, GuestAddress(gpa))?;
    memory.write_slice(&[byte[0] ^ 1 << (number % 8)], GuestAddress(gpa))?;
    Ok(byte[0])
}

/// Where the place is now.
fn locate(machine: &Machine, place: Place) -> Result<u64, LocateError> {
    let found = with_memory(machine, |memory, root| {
        place.locate(&Snapshot::read(memory, root)?)
    });
    found.unwrap_or_else(|| Err(crate::inspect::decode::DecodeError::NoRoot.into()))
}
