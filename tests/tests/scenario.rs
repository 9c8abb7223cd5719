//! The default scenario, step by step, as `pagelab run` prints and reports it.

use pagelab_tests::{kvm, pagelab, report};
use serde_json::Value;

fn u64_at(value: &Value, pointer: &str) -> u64 {
    value
        .pointer(pointer)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("no number at {pointer}"))
}

fn names<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| entry[key].as_str().unwrap())
        .collect()
}

#[test]
fn every_step_leaves_its_mark() {
    if !kvm() {
        return;
    }
    let report = report(&[]);

    // 1. Boot: three zones with watermarks that are in order.
    assert_eq!(
        names(&report["boot"]["zones"], "name"),
        ["DMA", "Normal", "HighMem"]
    );
    for zone in report["boot"]["zones"].as_array().unwrap() {
        let (min, low, high) = (
            u64_at(zone, "/min"),
            u64_at(zone, "/low"),
            u64_at(zone, "/high"),
        );
        assert!(
            min <= low && low <= high && high < u64_at(zone, "/managed"),
            "{zone}"
        );
    }
    assert_eq!(u64_at(&report, "/boot/zones/0/spanned"), 16 << 8);
    assert_eq!(u64_at(&report, "/boot/zones/1/start_pfn"), 16 << 8);
    assert_eq!(u64_at(&report, "/boot/zones/2/start_pfn"), 896 << 8);

    // 2. A workload over buddy, slab and HIGHMEM whose contents survive.
    for field in ["pages_ok", "objects_ok", "kmaps", "checks"] {
        assert!(
            u64_at(&report["workload"], &format!("/{field}")) > 100,
            "{field}"
        );
    }
    assert_eq!(u64_at(&report, "/workload/mismatches"), 0);
    assert_eq!(u64_at(&report, "/workload/held"), 0);

    // 3. The page tables: nothing is both writable and executable, and something is each.
    let rights: Vec<&str> = names(&report["page_table"]["lines"], "kernel");
    assert!(rights.len() > 4);
    assert!(
        rights
            .iter()
            .all(|rights| !(rights.contains('w') && rights.contains('x')))
    );
    assert!(rights.iter().any(|rights| rights.contains('w')));
    assert!(rights.iter().any(|rights| rights.contains('x')));

    // 4. Pressure: more is asked for than can be given, and all of it comes back.
    let samples = report["pressure"]["samples"].as_array().unwrap();
    assert!(samples.len() > 20);
    let peak = u64_at(&report, "/pressure/peak");
    assert!(peak > 512 << 20, "only {peak} bytes were taken");
    assert!(
        samples
            .iter()
            .any(|sample| u64_at(sample, "/achieved") < u64_at(sample, "/requested"))
    );
    assert_eq!(u64_at(samples.last().unwrap(), "/requested"), 0);
    let balloon = &report["pressure"]["balloon"];
    assert!(u64_at(balloon, "/reclaimed_bytes") >= peak);
    assert_eq!(
        u64_at(balloon, "/inflated_pages"),
        u64_at(balloon, "/deflated_pages")
    );
    assert_eq!(
        u64_at(balloon, "/pages_outside_ram") + u64_at(balloon, "/stray_pages"),
        0
    );
    for field in [
        "allocstall",
        "pageoutrun",
        "pcp_drain",
        "slabs_scanned",
        "zone_fallback",
        "refused",
    ] {
        assert!(
            u64_at(&report["pressure"]["relief"], &format!("/{field}")) > 0,
            "{field}"
        );
    }

    // 5. Faults: both kinds fired, and each failure is accounted for.
    assert_eq!(
        names(&report["faults"]["injectors"], "name"),
        ["fail_page_alloc", "failslab"]
    );
    for injector in report["faults"]["injectors"].as_array().unwrap() {
        let injected = u64_at(injector, "/injected");
        assert!(injected > 10, "{injector}");
        assert_eq!(
            u64_at(injector, "/reported") + u64_at(injector, "/absorbed"),
            injected
        );
    }

    // 6. Audits and verdict.
    for audit in report["audits"].as_array().unwrap() {
        assert_eq!(audit["outcome"], "held", "{audit}");
    }
    assert!(report["audits"].as_array().unwrap().len() > 20);
    assert_eq!(report["verdict"], "held");
    assert_eq!(report["trace_hash"].as_str().unwrap().len(), 16);
    assert!(u64_at(&report, "/events") > 5_000);
}

#[test]
fn the_human_form_fits_80_columns_and_has_no_colours_in_a_pipe() {
    if !kvm() {
        return;
    }
    let ran = pagelab(&[]);
    assert_eq!(ran.status, Some(0), "{ran:#?}");
    for line in ran.stdout.lines() {
        assert!(
            line.chars().count() <= 80,
            "{} columns: {line}",
            line.chars().count()
        );
    }
    assert!(!ran.stdout.contains('\x1b'));
    for heading in [
        "Boot",
        "Page tables",
        "Workload",
        "Pressure",
        "Faults",
        "Audits",
        "Verdict",
    ] {
        assert!(
            ran.stdout.lines().any(|line| line.starts_with(heading)),
            "{heading}"
        );
    }
    let coloured = pagelab(&["run", "--workload", "none", "--color", "always"]);
    assert!(coloured.stdout.contains('\x1b'));
}

#[test]
fn other_machines_hold_as_well() {
    if !kvm() {
        return;
    }
    for arguments in [
        &["--zones", "x86_64", "--memory", "256M"][..],
        &["--memory", "64M", "--zone-limits", "16M,48M"],
        &["--memory", "16M"],
        &["--memory", "5G", "--workload", "none"],
        &["--memory", "64G", "--zones", "x86_64", "--workload", "none"],
    ] {
        let report = report(arguments);
        assert_eq!(
            report["verdict"], "held",
            "{arguments:?}: {}",
            report["reasons"]
        );
    }
}

#[test]
fn the_report_follows_its_schema() {
    if !kvm() {
        return;
    }
    let schema = pagelab(&["schema"]).json();
    let report = report(&["--workload", "none"]);
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let errors: Vec<String> = validator
        .iter_errors(&report)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // And the schema says something: a report without a verdict does not follow it.
    let mut maimed = report;
    maimed.as_object_mut().unwrap().remove("verdict");
    assert!(!validator.is_valid(&maimed));
}
