//! The per-CPU lists are sound.

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::{BlockState, Cpu, FrameSet, Zone, pcp_lists};

pub(super) const AUDIT: Audit = Audit {
    name: "pcp-lists",
    checks: "per-CPU lists hold what they count, of the right zone, order and migrate type",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let mut seen = FrameSet::new(guest.snapshot.pfns());
    let mut listed = vec![0; guest.snapshot.zones.len()];
    for cpu in &guest.snapshot.cpus {
        for zone in &guest.snapshot.zones {
            listed[zone.index] += check(guest, cpu, zone, &mut seen, findings);
        }
    }
    for (zone, census) in guest.snapshot.zones.iter().zip(&guest.census.zones) {
        let (marked, listed) = (census.frames(BlockState::Pcp), listed[zone.index]);
        findings.require(marked == listed, || {
            format!(
                "zone {}: {marked} frames are marked per-CPU, but the lists hold {listed}",
                zone.name()
            )
        });
    }
    Ok(())
}

/// Checks one CPU's lists of one zone and returns how many frames they hold.
fn check(
    guest: &Guest<'_>,
    cpu: &Cpu,
    zone: &Zone,
    seen: &mut FrameSet,
    findings: &mut Findings,
) -> u64 {
    let name = format_args!("CPU {}, zone {}", cpu.number, zone.name()).to_string();
    let mut listed = 0;
    for (order, migrate) in pcp_lists() {
        let count = |_, _: &_| listed += 1 << order;
        let walk = guest
            .snapshot
            .walk_pcp_list(cpu, zone, (order, migrate), seen, count);
        if let Err(fault) = walk {
            findings.add(|| format!("{name}, order {order} {}: {fault}", migrate.name()));
        }
    }
    let pcp = &cpu.pcp[zone.index];
    findings.require(u64::from(pcp.count) == listed, || {
        format!(
            "{name}: counts {} frames, but its lists hold {listed}",
            pcp.count
        )
    });
    findings.require(pcp.high == pcp.high_config || pcp.high == 0, || {
        format!(
            "{name}: high is {}, neither {} nor 0",
            pcp.high, pcp.high_config
        )
    });
    listed
}
