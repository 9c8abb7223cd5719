//! GDT, TSS and the stacks that exceptions switch to.

use super::paging::stack::Stack;
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

static TSS: Once<TaskStateSegment> = Once::new();
static GDT: Once<(GlobalDescriptorTable, UserSelectors)> = Once::new();

/// Loads GDT and TSS. The kernel's selectors are those of the entry code: 8 and 16.
pub(crate) fn init() {
    let tss = TSS.call_once(|| {
        let mut tss = TaskStateSegment::new();
        let top = |stack: Stack| VirtAddr::new_truncate(stack.range().end);
        tss.interrupt_stack_table[Ist::Nmi as usize - 1] = top(Stack::Nmi);
        tss.interrupt_stack_table[Ist::DoubleFault as usize - 1] = top(Stack::DoubleFault);
        tss.interrupt_stack_table[Ist::MachineCheck as usize - 1] = top(Stack::MachineCheck);
        tss.privilege_stack_table[0] = top(Stack::Ring3);
        tss
    });
    let mut tss_selector = SegmentSelector(0);
    let (gdt, _) = GDT.call_once(|| {
        let mut gdt = GlobalDescriptorTable::new();
        gdt.append(Descriptor::kernel_code_segment());
        gdt.append(Descriptor::kernel_data_segment());
        let data = gdt.append(Descriptor::user_data_segment());
        let code = gdt.append(Descriptor::user_code_segment());
        tss_selector = gdt.append(Descriptor::tss_segment(tss));
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
