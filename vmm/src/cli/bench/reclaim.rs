//! Taking touched memory back through the balloon, guest and host together, beside a bare madvise
//! of as much.

use super::{super::output::Failure, peer::Mapping, statistics::Pairs};
use crate::machine::{Kernel, Machine, MachineConfig, Stop};
use pagelab_abi::platform::Doorbell;
use std::time::{Duration, Instant};
use vm_memory::{Bytes, GuestAddress};

/// Bytes of the machine.
const MEMORY: u64 = 1 << 30;

/// Bytes that are taken.
const TAKEN: u64 = 512 << 20;

/// Where the guest's free memory is touched: above what boot uses.
const TOUCHED: std::ops::Range<u64> = (64 << 20)..MEMORY;

/// Events between two looks at the balloon.
const INTERVAL: u64 = 64;

/// Measures in guests that are busy with the default workload.
pub(super) fn measure(runs: u32) -> Result<String, Failure> {
    let pairs = Pairs::take(runs.min(5), balloon, madvise)?;
    let rate = |seconds: f64| TAKEN as f64 / f64::from(1 << 30) / seconds.max(f64::EPSILON);
    Ok(format!(
        "reclaim      512M by balloon {:>8.2} GiB/s   by madvise {:>8.2} GiB/s   ratio {:>7.2}\n",
        rate(pairs.own()),
        rate(pairs.peer()),
        pairs.ratio()
    ))
}

fn balloon() -> Result<Duration, Failure> {
    let config = MachineConfig {
        memory: MEMORY,
        cmdline: "workload=default".into(),
        ..MachineConfig::new(Kernel::Embedded)
    };
    let mut machine = Machine::new(config)?;
    while !matches!(machine.run()?, Stop::Doorbell(Doorbell::Ready)) {}
    for address in TOUCHED.step_by(4096) {
        // Free memory of the guest: what stands there is nobody's, but zeros would be no touch.
        let word: u64 = machine.memory().read_obj(GuestAddress(address))?;
        machine.memory().write_obj(word, GuestAddress(address))?;
    }
    let start = Instant::now();
    machine
        .balloon()
        .ok_or("the machine has no balloon")?
        .set_target(TAKEN);
    loop {
        let page = machine.root_page()?;
        page.arm_stop(page.events()? + INTERVAL, None)?;
        match machine.run()? {
            Stop::Doorbell(Doorbell::Done) => {
                return Err("the workload ended before the balloon had its size".into());
            }
            Stop::Doorbell(_) => {}
            other => return Err(format!("the guest did not go on: {other:?}").into()),
        }
        if machine
            .balloon()
            .is_some_and(|balloon| balloon.actual() >= TAKEN)
        {
            return Ok(start.elapsed());
        }
    }
}

fn madvise() -> Result<Duration, Failure> {
    let mut mapping = Mapping::new(TAKEN as usize)?;
    mapping.touch();
    let start = Instant::now();
    mapping.discard()?;
    Ok(start.elapsed())
}
