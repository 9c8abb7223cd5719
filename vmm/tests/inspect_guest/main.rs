//! The inspector on the real guest: its page tables at the end of boot, saved and read again, and
//! its own account of what the CPU does.

mod access;
mod guest;
mod saved;
#[path = "../tcg/mod.rs"]
mod tcg;

use guest::{Guest, has_kvm};
use pagelab::inspect::{Outcome, image::PhysMem, pagetable::ReverseMap};
use pagelab_abi::platform::{DIRECT_MAP, KERNEL_BASE, KMAP_BASE, STACK_BASE};

#[test]
fn the_guest_s_page_tables_pass_every_audit_and_stay_as_they_are() {
    if !has_kvm() {
        return;
    }
    let mut guest = Guest::boot("workload=none", 64 << 20);
    guest.run_to_ready();
    let before = guest.bytes();
    let report = guest.pagetable();
    let text = report.map.display(200).to_string();
    assert!(
        before == guest.bytes(),
        "inspection changed the guest's memory"
    );

    println!("{text}");
    for audit in &report.audits {
        assert_eq!(audit.outcome, Outcome::Held, "{audit:#?}\n{text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    for region in [
        "kernel text",
        "kernel rodata",
        "kernel data",
        "direct map",
        "stacks",
    ] {
        assert!(text.contains(region), "no {region}:\n{text}");
    }
    let text_line = report
        .map
        .lines
        .iter()
        .find(|line| line.region == Some("kernel text"));
    assert_eq!(
        text_line.map(|line| line.kernel.to_string()).as_deref(),
        Some("r-x")
    );
}

#[test]
fn the_reverse_map_finds_the_kernel_s_two_addresses() {
    if !has_kvm() {
        return;
    }
    let mut guest = Guest::boot("workload=none", 64 << 20);
    guest.run_to_ready();
    let report = guest.pagetable();
    let kernel = guest.root().kernel;
    let reverse = ReverseMap::new(&report.map);
    let found: Vec<u64> = reverse
        .lookup(kernel.data_start + 8)
        .iter()
        .map(|alias| alias.va)
        .collect();
    assert_eq!(
        found,
        [
            DIRECT_MAP + kernel.data_start + 8,
            KERNEL_BASE + kernel.data_start + 8
        ]
    );
    for line in &report.map.lines {
        let mapping = line.mapping;
        if (STACK_BASE..KMAP_BASE).contains(&mapping.va)
            && guest.memory(|memory| memory.contains(&(mapping.gpa..mapping.gpa_end())))
        {
            let aliases = reverse.lookup(mapping.gpa);
            assert!(aliases.iter().any(|alias| alias.va == mapping.va), "{line}");
        }
    }
}
