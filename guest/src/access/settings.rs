//! The control bits under which the accesses are tried.

use crate::arch::{
    features,
    probe::{self, Attempt},
};
use x86_64::{
    PhysAddr,
    instructions::interrupts,
    registers::{
        control::{Cr0, Cr0Flags, Cr3, Cr3Flags, Cr4, Cr4Flags},
        model_specific::{Efer, EferFlags},
    },
    structures::paging::PhysFrame,
};

/// One combination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    write_protect: bool,
    no_execute: bool,
    /// SMEP and SMAP: together, as one is about fetches and the other about data.
    supervisor: Cr4Flags,
}

const SUPERVISOR: Cr4Flags = Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION
    .union(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION);

/// The CPU while it uses a setting; dropping it brings the kernel's own back.
pub(super) struct State {
    pub(super) cr3: u64,
    pub(super) cr0: u64,
    pub(super) cr4: u64,
    pub(super) efer: u64,
    kernel: Kernel,
}

/// The kernel's own setting.
struct Kernel {
    cr3: (PhysFrame, Cr3Flags),
    cr0: Cr0Flags,
    cr4: u64,
    efer: EferFlags,
}

impl Setting {
    /// All combinations of what CPUID offers.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let offered = features::offered() & SUPERVISOR;
        let ends = if offered.is_empty() { 4 } else { 8 };
        (0..ends).map(move |bits| Self {
            write_protect: bits & 1 != 0,
            no_execute: bits & 2 != 0,
            supervisor: if bits & 4 != 0 {
                offered
            } else {
                Cr4Flags::empty()
            },
        })
    }

    /// Whether the CPU takes it.
    pub(super) fn is_possible(&self) -> bool {
        let (root, _) = Cr3::read();
        let own = Self {
            no_execute: true,
            ..*self
        };
        // SAFETY: the kernel's own tables, which have NX bits, with NX on.
        unsafe { own.enter(root.start_address().as_u64()) }.is_some()
    }

    /// Turns interrupts off, loads the tables and sets the bits. None, with everything as it was,
    /// if the CPU refuses one.
    ///
    /// # Safety
    /// The tables at `root` map the kernel without NX and global bits.
    pub(super) unsafe fn enter(self, root: u64) -> Option<State> {
        interrupts::disable();
        let kernel = Kernel {
            cr3: Cr3::read(),
            cr0: Cr0::read(),
            cr4: Cr4::read_raw(),
            efer: Efer::read(),
        };
        let mut cr4 = Cr4::read();
        // Without global pages a write of CR3 empties the whole TLB.
        cr4.remove(Cr4Flags::PAGE_GLOBAL);
        cr4.remove(SUPERVISOR);
        cr4.insert(self.supervisor);
        // SAFETY: the bits only restrict what the kernel does not do; a refusal is an exception.
        let refused = unsafe { probe::attempt(Attempt::SetCr4, cr4.bits(), 0, 0) }.is_err();
        if refused || Cr4::read() != cr4 {
            // SAFETY: what the kernel had before.
            unsafe { Cr4::write_raw(kernel.cr4) };
            interrupts::enable();
            return None;
        }
        let mut cr0 = kernel.cr0;
        cr0.set(Cr0Flags::WRITE_PROTECT, self.write_protect);
        let mut efer = kernel.efer;
        efer.set(EferFlags::NO_EXECUTE_ENABLE, self.no_execute);
        let frame = PhysFrame::containing_address(PhysAddr::new_truncate(root));
        // SAFETY: the tables map the kernel, without a bit that is reserved while NXE is off.
        unsafe {
            Cr3::write(frame, Cr3Flags::empty());
            Cr0::write(cr0);
            Efer::write(efer);
            // Nothing that was cached under another setting is used.
            Cr3::write(frame, Cr3Flags::empty());
        }
        Some(State {
            cr3: root,
            cr0: cr0.bits(),
            cr4: Cr4::read_raw(),
            efer: efer.bits(),
            kernel,
        })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let Kernel {
            cr3: (frame, flags),
            cr0,
            cr4,
            efer,
        } = self.kernel;
        // SAFETY: what the kernel had before, in the opposite order.
        unsafe {
            Efer::write(efer);
            Cr0::write(cr0);
            Cr3::write(frame, flags);
            Cr4::write_raw(cr4);
        }
        interrupts::enable();
    }
}
