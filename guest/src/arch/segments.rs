//! GDT, TSS and the stacks that exceptions switch to.

use super::paging::stack::Stack;
use core::cell::UnsafeCell;
use spin::Once;
use x86_64::{
    VirtAddr,
    instructions::tables::load_tss,
    structures::{
        gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector},
        tss::TaskStateSegment,
    },
};

/// Index of a stack in the TSS's interrupt stack table, counted from 1 as in a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ist {
    /// Stay on the stack in use.
    None = 0,
    Nmi = 1,
    DoubleFault = 2,
    MachineCheck = 3,
}

/// Selectors of the program in ring 3, RPL included.
#[derive(Clone, Copy)]
pub(crate) struct UserSelectors {
    pub(crate) code: SegmentSelector,
    pub(crate) data: SegmentSelector,
}

struct Tss(UnsafeCell<TaskStateSegment>);

// SAFETY: the one CPU writes it, through raw pointers in this module.
unsafe impl Sync for Tss {}

static TSS: Tss = Tss(UnsafeCell::new(TaskStateSegment::new()));

/// Entries of the GDT: those in use, and two that are empty so that ring 3 has Linux's selectors.
const GDT_ENTRIES: usize = 9;

static GDT: Once<(GlobalDescriptorTable<GDT_ENTRIES>, UserSelectors)> = Once::new();

/// Loads GDT and TSS. The kernel's selectors are those of the entry code: 8 and 16.
pub(crate) fn init() {
    let top = |stack: Stack| VirtAddr::new_truncate(stack.range().end);
    // SAFETY: once, at boot, before the CPU knows of it.
    let tss = unsafe {
        let tss = TSS.0.get();
        (*tss).interrupt_stack_table[Ist::Nmi as usize - 1] = top(Stack::Nmi);
        (*tss).interrupt_stack_table[Ist::DoubleFault as usize - 1] = top(Stack::DoubleFault);
        (*tss).interrupt_stack_table[Ist::MachineCheck as usize - 1] = top(Stack::MachineCheck);
        (*tss).privilege_stack_table[0] = top(Stack::Ring3);
        tss
    };
    let mut tss_selector = SegmentSelector(0);
    let (gdt, _) = GDT.call_once(|| {
        let mut gdt = GlobalDescriptorTable::empty();
        gdt.append(Descriptor::kernel_code_segment());
        gdt.append(Descriptor::kernel_data_segment());
        gdt.append(Descriptor::UserSegment(0));
        gdt.append(Descriptor::UserSegment(0));
        let data = gdt.append(Descriptor::user_data_segment());
        let code = gdt.append(Descriptor::user_code_segment());
        // SAFETY: it is static, and the CPU reads it only.
        tss_selector = gdt.append(unsafe { Descriptor::tss_segment_unchecked(tss) });
        (gdt, UserSelectors { code, data })
    });
    gdt.load();
    // SAFETY: the descriptor just made refers to a TSS that lives for ever.
    unsafe { load_tss(tss_selector) };
}

/// Selectors for ring 3. None before [`init`].
pub(crate) fn user() -> Option<UserSelectors> {
    GDT.get().map(|(_, user)| *user)
}

/// Sets the stack for exceptions in ring 3.
pub(crate) fn set_ring0_stack(top: VirtAddr) {
    // SAFETY: the one CPU is in ring 0 and does not look at the field.
    unsafe { (*TSS.0.get()).privilege_stack_table[0] = top };
}
