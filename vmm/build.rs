//! Builds the guest kernel and its programs, so that the `pagelab` binary can carry them.
//!
//! Each is built by a second cargo with the same lock file, in a target directory of its own below
//! `OUT_DIR`. The kernel's path goes to the crate as `PAGELAB_GUEST_ELF`, the directory of the
//! programs as `PAGELAB_PROGRAMS`.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, exit},
};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Flags that make a kernel of it. `panic=abort` is in the profile too; here it also tells
/// `guest/build.rs` that this is the real thing.
const FLAGS: [&str; 7] = [
    "-Cpanic=abort",
    "-Ccode-model=kernel",
    "-Crelocation-model=static",
    "-Cno-redzone=yes",
    "-Cforce-frame-pointers=yes",
    "-Ctarget-cpu=x86-64",
    "-Ctarget-feature=-sse,-sse2",
];

/// What the outer cargo (or clippy) sets for its own compilation, and what a user may have set
/// for it; none of it is meant for a kernel.
const FOREIGN: [&str; 11] = [
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_MAKEFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];

/// Flags that make a static Linux program of it, which needs no C library. `panic=abort` tells
/// `guest/programs/build.rs`.
const PROGRAM_FLAGS: [&str; 3] = [
    "-Cpanic=abort",
    "-Crelocation-model=static",
    "-Ctarget-cpu=x86-64",
];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let root = here.parent().expect("vmm/ is in the workspace");
    rerun_if_changed(&root.join("guest"));
    for file in ["Cargo.toml", "Cargo.lock", "vmm/build.rs"] {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let kernel = build(root, "pagelab-guest", &FLAGS, &[], &out.join("guest"));
    let kernel = kernel.join("pagelab-guest");
    println!("cargo:rustc-env=PAGELAB_GUEST_ELF={}", kernel.display());
    let flags = &PROGRAM_FLAGS;
    let programs = build(root, "pagelab-programs", flags, &[], &out.join("programs"));
    println!("cargo:rustc-env=PAGELAB_PROGRAMS={}", programs.display());
    if env::var_os("CARGO_FEATURE_MUTATIONS").is_some() {
        let features = ["--features", "mutations"];
        let mutants = out.join("mutants");
        let kernel = build(root, "pagelab-guest", &FLAGS, &features, &mutants);
        let kernel = kernel.join("pagelab-guest");
        println!("cargo:rustc-env=PAGELAB_MUTANT_ELF={}", kernel.display());
    }
}

/// Builds the binaries of a package with these flags and features. Returns the directory that has them.
fn build(
    root: &Path,
    package: &str,
    flags: &[&str],
    features: &[&str],
    target_dir: &Path,
) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .current_dir(root)
        .args(["build", "--locked", "--package", package, "--bins"])
        .args(features)
        .args(["--profile", "guest", "--target", TARGET, "--target-dir"])
        .arg(target_dir);
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let of_a_target = text.starts_with("CARGO_TARGET_") || text.starts_with("CARGO_PROFILE_");
        if FOREIGN.contains(&text) || of_a_target {
            build.env_remove(&name);
        }
    }
    let flags = flags.iter().map(OsString::from);
    let flags: Vec<_> = flags.chain(remapped(root)).collect();
    build.env("CARGO_ENCODED_RUSTFLAGS", flags.join(OsStr::new("\x1f")));

    match build.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{package} does not build: {status}")),
        Err(error) => fail(&format!("cargo cannot be started for {package}: {error}")),
    }
    target_dir.join(TARGET).join("guest")
}

/// Flags that keep this machine's directories out of the kernel, so that its bytes, and with them
/// trace hashes, depend on its sources alone.
fn remapped(root: &Path) -> Vec<OsString> {
    println!("cargo:rerun-if-env-changed=CARGO_HOME");
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    // Where the sources of `core` are installed, rustc names them instead of what it was built
    // from.
    let sysroot = ask_rustc(&["--print", "sysroot"]);
    let core = sysroot.map(|path| Path::new(path.trim_end()).join("lib/rustlib/src/rust"));
    let version = ask_rustc(&["--version", "--verbose"]).unwrap_or_default();
    let mut lines = version.lines();
    let commit = lines.find_map(|line| line.strip_prefix("commit-hash: "));
    let commit = commit.unwrap_or("unknown");

    let prefixes = [
        (core, format!("/rustc/{commit}")),
        (cargo_home, "/cargo".to_owned()),
        // The workspace's own paths become relative to it. Last, as rustc takes the last prefix
        // that fits.
        (Some(root.to_owned()), String::new()),
    ];
    let flag = |(from, to): (Option<PathBuf>, String)| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from?);
        flag.push("=");
        flag.push(to);
        Some(flag)
    };
    prefixes.into_iter().filter_map(flag).collect()
}

fn ask_rustc(arguments: &[&str]) -> Option<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// Names every source file below `directory`, and the directories themselves for new files.
fn rerun_if_changed(directory: &Path) {
    println!("cargo:rerun-if-changed={}", directory.display());
    let Ok(entries) = fs::read_dir(directory) else {
        fail(&format!("{} cannot be read", directory.display()))
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            rerun_if_changed(&path);
        } else {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
}

fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    exit(1)
}
