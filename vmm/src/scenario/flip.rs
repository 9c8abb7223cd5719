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
    let first = match locate(machine, spec.place) {
        Ok(gpa) => gpa,
        Err(error) => {
            account.reason = Some(error.to_string());
            return Ok(account);
        }
    };
    let gpa = first.saturating_add(u64::from(spec.bit / 8));
    let memory = machine.memory();
    let mut byte = [0];
    let changed = memory
        .read_slice(&mut byte, GuestAddress(gpa))
        .and_then(|()| {
            account.before = byte[0];
            account.after = byte[0] ^ 1 << (spec.bit % 8);
            memory.write_slice(&[account.after], GuestAddress(gpa))
        });
    match changed {
        Ok(()) => account.gpa = Some(format!("{gpa:#x}")),
        Err(error) => account.reason = Some(error.to_string()),
    }
    Ok(account)
}

/// Where the place is now.
fn locate(machine: &Machine, place: Place) -> Result<u64, LocateError> {
    let found = with_memory(machine, |memory, root| {
        place.locate(&Snapshot::read(memory, root)?)
    });
    found.unwrap_or_else(|| Err(crate::inspect::decode::DecodeError::NoRoot.into()))
}
