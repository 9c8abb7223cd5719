//! One access, in ring 0 or ring 3.

use super::tables::{Tables, USER_CODE, USER_STACK_END};
use crate::arch::{
    probe::{self, Attempt, Fault},
    trap::vector,
};
use core::{marker::PhantomData, ptr::NonNull};
use pagelab_abi::access::{AccessKind, AccessRecord, NO_FAULT};

/// Bytes between the routines of ring 3.
const ROUTINE: usize = 16;

/// Ring 3's routines, by kind: the access to the address in RDI, then UD2, whose exception says
/// that the access went well.
const ROUTINES: [&[u8]; 3] = [
    &[0x8a, 0x07, 0x0f, 0x0b],       // mov al, [rdi]
    &[0xc6, 0x07, 0xc3, 0x0f, 0x0b], // mov byte ptr [rdi], 0xc3
    &[0xff, 0xd7, 0x0f, 0x0b],       // call rdi
];

/// Writes the routines into the page of ring 3's code.
pub(super) fn write_user_code(page: NonNull<u8>) {
    for (i, routine) in ROUTINES.iter().enumerate() {
        // SAFETY: the page is new, and the routines fit into its first 48 bytes.
        unsafe {
            page.add(i * ROUTINE)
                .copy_from_nonoverlapping(NonNull::from(*routine).cast(), routine.len());
        }
    }
}

/// Tries accesses while the tables are in use.
pub(super) struct Prober<'a> {
    /// The target of all addresses is the tables' own page.
    tables: PhantomData<&'a Tables>,
}

impl<'a> Prober<'a> {
    pub(super) fn new(_: &'a Tables) -> Self {
        Self {
            tables: PhantomData,
        }
    }

    /// Tries one access at an address that [`Tables::address`] gave, with interrupts off and the
    /// tables in CR3.
    pub(super) fn attempt(&self, address: u64, kind: AccessKind, ring: u8) -> AccessRecord {
        let outcome = if ring == 0 {
            let attempt = match kind {
                AccessKind::Read => Attempt::Read,
                AccessKind::Write => Attempt::Write,
                AccessKind::Fetch => Attempt::Fetch,
            };
            // SAFETY: where it succeeds, the address is the target page: a page full of RET, and
            // RET is what a write writes.
            unsafe { probe::attempt(attempt, address, 0, 0) }
        } else {
            let routine = USER_CODE + (kind as usize * ROUTINE) as u64;
            // SAFETY: the routine does the same in ring 3 and ends with UD2.
            let outcome =
                unsafe { probe::attempt(Attempt::Ring3, routine, USER_STACK_END, address) };
            outcome.or_else(|fault| {
                let routine = routine..routine + ROUTINE as u64;
                let over = fault.vector == vector::INVALID_OPCODE && routine.contains(&fault.rip);
                if over { Ok(()) } else { Err(fault) }
            })
        };
        let Fault {
            vector,
            error_code,
            cr2,
            ..
        } = outcome.err().unwrap_or(Fault {
            vector: NO_FAULT.into(),
            ..Fault::default()
        });
        AccessRecord {
            address,
            error_code: error_code as u32,
            kind: kind as u8,
            ring,
            vector: vector as u8,
            wrong_cr2: (vector == vector::PAGE_FAULT && cr2 != address).into(),
        }
    }
}
