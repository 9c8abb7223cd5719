//! What the host does to the machine itself, where the guest stands.

use super::{RunError, observe::with_memory};
use crate::{
    fault::{HostFault, MachineCheckSpec, ReadonlyFrames, ReadonlySpec, Target},
    inspect::{
        decode::{DecodeError, Snapshot},
        frames::FrameClass,
        locate::{LocateError, Place},
    },
    machine::{LatencyError, Machine, MachineCheckError, ReadonlyError},
    report::HostAct,
};
use pagelab_abi::PAGE_SHIFT;

/// Name of the fault by which memory becomes read-only.
const READONLY: &str = "readonly";

/// Name of the fault by which memory becomes slow.
const LATENCY: &str = "host_latency";

/// Does it. What cannot be done leaves the guest as it is, and the account says why.
pub(super) fn act(
    machine: &mut Machine,
    fault: &HostFault,
    event: u64,
) -> Result<HostAct, RunError> {
    let mut account = HostAct {
        armed: fault.to_string(),
        kind: fault.name(),
        event,
        ..HostAct::default()
    };
    match fault {
        HostFault::MachineCheck(spec) => machine_check(machine, spec, &mut account)?,
        HostFault::Readonly(spec) => readonly(machine, spec, &mut account)?,
        HostFault::Latency(spec) => match machine.make_memory_slow(spec.config) {
            Ok(()) => account.done = true,
            Err(error) => {
                account.skipped = matches!(error, LatencyError::Permission(_));
                refuse(&mut account, &error)?;
            }
        },
    }
    Ok(account)
}

fn machine_check(
    machine: &Machine,
    spec: &MachineCheckSpec,
    account: &mut HostAct,
) -> Result<(), RunError> {
    let pfn = match with_memory(machine, |memory, root| {
        let snapshot = Snapshot::read(memory, root)?;
        frame(&snapshot, spec.target, account)
    }) {
        Some(Ok(pfn)) => pfn,
        Some(Err(error)) => return refuse(account, &error),
        None => return refuse(account, &DecodeError::NoRoot),
    };
    let gpa = u64::from(pfn) << PAGE_SHIFT;
    match machine.raise_machine_check(gpa) {
        Ok(()) => {
            account.pfn = Some(format!("{pfn:#x}"));
            account.done = true;
        }
        Err(MachineCheckError::Host(error)) => return Err(error.into()),
        Err(error) => {
            account.skipped = matches!(error, MachineCheckError::Unsupported);
            refuse(account, &error)?;
        }
    }
    Ok(())
}

fn readonly(
    machine: &mut Machine,
    spec: &ReadonlySpec,
    account: &mut HostAct,
) -> Result<(), RunError> {
    let located = with_memory(machine, |memory, root| {
        let snapshot = Snapshot::read(memory, root)?;
        let one = |pfn: u32| pfn..pfn.saturating_add(1);
        match &spec.frames {
            ReadonlyFrames::Range(range) => Ok(range.clone()),
            ReadonlyFrames::One(target) => frame(&snapshot, *target, account).map(one),
            ReadonlyFrames::Of(place) => Ok(one((place.locate(&snapshot)? >> PAGE_SHIFT) as u32)),
        }
    });
    let pfns = match located {
        Some(Ok(pfns)) => pfns,
        Some(Err(error)) => return refuse(account, &error),
        None => return refuse(account, &DecodeError::NoRoot),
    };
    match machine.make_readonly(pfns.start.into()..pfns.end.into()) {
        Ok(()) => {
            account.done = true;
            account.pfn = Some(match pfns.len() {
                1 => format!("{:#x}", pfns.start),
                _ => format!("{:#x}..{:#x}", pfns.start, pfns.end),
            });
            Ok(())
        }
        Err(ReadonlyError::Host(error)) => Err(error.into()),
        Err(error) => {
            account.skipped = matches!(error, ReadonlyError::Unsupported);
            refuse(account, &error)
        }
    }
}

/// The frame that is meant. Notes how many there are to choose from.
fn frame(
    snapshot: &Snapshot<'_>,
    target: Target,
    account: &mut HostAct,
) -> Result<u32, LocateError> {
    let none = |what: String| Err(LocateError::None(what));
    match target {
        Target::Frame(pfn) => match snapshot.descriptor(pfn) {
            Some(_) => Ok(pfn),
            None => none(format!("frame {pfn:#x} with a descriptor")),
        },
        Target::User(pid, va) => {
            let gpa = Place::User(pid, va).locate(snapshot)?;
            Ok((gpa >> PAGE_SHIFT) as u32)
        }
        Target::Nth(nth, class) => {
            let frames: Vec<u32> = snapshot.frames_of(class).collect();
            account.candidates = Some(frames.len() as u64);
            let chosen = usize::try_from(nth - 1).map_or(None, |at| frames.get(at));
            match chosen {
                Some(pfn) => Ok(*pfn),
                None => none(beyond(nth, class, frames.len())),
            }
        }
    }
}

fn beyond(nth: u64, class: FrameClass, count: usize) -> String {
    format!(
        "frame {nth} of those that are {}: there are {count}",
        class.name()
    )
}

fn refuse(account: &mut HostAct, error: &dyn std::fmt::Display) -> Result<(), RunError> {
    account.reason = Some(error.to_string());
    Ok(())
}

/// The acts, with what the guest says by now that it made of each.
pub(super) fn with_outcomes(machine: &Machine, acts: &[HostAct]) -> Vec<HostAct> {
    let failures = with_memory(machine, |memory, root| {
        Snapshot::read(memory, root).map(|it| it.memory_failures())
    });
    let failures = failures.and_then(Result::ok).unwrap_or_default();
    let mut acts = acts.to_vec();
    for act in &mut acts {
        if act.kind == READONLY {
            let dropped = machine.dropped_stores();
            act.outcome = act.done.then(|| format!("{dropped} stores dropped"));
            continue;
        }
        if act.kind == LATENCY {
            act.outcome = machine
                .supplied_pages()
                .filter(|_| act.done)
                .map(|(pages, slow)| {
                    // How many depends on the host's kernel as well.
                    let none = if slow == 0 { "no " } else { "" };
                    match pages {
                        0 => "no pages were wanted".to_owned(),
                        _ => format!(
                            "pages were supplied as they were wanted, {none}slow ones among them"
                        ),
                    }
                });
            continue;
        }
        let of_act = failures
            .iter()
            .find(|failure| act.pfn == Some(format!("{:#x}", failure.pfn)));
        act.outcome = of_act.map(ToString::to_string);
    }
    acts
}
