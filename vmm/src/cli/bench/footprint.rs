//! Memory of the VMM itself: what is resident in this process beyond the guest's RAM.

use super::super::output::Failure;
use crate::machine::{Kernel, Machine, MachineConfig, Stop};
use pagelab_abi::platform::Doorbell;
use std::fs;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, MemoryRegionAddress};

/// Boots 1 GiB to the end of boot and reads /proc/self/smaps there.
pub(super) fn measure() -> Result<String, Failure> {
    let config = MachineConfig {
        cmdline: "workload=none".into(),
        ..MachineConfig::new(Kernel::Embedded)
    };
    let mut machine = Machine::new(config)?;
    while !matches!(machine.run()?, Stop::Doorbell(Doorbell::Ready)) {}
    let mut guest = Vec::new();
    for region in GuestMemoryBackend::iter(machine.memory()) {
        guest.push(region.get_host_address(MemoryRegionAddress(0))? as u64);
    }
    let (touched, own) = resident(&fs::read_to_string("/proc/self/smaps")?, &guest);
    Ok(format!(
        "footprint    guest touched {:>7}   VMM itself {:>7}   total / touched {:>6.2}\n",
        mebibytes(touched),
        mebibytes(own),
        (touched + own) as f64 / touched.max(1) as f64
    ))
}

fn mebibytes(kib: u64) -> String {
    format!("{:.1}M", kib as f64 / 1024.0)
}

/// KiB resident in the mappings that hold one of the `guest` addresses, and in all others.
fn resident(smaps: &str, guest: &[u64]) -> (u64, u64) {
    let (mut touched, mut own, mut is_guest) = (0, 0, false);
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-')
            && let (Ok(start), Ok(end)) =
                (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16))
        {
            is_guest = guest.iter().any(|address| (start..end).contains(address));
        } else if first == "Rss:" {
            let size: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            *if is_guest { &mut touched } else { &mut own } += size;
        }
    }
    (touched, own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaps_are_told_apart() {
        let smaps =
            "1000-2000 rw-p 0 00:00 0\nRss: 8 kB\n3000-5000 rw-p 0 00:00 0 [heap]\nRss: 16 kB\n";
        assert_eq!(resident(smaps, &[0x1800]), (8, 16));
        assert_eq!(resident(smaps, &[]), (0, 24));
    }
}
