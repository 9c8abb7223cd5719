//! Files that are read, and files that are refused.

use super::*;
use crate::size::ByteSize;
use std::path::Path;

fn experiment(text: &str) -> Result<Experiment, String> {
    let parsed = parse(Path::new("x.toml"), text.to_owned(), Path::new("/nowhere"));
    parsed.map_err(|error| error.to_string())
}

const HEAD: &str = "title = 't'\n[workload]\nbuiltin = 'buddy'\n";

fn refused(more: &str) -> String {
    experiment(&format!("{HEAD}{more}")).expect_err(more)
}

#[test]
fn a_whole_file_is_read() {
    let text = "\
title = 'all of it'
seed = 7
[machine]
memory = '32M'
zones = 'x86_64'
limits = '16M,24M'
swap = '64M'
disk = '16M'
slab-debug = 'FZ'
[workload]
builtin = 'swapping'
[[steady_state]]
probe = 'frames-accounted'
mode = 'continuous'
[[steady_state]]
probe = 'nr_free_pages > 10'
[[fault]]
kind = 'fail_page_alloc'
nth = '1..'
min-order = 1
site = 'fork'
[[fault]]
kind = 'swap_io'
rw = 'write'
nth = 3
[[fault]]
kind = 'failslab'
probability = 10
times = 2
[[fault]]
kind = 'bitflip'
struct = 'zone'
zone = 'Normal'
field = 'free_pages'
bit = '0..7'
event = '100..102'
[[fault]]
kind = 'pressure'
profile = 'step:50%@10'
[explore]
strategy = 'sample'
confidence = 0.95
margin = 0.05
prune = true
timeout = 5000
";
    let found = experiment(text).unwrap();
    assert_eq!(found.config.memory, ByteSize(32 << 20));
    assert_eq!(found.config.seed, 7);
    assert_eq!(found.steady_state.len(), 2);
    let [candidates, one, whole, flips, pressure] = &found.faults[..] else {
        panic!("{:?}", found.faults);
    };
    assert!(matches!(candidates, FaultFamily::Candidates { spec, nth }
        if spec.min_order == 1 && spec.caller.site == "fork" && nth.to_string() == "1.."));
    assert!(matches!(one, FaultFamily::Candidates { nth, .. } if nth.to_string() == "3"));
    assert!(matches!(whole, FaultFamily::Whole(spec) if spec.times == 2));
    assert!(matches!(flips, FaultFamily::Flips(flips) if flips.bits.contains(7)));
    assert!(matches!(pressure, FaultFamily::Pressure(_)));
    assert_eq!(found.explore.timeout, Some(5000));
    assert!(found.explore.prune);
    let options = found.options.join(" ");
    assert!(
        options.starts_with("--memory 32M --zones x86_64 --zone-limits 16M,24M"),
        "{options}"
    );
}

#[test]
fn unknown_keys_have_line_and_column_and_say_what_is_allowed() {
    let error = refused("[machin]\n");
    assert!(
        error.starts_with("x.toml:4:2: unknown field `machin`"),
        "{error}"
    );
    assert!(error.contains("`machine`"), "{error}");
    let error = refused("[machine]\nmemori = '1G'\n");
    assert!(
        error.starts_with("x.toml:5:1: unknown field `memori`"),
        "{error}"
    );
    let error = refused("[[fault]]\nkind = 'failslab'\nnht = 1\n");
    assert!(
        error.starts_with("x.toml:6:1: unknown field `nht`"),
        "{error}"
    );
    assert!(error.contains("`nth`"), "{error}");
}

#[test]
fn values_are_refused_where_they_stand() {
    for (text, place, what) in [
        ("[machine]\nmemory = '1X'\n", "5:10", "'1X' is not a size"),
        (
            "[machine]\nzones = 'clasic'\n",
            "5:9",
            "did you mean 'classic'?",
        ),
        ("[machine]\nslab-debug = 'Q'\n", "5:14", "'Q'"),
        ("[machine]\ndisk = './f'\n", "5:8", "is no directory"),
        ("[machine]\nmemory-max = '1M'\n", "5:14", "is for programs"),
        ("env = ['A=1']\n", "4:8", "is for programs"),
        ("program = ['./x']\n", "3:11", "exclude one another"),
        (
            "[[fault]]\nkind = 'failslob'\n",
            "5:8",
            "did you mean 'failslab'?",
        ),
        ("[[fault]]\nkind = 'failslab'\n", "5:8", "would never fire"),
        (
            "[[fault]]\nkind = 'failslab'\nnth = '1..'\nmin-order = 1\n",
            "7:13",
            "unknown knob",
        ),
        (
            "[[fault]]\nkind = 'failslab'\nnth = '0..'\n",
            "6:7",
            "counts from 1",
        ),
        (
            "[[fault]]\nkind = 'failslab'\nnth = 'x'\n",
            "6:7",
            "'x' names no numbers",
        ),
        (
            "[[fault]]\nkind = 'failslab'\nnth = 1\ntimes = 2\n",
            "7:9",
            "exclude one another",
        ),
        (
            "[[fault]]\nkind = 'failslab'\nprobability = 101\n",
            "6:15",
            "0 to 100",
        ),
        (
            "[[fault]]\nkind = 'swap_io'\nnth = 1\n",
            "5:8",
            "swap = \"64M\"",
        ),
        (
            "[[fault]]\nkind = 'file_io'\nnth = 1\n",
            "5:8",
            "disk = \"64M\"",
        ),
        (
            "[[fault]]\nkind = 'bitflip'\nat = 4096\n",
            "5:8",
            "needs event",
        ),
        (
            "[[fault]]\nkind = 'bitflip'\nat = 1\nevent = 1\nbit = 9\n",
            "8:7",
            "bits 0 to 7",
        ),
        (
            "[[fault]]\nkind = 'bitflip'\nat = 'x'\nevent = 1\n",
            "6:6",
            "at=x",
        ),
        ("[[fault]]\nkind = 'pressure'\n", "5:8", "needs profile"),
        (
            "[[fault]]\nkind = 'pressure'\nprofile = 'stp:1'\n",
            "6:11",
            "did you mean 'step'?",
        ),
        (
            "[[steady_state]]\nprobe = 'pgfalt > 1'\n",
            "5:9",
            "did you mean 'pgfault'?",
        ),
        (
            "[[steady_state]]\nprobe = 'decode'\nmode = 'ends'\n",
            "6:8",
            "continuous",
        ),
        (
            "[explore]\nstrategy = 'all'\n",
            "5:12",
            "exhaustive, sample, pairs",
        ),
        (
            "[explore]\nstrategy = 'sample'\n",
            "5:12",
            "needs confidence",
        ),
        (
            "[explore]\nmargin = 0.1\nconfidence = 0.9\n",
            "6:14",
            "write strategy = \"sample\"",
        ),
        (
            "[explore]\nstrategy = 'sample'\nmargin = 2.0\nconfidence = 0.9\n",
            "6:10",
            "above 0",
        ),
        ("[explore]\nstrategy = 'pairs'\n", "5:12", "[[fault]]"),
        ("[explore]\naudit-every = 3\n", "5:15", "is for programs"),
    ] {
        let error = refused(text);
        assert!(
            error.starts_with(&format!("x.toml:{place}: ")),
            "{place}: {error}"
        );
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn a_workload_must_be_one() {
    let error = |text: &str| experiment(text).unwrap_err();
    assert!(error("title = 't'\n").contains("missing field `workload`"));
    assert!(error("title = 't'\n[workload]\n").starts_with("x.toml:2:1: a workload needs builtin"));
    let default = error("title = 't'\n[workload]\nbuiltin = 'default'\n");
    assert!(default.contains("brings its own faults"), "{default}");
    let missing = error("title = 't'\n[workload]\nprogram = ['./none']\n");
    assert!(missing.starts_with("x.toml:3:11: "), "{missing}");
    assert!(missing.contains("/nowhere/./none"), "{missing}");
}
