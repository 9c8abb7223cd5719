//! pagelab's guest kernel.
//!
//! Built as a kernel (`--cfg pagelab_kernel`, see `build.rs`) it has neither std nor `main`; it
//! starts at the PVH entry in [`arch::boot`].
//!
//! One CPU, one thread of execution. Interrupts are on, but a handler only notes its line; the
//! kernel serves it at its safe points, which are the steps of a workload. The memory manager is
//! never entered from a handler.
//!
//! # Locks, in the order in which they are taken
//!
//! 1. `workload::objects::OBJECTS`: the workload's caches. A shrinker, which may run while a
//!    workload holds it for reading, tries it for reading.
//! 2. `drivers::balloon::BALLOON`. Held while the balloon allocates and frees; whoever comes from
//!    inside an allocation (out of memory) only tries it.
//! 3. `drivers::block::SWAP` and `FILES`, never both. Nothing is allocated under it, and no event
//!    raised but `io_wait`, at which the host looks and nobody in the guest does.
//! 4. Those of the memory manager (see `pagelab_mm`), which calls nothing of this crate under them.
#![cfg_attr(pagelab_kernel, no_std, no_main)]
#![cfg_attr(not(pagelab_kernel), allow(dead_code, unused_imports))]

mod access;
mod arch;
mod cmdline;
mod cred;
mod doorbell;
mod drivers;
mod event_log;
mod exec;
mod fs;
mod machine;
mod memory;
mod memory_failure;
mod oom;
mod panic;
mod program;
mod root;
mod safe_point;
mod serial;
mod signal;
mod syscall;
mod task;
mod view;
mod workload;

use arch::{boot::unfit, interrupt, paging, pic};
use cmdline::Cmdline;
use core::sync::atomic::Ordering::Relaxed;
use drivers::{balloon, block};
use memory::Memory;
use pagelab_abi::{
    platform::{Doorbell, ExitCode},
    program::WORKLOAD,
};

/// The kernel, once memory is there.
fn kernel_main(mm: &'static Memory, cmdline: &Cmdline<'_>) -> ! {
    if cmdline.doorbell {
        event_log::announce();
        root::announce();
        doorbell::connect();
    } else {
        let lines = cmdline.devices().iter();
        pic::init(lines.fold(0, |lines, device| lines | 1 << device.line));
        root::control()
            .pressure_active
            .store(cmdline.pressure.into(), Relaxed);
    }
    root::arm_faults(cmdline);
    mm.set_thp_enabled(cmdline.thp);
    let devices = cmdline.devices();
    let windows = || paging::device_windows(devices.iter().map(|device| device.window.clone()));
    balloon::probe(devices, windows());
    block::SWAP.probe(devices, windows(), cmdline.swap);
    block::FILES.probe(devices, windows(), cmdline.disk);
    if block::SWAP.pages() > 0 {
        match mm.swapon() {
            Ok(slots) => log::info!("swap: {slots} slots"),
            Err(error) => log::warn!("swap: {error}"),
        }
    }
    if cmdline.workload == WORKLOAD {
        program::init(cmdline).unwrap_or_else(|error| unfit(&error));
    }
    interrupt::enable();
    log::info!(
        "pagelab guest {}: {}",
        env!("CARGO_PKG_VERSION"),
        memory::Summary(mm)
    );
    log::debug!("ready at {} TSC cycles", arch::tsc());
    doorbell::ring(Doorbell::Ready);
    safe_point::pass();

    let held = match workload::run(mm, cmdline) {
        Ok(held) => held,
        Err(workload::Unknown) => unfit(&format_args!("no workload {}", cmdline.workload)),
    };
    if !cmdline.doorbell {
        finish_alone(cmdline.views);
    }
    root::set_done();
    doorbell::ring(Doorbell::Done);
    safe_point::pass();
    doorbell::exit(if held {
        ExitCode::Success
    } else {
        ExitCode::Failure
    })
}

/// What a host without a doorbell gets to see of the end.
fn finish_alone(views: bool) {
    log::info!("workload: {}", root::Account);
    log::debug!("done at {} TSC cycles", arch::tsc());
    let ballooned = balloon::held_pages();
    if ballooned > 0 {
        log::info!("balloon: {ballooned} pages");
    }
    if views {
        view::print_all();
    }
}

/// The package built as an ordinary program (by clippy, or by `cargo build --workspace`).
#[cfg(not(pagelab_kernel))]
fn main() {
    eprintln!("this is the guest kernel of pagelab; it runs in a virtual machine: pagelab run");
    std::process::exit(2);
}
