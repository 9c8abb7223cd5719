//! Without a doorbell the guest's views go to its console, and look like Linux's files.

use crate::machine::{Qemu, Setup, has_qemu};
use pagelab_abi::{platform::ExitCode, view::ViewKind};
use std::collections::BTreeMap;

/// The views of a run to its end, by name.
fn views(append: &str) -> BTreeMap<String, String> {
    let append = format!("{append} pagelab.views");
    let mut qemu = Qemu::start(Setup {
        memory: "1G",
        ..Setup::new(&append)
    });
    assert_eq!(
        qemu.exit_code(),
        ExitCode::Success as u32,
        "{}",
        qemu.serial()
    );
    on_console(&qemu.serial())
}

/// The views that a guest wrote to its console, by name.
pub(crate) fn on_console(serial: &str) -> BTreeMap<String, String> {
    let parts = serial.split("==> /proc/").skip(1);
    parts
        .map(|part| {
            let (name, text) = part.split_once(" <==\n").expect("a head line");
            (name.to_owned(), text.to_owned())
        })
        .collect()
}

/// The numbers of a line, after its first word.
fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// The value of `name` in a view of lines `name value` or `name: value kB`.
fn value(view: &str, name: &str) -> u64 {
    let line = view.lines().find(|line| {
        line.split_whitespace()
            .next()
            .is_some_and(|word| word.trim_end_matches(':') == name)
    });
    numbers(line.unwrap_or_else(|| panic!("no {name} in {view}")))[0]
}

#[test]
fn the_views_look_like_linuxs_and_agree_with_each_other() {
    if !has_qemu() {
        return;
    }
    let views = views("workload=default");
    for kind in ViewKind::ALL {
        assert!(
            views.contains_key(kind.name()),
            "{} is missing",
            kind.name()
        );
    }
    // fs/proc, mm/vmstat.c: "Node 0, zone      DMA      1      0 …", one column an order.
    let buddyinfo = &views["buddyinfo"];
    let mut free_pages = 0;
    let mut zones = Vec::new();
    for line in buddyinfo.lines() {
        let (head, counts) = line.split_at("Node 0, zone ".len() + 8);
        zones.push(head["Node 0, zone ".len()..].trim().to_owned());
        let counts = numbers(counts);
        assert_eq!(counts.len(), 11, "{line}");
        free_pages += counts
            .iter()
            .zip(0..)
            .map(|(count, order)| count << order)
            .sum::<u64>();
    }
    assert_eq!(zones, ["DMA", "Normal", "HighMem"]);

    // Pages on per-CPU lists are free to zoneinfo's counters, yet in no buddy list.
    let zoneinfo = &views["zoneinfo"];
    let sum = |name: &str| -> u64 {
        let lines = zoneinfo
            .lines()
            .filter(|line| line.trim_start().starts_with(name));
        lines.map(|line| numbers(line)[0]).sum()
    };
    assert_eq!(sum("nr_free_pages "), free_pages);
    assert_eq!(sum("pages free "), free_pages);
    assert!(sum("present ") >= sum("managed "), "{zoneinfo}");

    let meminfo = &views["meminfo"];
    assert_eq!(value(meminfo, "MemTotal"), sum("managed ") * 4);
    assert_eq!(value(meminfo, "MemFree"), free_pages * 4);
    assert_eq!(value(&views["vmstat"], "nr_free_pages"), free_pages);
    assert!(value(&views["vmstat"], "pgfree") > 0);

    // mm/slab_common.c, print_slabinfo_header.
    let slabinfo = &views["slabinfo"];
    let mut lines = slabinfo.lines();
    assert_eq!(lines.next(), Some("slabinfo - version: 2.1"));
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with("# name            <active_objs>"))
    );
    let mut slab_pages = 0;
    for line in lines {
        let numbers = numbers(line);
        let [active, total, _size, per_slab, pages_per_slab] = numbers[..5] else {
            panic!("{line}")
        };
        assert!(active <= total, "{line}");
        assert_eq!(total % per_slab, 0, "{line}");
        slab_pages += total / per_slab * pages_per_slab;
    }
    assert_eq!(value(meminfo, "Slab"), slab_pages * 4);
}

#[test]
fn without_the_word_there_are_no_views() {
    if !has_qemu() {
        return;
    }
    let mut qemu = Qemu::start(Setup::new("workload=none"));
    assert_eq!(qemu.exit_code(), ExitCode::Success as u32);
    assert!(!qemu.serial().contains("==>"), "{}", qemu.serial());
}
