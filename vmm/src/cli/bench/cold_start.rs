//! Boot and exit, beside a machine whose CPU halts at once.

use super::{super::output::Failure, peer, statistics::Pairs};
use crate::machine::{Kernel, Machine, MachineConfig, Stop};
use std::time::{Duration, Instant};

/// Bytes of both machines.
const MEMORY: u64 = 1 << 30;

/// Measures in this process: the start of a process, equal for both, is not in it.
pub(super) fn measure(runs: u32) -> Result<String, Failure> {
    let pairs = Pairs::take(runs, boot, || peer::halt(MEMORY as usize))?;
    Ok(format!(
        "cold-start   1G booted and ended {:>9.3} ms   halting VM {:>9.3} ms   ratio {:>7.2}\n",
        pairs.own() * 1e3,
        pairs.peer() * 1e3,
        pairs.ratio()
    ))
}

/// Boots the guest and lets it exit at once.
pub(super) fn boot() -> Result<Duration, Failure> {
    let start = Instant::now();
    let config = MachineConfig {
        memory: MEMORY,
        cmdline: "workload=none".into(),
        ..MachineConfig::new(Kernel::Embedded)
    };
    let mut machine = Machine::new(config)?;
    loop {
        match machine.run()? {
            Stop::Exit(pagelab_abi::platform::ExitCode::Success) => break,
            Stop::Doorbell(_) => {}
            other => return Err(format!("the guest did not just boot and exit: {other:?}").into()),
        }
    }
    drop(machine);
    Ok(start.elapsed())
}
