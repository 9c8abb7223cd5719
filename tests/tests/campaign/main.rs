//! Campaigns end to end: what an experiment file finds, and that its records survive whatever happens.

mod experiments;
mod files;
mod refused;

use pagelab_tests::{Ran, kvm, pagelab};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A folder with the programs of the experiments in `bin`; none if they cannot be run here, which is said.
fn folder() -> Option<TempDir> {
    let musl = option_env!("PAGELAB_TEST_PROGRAMS_MUSL");
    let Some(programs) = musl.or(option_env!("PAGELAB_TEST_PROGRAMS")) else {
        println!(
            "SKIPPED: there was no C compiler when the tests were built: apt-get install gcc libc6-dev"
        );
        return None;
    };
    if !kvm() {
        return None;
    }
    let folder = TempDir::new().expect("a folder can be made");
    std::os::unix::fs::symlink(programs, folder.path().join("bin")).expect("it can be linked");
    Some(folder)
}

/// An experiment of few milliseconds: the first allocations of a program fail.
const SMALL: &str = "\
title = 'small'
[machine]
memory = '16M'
[workload]
program = ['./bin/hello']
[[fault]]
kind = 'fail_page_alloc'
nth = '1..10'
";

/// Writes an experiment file into the folder.
fn experiment(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("experiment.toml");
    fs::write(&path, text).expect("it can be written");
    path
}

/// Runs `pagelab campaign FILE -o OUTPUT` with more arguments.
fn campaign(file: &Path, output: &Path, more: &[&str]) -> Ran {
    let (file, output) = (file.to_str().unwrap(), output.to_str().unwrap());
    pagelab(&[&["campaign", file, "-o", output], more].concat())
}

/// The lines of a record file, those of records by their numbers.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("it can be read");
    let line = |line| serde_json::from_str::<Value>(line).expect("a line is JSON");
    let mut lines: Vec<Value> = text.lines().map(line).collect();
    lines.sort_by_key(|line| line["record"]["id"].as_u64());
    lines
}

/// The records of a file, by their numbers.
fn records(path: &Path) -> Vec<Value> {
    let records = lines(path).into_iter().skip(1);
    records.map(|line| line["record"].clone()).collect()
}

/// How many fault points the records of a class stand for.
fn weight(records: &[Value], class: &str) -> u64 {
    let found = records.iter().filter(|record| record["class"] == class);
    found.map(|record| record["weight"].as_u64().unwrap()).sum()
}
