//! The library of experiments: each finds what it claims. Here each is done in small, a part of it.

use super::{campaign, experiment, folder, records, weight};
use pagelab_tests::pagelab;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

const BUSYBOX: &str = "/bin/busybox";

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/experiments")
}

/// The records of a part of an experiment of the library; none if it cannot be run here. None of them may be
/// left unjudged.
fn part(name: &str, part: &str, needs: Option<&str>) -> Option<Vec<Value>> {
    let folder = folder()?;
    if let Some(program) = needs.filter(|program| !Path::new(program).exists()) {
        println!("SKIPPED: there is no {program}: apt-get install busybox-static");
        return None;
    }
    let file = library().join(name);
    let output = folder.path().join("part.jsonl");
    let directory = folder.path().to_str().unwrap();
    let more = ["--directory", directory, "--partition", part];
    let ran = campaign(&file, &output, &more);
    assert!(matches!(ran.status, Some(0 | 1)), "{name}: {ran:#?}");
    let records = records(&output);
    assert!(!records.is_empty(), "{name}: {ran:#?}");
    assert_eq!(weight(&records, "skipped"), 0, "{name}: {ran:#?}");
    Some(records)
}

/// That no experiment shows a fault of the guest's kernel, and some ended in these classes.
fn sound(records: &[Value], some: &[&str]) {
    for class in ["corruption", "crash", "hang"] {
        assert_eq!(weight(records, class), 0, "{class}: {records:#?}");
    }
    let of_some: u64 = some.iter().map(|class| weight(records, class)).sum();
    assert!(of_some > 0, "none of {some:?}: {records:#?}");
}

#[test]
fn a_shell_is_told_that_it_cannot_fork() {
    if let Some(records) = part("01-shell-fork.toml", "slice:1/6", Some(BUSYBOX)) {
        sound(&records, &["detected-unrecoverable"]);
    }
}

#[test]
fn a_sort_without_objects_fails_or_sorts() {
    if let Some(records) = part("02-sort-slab.toml", "slice:1/12", Some(BUSYBOX)) {
        sound(&records, &["detected-unrecoverable", "detected-recovered"]);
    }
}

#[test]
fn an_interpreter_s_alike_allocations_are_tried_once() {
    if let Some(records) = part("03-awk-pages.toml", "slice:1/4", Some(BUSYBOX)) {
        sound(&records, &["detected-unrecoverable", "detected-recovered"]);
    }
}

#[test]
fn copies_on_write_survive_want_of_memory() {
    if let Some(records) = part("04-copy-on-write.toml", "slice:1/20", None) {
        sound(&records, &["detected-recovered"]);
    }
}

#[test]
fn errors_of_a_disk_reach_programs_or_are_repaired() {
    if let Some(records) = part("05-file-errors.toml", "slice:1/5", Some(BUSYBOX)) {
        sound(
            &records,
            &["detected-unrecoverable", "detected-recovered", "masked"],
        );
    }
}

#[test]
fn errors_of_swap_reach_the_workload_or_are_repaired() {
    if let Some(records) = part("06-swap-errors.toml", "slice:1/8", None) {
        sound(&records, &["detected-unrecoverable", "detected-recovered"]);
        // A device's requests are known by event and call site, as allocations are.
        for record in &records {
            let fault = &record["faults"][0];
            assert!(fault["event"].as_u64() > Some(0), "{record:#?}");
            let site = fault["site"].as_str().unwrap_or_default();
            assert!(site.contains(" < swap_device"), "{record:#?}");
        }
    }
}

#[test]
fn each_flip_in_a_free_count_is_found() {
    if let Some(records) = part("07-flip-free-count.toml", "slice:1/1", None) {
        let all = records.len() as u64;
        assert_eq!(weight(&records, "corruption"), all, "{records:#?}");
        let audit = |record: &Value| record["audits"][0]["name"] == "zone-free-count";
        assert!(records.iter().any(audit), "{records:#?}");
        // What the guest looked like stands in the record.
        assert!(records[0]["evidence"]["views"][0]["text"].is_string());
    }
}

#[test]
fn flips_in_a_program_s_page_are_masked_or_seen() {
    if let Some(records) = part("08-flip-text.toml", "slice:1/3", None) {
        let all: u64 = [
            "masked",
            "detected-recovered",
            "detected-unrecoverable",
            "corruption",
            "not-activated",
            "hang",
        ]
        .iter()
        .map(|class| weight(&records, class))
        .sum();
        assert_eq!(all, records.len() as u64, "{records:#?}");
        assert!(weight(&records, "masked") > 0, "{records:#?}");
    }
}

#[test]
fn less_memory_changes_nothing_of_the_output() {
    if let Some(records) = part("09-pressure.toml", "slice:1/1", None) {
        sound(&records, &["masked", "detected-recovered"]);
        let squeezed = |record: &Value| record["counts"]["balloon_peak"].as_u64() > Some(0);
        assert!(records.iter().all(squeezed), "{records:#?}");
    }
}

#[test]
fn two_failures_are_worse_than_one_but_no_more() {
    if let Some(records) = part("10-two-failures.toml", "slice:1/7", None) {
        sound(&records, &["detected-unrecoverable", "detected-recovered"]);
        let pairs = records
            .iter()
            .all(|it| it["faults"].as_array().unwrap().len() == 2);
        assert!(pairs, "{records:#?}");
        let both = |it: &Value| it["counts"]["injected"].as_u64() == Some(2);
        assert!(records.iter().any(both), "{records:#?}");
    }
}

#[test]
fn broken_pages_are_told_of_or_come_back() {
    if let Some(records) = part("11-machine-check.toml", "slice:1/3", None) {
        sound(&records, &["detected-recovered", "detected-unrecoverable"]);
        let done = |it: &Value| it["counts"]["injected"].as_u64() == Some(1);
        assert!(records.iter().all(done), "{records:#?}");
    }
}

#[test]
fn fork_and_exec_survive_each_refusal() {
    let Some(folder) = folder() else { return };
    if !Path::new(BUSYBOX).exists() {
        println!("SKIPPED: there is no {BUSYBOX}: apt-get install busybox-static");
        return;
    }
    let text = std::fs::read_to_string(library().join("12-fork-exec.toml")).unwrap();
    // Fewer rounds, and of those a part.
    let short = text.replace("-lt 30", "-lt 2");
    assert_ne!(short, text);
    let file = experiment(folder.path(), &short);
    let output = folder.path().join("part.jsonl");
    let ran = campaign(&file, &output, &["--partition", "slice:1/40"]);
    assert_eq!(ran.status, Some(0), "{ran:#?}");
    sound(
        &records(&output),
        &["detected-unrecoverable", "detected-recovered"],
    );
}

#[test]
fn the_library_is_tested_whole() {
    let own = include_str!("experiments.rs");
    let files = std::fs::read_dir(library()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let experiments: Vec<String> = names.filter(|name| name.ends_with(".toml")).collect();
    assert!(experiments.len() >= 10, "{experiments:?}");
    for name in experiments {
        assert!(own.contains(&format!("\"{name}\"")), "{name} has no test");
    }
}

/// Runs an experiment whole and pruned, and compares how many fault points each class has.
fn pruned_and_whole(fault: &str) {
    let Some(folder) = folder() else { return };
    let totals = |prune: bool| {
        let text = format!(
            "title = 'p'\n[machine]\nmemory = '16M'\n[workload]\nprogram = ['./bin/hello']\n\
             [[fault]]\n{fault}\n[explore]\nprune = {prune}\n"
        );
        let file = experiment(folder.path(), &text);
        let output = folder.path().join(format!("{prune}.jsonl"));
        let ran = campaign(&file, &output, &[]);
        // A bit that is turned over can do harm.
        assert!(matches!(ran.status, Some(0 | 1)), "{ran:#?}");
        let records = records(&output);
        let classes: BTreeSet<&str> = records
            .iter()
            .map(|record| record["class"].as_str().unwrap())
            .collect();
        let totals: Vec<(String, u64)> = classes
            .iter()
            .map(|class| (class.to_string(), weight(&records, class)))
            .collect();
        (records.len(), totals)
    };
    let (whole, pruned) = (totals(false), totals(true));
    assert_eq!(pruned.1, whole.1);
    assert!(pruned.0 < whole.0, "{} of {}", pruned.0, whole.0);
    let points: u64 = whole.1.iter().map(|(_, weight)| weight).sum();
    assert_eq!(points, whole.0 as u64);
}

#[test]
fn pruned_allocations_count_as_all_of_them_do() {
    pruned_and_whole("kind = 'fail_page_alloc'\nsite = 'add_page'\nnth = '1..'");
}

#[test]
fn pruned_flips_count_as_all_of_them_do() {
    // A page of the program's code that comes in, is executed, and goes.
    pruned_and_whole(
        "kind = 'bitflip'\nstruct = 'user'\npid = 1\nva = 0x404c70\nbit = 3\nevent = '176..226'",
    );
}

#[test]
fn a_failure_is_minimised_to_one_line_that_fails_in_the_same_way() {
    let Some(folder) = folder() else { return };
    let text = "title = 'm'\n[machine]\nmemory = '64M'\n[workload]\nbuiltin = 'none'\n\
                [[fault]]\nkind = 'bitflip'\nstruct = 'zone'\nzone = 'Normal'\nfield = 'free_pages'\n\
                bit = '2..3'\nevent = '0..'\n[explore]\nstrategy = 'pairs'\n";
    let file = experiment(folder.path(), text);
    let output = folder.path().join("m.jsonl");
    let ran = campaign(&file, &output, &[]);
    assert_eq!(ran.status, Some(1), "{ran:#?}");
    let ran = pagelab(&["minimize", output.to_str().unwrap(), "0"]);
    assert_eq!(ran.status, Some(0), "{ran:#?}");
    assert_eq!(ran.stdout.lines().count(), 1, "{ran:#?}");
    assert!(ran.stdout.starts_with("pagelab run "), "{ran:#?}");
    assert_eq!(ran.stdout.matches("--fault").count(), 1, "{ran:#?}");
    assert!(ran.stdout.contains("--memory 16M"), "{ran:#?}");
    let words: Vec<&str> = ran.stdout.split_whitespace().skip(1).collect();
    let words: Vec<&str> = words.iter().map(|word| word.trim_matches('\'')).collect();
    let again = pagelab(&words);
    assert_eq!(again.status, Some(1), "{again:#?}");
    assert!(again.stdout.contains("zone-free-count"), "{again:#?}");
}
