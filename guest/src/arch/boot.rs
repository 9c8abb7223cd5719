//! From the entry code to [`crate::kernel_main`]: first on the entry code's stack and page tables,
//! then on the kernel's own.

use super::{
    features, layout::PAGE_SIZE, machine_check, paging::stack::Stack, pvh::BootInfo, segments, trap,
};
use crate::{cmdline::Cmdline, doorbell, memory, serial};
use core::{cell::UnsafeCell, fmt, mem::MaybeUninit};
use log::LevelFilter;
use pagelab_abi::platform::ExitCode;
use pagelab_mm::{Pfn, mutation};
use spin::Once;
use x86_64::{PhysAddr, registers::control::Cr3, structures::paging::PhysFrame};

/// The loader's information; too large for a stack.
static INFO: Once<BootInfo> = Once::new();

/// Carried over the change of stacks.
struct Handover(UnsafeCell<MaybeUninit<memory::Prepared>>);

// SAFETY: written by `kernel_start`, then taken once by `on_own_stack`, on the one CPU.
unsafe impl Sync for Handover {}

static HANDOVER: Handover = Handover(UnsafeCell::new(MaybeUninit::uninit()));

/// Called by `boot.s` in long mode, interrupts off.
#[unsafe(no_mangle)]
extern "C" fn kernel_start(start_info: u32) -> ! {
    serial::init();
    serial::init_log(LevelFilter::Info);
    trap::init();
    let info = BootInfo::read(start_info).unwrap_or_else(|error| unfit(&error));
    let info = INFO.call_once(|| info);
    let cmdline = Cmdline::parse(info.cmdline()).unwrap_or_else(|error| unfit(&error));
    log::set_max_level(cmdline.loglevel);
    if let Some(mutation) = cmdline.mutation {
        log::warn!("planted: {mutation}");
        mutation::plant(mutation);
    }
    let prepared = memory::prepare(info, &cmdline).unwrap_or_else(|error| unfit(&error));
    let root = PhysFrame::containing_address(PhysAddr::new_truncate(prepared.root_table));
    // SAFETY: the one CPU, before `on_own_stack`, which takes it.
    unsafe { (*HANDOVER.0.get()).write(prepared) };
    let (_, flags) = Cr3::read();
    // SAFETY: the tables map the kernel where it runs, and the stack in use, which is in its bss.
    // The other stack is new, and nothing on this one is used again.
    unsafe {
        Cr3::write(root, flags);
        core::arch::asm!(
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {next}",
            "ud2",
            stack = in(reg) Stack::Main.range().end,
            next = sym on_own_stack,
            options(noreturn)
        );
    }
}

extern "C" fn on_own_stack() -> ! {
    segments::init();
    features::init();
    machine_check::init();
    // SAFETY: written by `kernel_start`, and this is the one time it is taken.
    let prepared = unsafe { (*HANDOVER.0.get()).assume_init_read() };
    let mm = memory::init(prepared).unwrap_or_else(|error| unfit(&error));
    let info = INFO.get().expect("read by kernel_start");
    let cmdline = Cmdline::parse(info.cmdline()).unwrap_or_else(|error| unfit(&error));
    crate::kernel_main(mm, &cmdline)
}

/// The initial ramfs, where it lies in RAM that nobody else has. None if there is none, or if it is
/// not wholly in the direct map.
pub(crate) fn initrd() -> Option<&'static [u8]> {
    let range = INFO.get()?.initrd.clone()?;
    let len = range.end - range.start;
    let mm = memory::mm();
    let last = Pfn::from_phys(range.end - 1);
    mm.pfn_to_ptr(last)?;
    let page = mm.pfn_to_ptr(Pfn::from_phys(range.start))?;
    let start = page
        .as_ptr()
        .wrapping_add((range.start % PAGE_SIZE) as usize);
    // SAFETY: reserved at boot and never given back, in the direct map from its first to its last
    // page, and nobody writes it.
    Some(unsafe { core::slice::from_raw_parts(start, len as usize) })
}

/// Ends the machine because nothing can be done with it.
pub(crate) fn unfit(error: &dyn fmt::Display) -> ! {
    log::error!("machine unfit: {error}");
    doorbell::exit(ExitCode::Unfit)
}
