//! What a run does before its first fault strikes: the part that it has in common with others.

use super::{RunConfig, plan};

/// The run of `config` up to its first fault. Requests that are to fail by their number are counted, and bits
/// stay what they are: two runs whose lead-ins do not differ are one run until a fault of theirs strikes.
pub(super) fn of(config: &RunConfig) -> RunConfig {
    let at_once = config.bitflips.iter().filter(|flip| flip.event.is_none());
    let host_at_once = config
        .host_faults
        .iter()
        .filter(|fault| fault.at().is_none());
    RunConfig {
        faults: config.faults.iter().map(|fault| fault.held()).collect(),
        bitflips: at_once.copied().collect(),
        host_faults: host_at_once.cloned().collect(),
        ..config.clone()
    }
}

/// In what two lead-ins differ, if they do.
pub(super) fn difference(one: &RunConfig, other: &RunConfig) -> Option<&'static str> {
    // Named one by one, so that what is new has to be decided here.
    let RunConfig {
        memory: _,
        cpu: _,
        zones: _,
        zone_limits: _,
        workload: _,
        program: _,
        transparent_hugepage: _,
        swap: _,
        disk: _,
        memory_max: _,
        memory_high: _,
        swap_max: _,
        swappiness: _,
        seed: _,
        kernel: _,
        append: _,
        slab_debug: _,
        // These are of the machine, which is compared as such, and those of its end, or of the host alone.
        forward: _,
        disk_out: _,
        inspect: _,
        save: _,
        snapshot: _,
        console: _,
        watchdog: _,
        time_limit: _,
        pressure,
        faults,
        observe,
        bitflips,
        host_faults,
        stop_at,
        since,
        audit_every,
        probes,
        event_limit,
    } = one;
    let in_machine = plan::machines_differ(one, other);
    in_machine.or_else(|| {
        [
            ("pressure", *pressure == other.pressure),
            ("faults before the point", *faults == other.faults),
            ("what is observed", *observe == other.observe),
            ("bits before the point", *bitflips == other.bitflips),
            (
                "what is done to its machine before",
                *host_faults == other.host_faults,
            ),
            ("where it stops", *stop_at == other.stop_at),
            ("the first of two moments", *since == other.since),
            ("audits of its program", *audit_every == other.audit_every),
            ("probes", *probes == other.probes),
            ("the limit of its events", *event_limit == other.event_limit),
        ]
        .into_iter()
        .find_map(|(what, same)| (!same).then_some(what))
    })
}
