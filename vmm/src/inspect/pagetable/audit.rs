//! Audits of an address space.

use std::ops::Range;

use pagelab_abi::{platform::KERNEL_BASE, root::KernelMap};

use super::{
    map::{AddressMap, MapLine},
    region::KERNEL_HALF,
    sweep::{self, Overlap},
    visit::WhyMalformed,
};
use crate::inspect::{AuditResult, Findings, Outcome};

/// Physical addresses that are not RAM and may be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRange {
    /// What is there.
    pub name: String,
    /// Physical addresses in bytes.
    pub range: Range<u64>,
}

/// What the audits compare the map with.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// RAM.
    pub ram: &'a [Range<u64>],
    /// Devices.
    pub devices: &'a [DeviceRange],
    /// The kernel's own account; `None` for another kernel, where nobody says what is its text.
    pub kernel: Option<&'a KernelMap>,
}

/// Names of the audits of page tables.
pub const AUDIT_NAMES: [&str; 8] = [
    "pagetable-wx",
    "pagetable-wx-alias",
    "pagetable-alias",
    "pagetable-reserved",
    "pagetable-target",
    "pagetable-user",
    "pagetable-text",
    "pagetable-exec",
];

/// Makes every audit.
pub fn audit(map: &AddressMap, expected: &Expected<'_>) -> Vec<AuditResult> {
    let results = [
        write_xor_execute(map),
        write_xor_execute_aliases(map),
        aliases(map),
        reserved_bits(map),
        targets(map, expected),
        user_in_kernel_half(map),
        kernel_text(map, expected),
        kernel_execute(map, expected),
    ];
    let results = results.into_iter().map(|result| match map.incomplete() {
        Some(why) if result.held() => AuditResult::skipped(&result.name, &result.checks, why),
        _ => result,
    });
    results.collect()
}

/// Whether ring 0 can write it, if need be with EFLAGS.AC set.
fn kernel_writes(map: &AddressMap, line: &MapLine) -> bool {
    map.state.kernel_rwx(line.mapping.rights, true).write
}

/// "va (region)" for a finding.
fn place(line: &MapLine) -> String {
    place_at(line, line.mapping.va)
}

fn place_at(line: &MapLine, va: u64) -> String {
    match line.region {
        Some(region) => format!("{va:#x} ({region})"),
        None => format!("{va:#x}"),
    }
}

fn write_xor_execute(map: &AddressMap) -> AuditResult {
    let mut findings = Findings::new();
    for line in &map.lines {
        let kernel = kernel_writes(map, line) && line.kernel.execute;
        let user = line.user.write && line.user.execute;
        findings.require(!kernel && !user, || {
            format!(
                "{} bytes at {} can be written and executed",
                line.mapping.len,
                place(line)
            )
        });
    }
    findings.into_result("pagetable-wx", "no page can be both written and executed")
}

/// Classes of the sweep for W^X: executed by ring 0, written by anyone, executed and written by
/// ring 3.
const KERNEL_X: usize = 0;
const ANY_W: usize = 1;
const USER_X: usize = 2;
const USER_W: usize = 3;

fn write_xor_execute_aliases(map: &AddressMap) -> AuditResult {
    let classify = |line: &MapLine| {
        let kernel_x = line.kernel.execute && !line.mapping.rights.user;
        let any_w = kernel_writes(map, line) || line.user.write;
        u8::from(kernel_x) << KERNEL_X
            | u8::from(any_w) << ANY_W
            | u8::from(line.user.execute) << USER_X
            | u8::from(line.user.write) << USER_W
    };
    let mut findings = Findings::new();
    sweep::overlaps(&map.lines, classify, |overlap| {
        // What ring 0 executes nobody may write; what ring 3 executes ring 3 may not write. The
        // kernel writes a program's text through the direct map, as it must to load it.
        let pair = overlap
            .pair(KERNEL_X, ANY_W)
            .or_else(|| overlap.pair(USER_X, USER_W));
        if let Some((x, w)) = pair {
            findings.add(|| {
                format!(
                    "physical {:#x} is executed at {} and written at {}",
                    overlap.gpas.start,
                    overlap.place_of(&map.lines[x]),
                    overlap.place_of(&map.lines[w]),
                )
            });
        }
    });
    findings.into_result(
        "pagetable-wx-alias",
        "no frame is executed at one address and written through another",
    )
}

impl Overlap<'_> {
    /// Where the start of this overlap is in a line, for a finding.
    fn place_of(&self, line: &MapLine) -> String {
        place_at(line, line.mapping.va + (self.gpas.start - line.mapping.gpa))
    }
}

fn aliases(map: &AddressMap) -> AuditResult {
    // The direct map is a second address by design, kmap windows come and go, and programs share.
    let lasting = |line: &MapLine| {
        line.mapping.va >= KERNEL_HALF && !matches!(line.region, Some("direct map" | "kmap"))
    };
    let mut findings = Findings::new();
    sweep::overlaps(
        &map.lines,
        |line| lasting(line).into(),
        |overlap| {
            if let Some((first, second)) = overlap.pair(0, 0) {
                findings.add(|| {
                    format!(
                        "{} bytes of physical memory from {:#x} are at {} and at {}",
                        overlap.gpas.end - overlap.gpas.start,
                        overlap.gpas.start,
                        overlap.place_of(&map.lines[first]),
                        overlap.place_of(&map.lines[second]),
                    )
                });
            }
        },
    );
    for shared in map.shared.iter().filter(|shared| shared.va >= KERNEL_HALF) {
        findings.add(|| {
            format!(
                "the table {:#x} of level {} stands at {:#x} and at {:#x}",
                shared.table, shared.level, shared.first_va, shared.va
            )
        });
    }
    findings.into_result(
        "pagetable-alias",
        "no frame has two kernel addresses beside the direct map and kmap",
    )
}

fn reserved_bits(map: &AddressMap) -> AuditResult {
    let mut findings = Findings::new();
    for entry in &map.malformed {
        if matches!(entry.why, WhyMalformed::Reserved { .. }) {
            findings.add(|| entry.to_string());
        }
    }
    findings.into_result(
        "pagetable-reserved",
        "no present entry has a reserved bit set",
    )
}

fn targets(map: &AddressMap, expected: &Expected<'_>) -> AuditResult {
    let mut known: Vec<_> = expected.ram.to_vec();
    known.extend(expected.devices.iter().map(|device| device.range.clone()));
    known.sort_by_key(|range| range.start);
    let mut findings = Findings::new();
    for line in &map.lines {
        let gpas = line.mapping.gpa..line.mapping.gpa_end();
        if let Some(gpa) = first_unknown(&known, &gpas) {
            findings.add(|| {
                let place = place_at(line, line.mapping.va + (gpa - gpas.start));
                format!("{place} is physical {gpa:#x}, where there is nothing known")
            });
        }
    }
    for entry in &map.malformed {
        if matches!(entry.why, WhyMalformed::TableOutside { .. }) {
            findings.add(|| entry.to_string());
        }
    }
    findings.into_result(
        "pagetable-target",
        "all that is mapped is RAM or a known device",
    )
}

/// First address of `gpas` outside all of `known`, which ascends by start.
fn first_unknown(known: &[Range<u64>], gpas: &Range<u64>) -> Option<u64> {
    let mut at = gpas.start;
    for range in known {
        if at >= gpas.end || range.start > at {
            break;
        }
        at = at.max(range.end);
    }
    (at < gpas.end).then_some(at)
}

fn user_in_kernel_half(map: &AddressMap) -> AuditResult {
    let mut findings = Findings::new();
    for line in map
        .lines
        .iter()
        .filter(|line| line.mapping.va >= KERNEL_HALF)
    {
        findings.require(!line.mapping.rights.user, || {
            format!(
                "{} bytes at {} are open to user mode",
                line.mapping.len,
                place(line)
            )
        });
    }
    findings.into_result(
        "pagetable-user",
        "nothing in the kernel's half is open to user mode",
    )
}

fn kernel_text(map: &AddressMap, expected: &Expected<'_>) -> AuditResult {
    const NAME: &str = "pagetable-text";
    const CHECKS: &str = "the kernel's text is mapped, executable, and writable nowhere";
    let Some(kernel) = known_kernel(expected) else {
        return AuditResult::skipped(NAME, CHECKS, NO_KERNEL);
    };
    let mut findings = Findings::new();
    let text = kernel.text_start..kernel.text_end;
    let mut mapped_until = text.start;
    for line in &map.lines {
        let mapping = &line.mapping;
        let overlaps = mapping.gpa < text.end && text.start < mapping.gpa_end();
        if !overlaps {
            continue;
        }
        findings.require(!kernel_writes(map, line) && !line.user.write, || {
            format!("text can be written at {}", place(line))
        });
        if mapping.va == KERNEL_BASE.wrapping_add(mapping.gpa) && mapping.gpa <= mapped_until {
            findings.require(line.kernel.execute, || {
                format!("text cannot be executed at {}", place(line))
            });
            mapped_until = mapped_until.max(mapping.gpa_end());
        }
    }
    findings.require(mapped_until >= text.end, || {
        format!(
            "text is not mapped at {:#x}",
            KERNEL_BASE.wrapping_add(mapped_until)
        )
    });
    findings.into_result(NAME, CHECKS)
}

fn kernel_execute(map: &AddressMap, expected: &Expected<'_>) -> AuditResult {
    const NAME: &str = "pagetable-exec";
    const CHECKS: &str = "in the kernel's half nothing but its text can be executed";
    let Some(kernel) = known_kernel(expected) else {
        return AuditResult::skipped(NAME, CHECKS, NO_KERNEL);
    };
    let text = kernel.text_start..kernel.text_end;
    let mut findings = Findings::new();
    for line in map
        .lines
        .iter()
        .filter(|line| line.mapping.va >= KERNEL_HALF)
    {
        let mapping = &line.mapping;
        let in_text = text.start <= mapping.gpa && mapping.gpa_end() <= text.end;
        findings.require(!line.kernel.execute || in_text, || {
            format!("{} bytes at {} can be executed", mapping.len, place(line))
        });
    }
    findings.into_result(NAME, CHECKS)
}

const NO_KERNEL: &str = "the kernel does not say where its text is";

/// The kernel's account, if it has one and it is sound enough to compare with.
fn known_kernel<'a>(expected: &Expected<'a>) -> Option<&'a KernelMap> {
    expected
        .kernel
        .filter(|kernel| kernel.text_start < kernel.text_end)
}

/// Whether every audit held.
pub fn all_held(results: &[AuditResult]) -> bool {
    results.iter().all(|result| result.outcome == Outcome::Held)
}
