//! A program in ring 3 cannot read, write or execute the kernel's memory or another process's.

use super::{Build, SMALL, alike_on, guest, programs};
use pagelab_abi::platform::{DIRECT_MAP, IOREMAP_BASE, KERNEL_BASE, KMAP_BASE, STACK_BASE};
use serde_json::Value;
use std::{fmt::Write, fs};

const PAGE: u64 = 4096;

/// So little RAM that all of it can be tried, page by page.
const TINY: [&str; 4] = ["--memory", "16M", "--zone-limits", "4M,12M"];

/// The audit that sees from outside what the programs try from inside.
const APART: &str = "user-kernel-apart";

/// What the kernel has mapped once it is up, as first addresses and bytes.
fn mapped(report: &Value) -> Vec<(u64, u64)> {
    let number = |value: &Value| {
        let digits = value.as_str().unwrap().trim_start_matches("0x");
        u64::from_str_radix(digits, 16).unwrap()
    };
    let lines = report["page_table"]["lines"].as_array().unwrap();
    let mapped: Vec<_> = lines
        .iter()
        .map(|line| (number(&line["va"]), line["len"].as_u64().unwrap()))
        .filter(|(va, _)| va >> 63 == 1)
        .collect();
    // All RAM is in the direct map, or was once mapped through windows.
    let bytes: u64 = mapped.iter().map(|(_, len)| len).sum();
    assert!(bytes > 12 << 20, "{mapped:x?}");
    mapped
}

/// Lines of pages to try: each that is mapped; then what is not, beside what is, in the holes of
/// each part, and at one place of each entry of the top-level table.
fn pages(report: &Value) -> (String, u64) {
    let mut list = String::new();
    let mut total = 0;
    let mut add = |first: u64, pages: u64, step: u64| {
        writeln!(list, "{first:x} {pages:x} {step:x}").unwrap();
        total += pages;
    };
    for (va, len) in mapped(report) {
        add(va, len / PAGE, PAGE);
        add(va - PAGE, 1, PAGE);
        add(va + len, 1, PAGE);
    }
    for part in [DIRECT_MAP, STACK_BASE, IOREMAP_BASE, KMAP_BASE, KERNEL_BASE] {
        add(part, 64, 0x77_7000);
    }
    // From the first canonical address of the upper half on, one in each 512 GiB but the last, where
    // Linux has a page for programs.
    add(0xffff_8000_0000_0000, 255, 1 << 39);
    (list, total)
}

fn assert_apart(report: &Value) {
    let audits = report["audits"].as_array().unwrap();
    let mut made = audits.iter().filter(|audit| audit["name"] == APART);
    assert!(made.all(|audit| audit["outcome"] == "held"));
    assert!(audits.iter().any(|audit| audit["name"] == APART));
}

#[test]
fn the_kernel_s_memory_is_out_of_reach_at_every_page() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let before = guest(folder, &TINY, &["./hello"]);
    let (list, total) = pages(&before);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pages");
    fs::write(&path, list).unwrap();
    let path = path.to_str().unwrap();
    let file = format!("{path}:{path}");
    let flags = [&TINY[..], &["--file", &file]].concat();
    let report = alike_on(&flags, folder, &["./isolation", "kernel", path]);
    assert_apart(&report);
    assert_eq!(
        report["program"]["stdout"].as_str().unwrap(),
        format!("{total} pages, not refused: 0 reads, 0 writes, 0 calls, 0 system calls\n")
    );
}

#[test]
fn processes_are_out_of_each_other_s_reach() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let report = alike_on(&SMALL, folder, &["./isolation", "processes"]);
    assert_apart(&report);
    let expected = [
        "parent at the child's pages: 0",
        "parent's own: 1",
        "child at the parent's pages: 0",
        "parent's own: 1",
        "writer: 0",
        "reader of what it left: 0",
    ];
    let stdout = report["program"]["stdout"].as_str().unwrap();
    assert_eq!(stdout.lines().collect::<Vec<_>>(), expected);
}
