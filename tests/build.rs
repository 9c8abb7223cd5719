//! Builds the C programs of `programs/`, which the tests run natively and in the guest: static, as
//! that is what the guest runs. Each is built with the C compiler's own library, as a
//! position-independent program as well, and with musl where `musl-gcc` is there. Without a C
//! compiler the tests of them are skipped, and say so.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Child, Command},
};

/// One way to build each program.
struct Build<'a> {
    /// Variable that the tests find its folder in.
    variable: &'static str,
    folder: &'static str,
    compiler: &'a str,
    flags: &'static [&'static str],
}

fn main() {
    println!("cargo:rerun-if-changed=programs");
    println!("cargo:rerun-if-env-changed=CC");
    println!("cargo:rerun-if-env-changed=PATH");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let cc = env::var("CC").unwrap_or_else(|_| "cc".into());
    let builds = [
        Build {
            variable: "PAGELAB_TEST_PROGRAMS",
            folder: "programs",
            compiler: &cc,
            flags: &["-static"],
        },
        Build {
            variable: "PAGELAB_TEST_PROGRAMS_PIE",
            folder: "programs-pie",
            compiler: &cc,
            flags: &["-static-pie", "-fPIE"],
        },
        Build {
            variable: "PAGELAB_TEST_PROGRAMS_MUSL",
            folder: "programs-musl",
            compiler: "musl-gcc",
            // The kernel's headers, which musl brings none of.
            flags: &[
                "-static",
                "-idirafter",
                "/usr/include",
                "-idirafter",
                "/usr/include/x86_64-linux-gnu",
            ],
        },
    ];
    for build in builds {
        let folder = out.join(build.folder);
        if build.all(&folder) {
            println!("cargo:rustc-env={}={}", build.variable, folder.display());
        }
    }
}

impl Build<'_> {
    /// Builds all programs. False if the compiler is not there.
    fn all(&self, folder: &Path) -> bool {
        fs::create_dir_all(folder).expect("the output directory can be made");
        let mut running = Vec::new();
        for entry in fs::read_dir("programs").expect("the programs are there") {
            let source = entry.expect("they can be listed").path();
            if source.extension().is_none_or(|extension| extension != "c") {
                continue;
            }
            match self.start(folder, &source) {
                Some(child) => running.push((source, child)),
                None => return false,
            }
        }
        for (source, mut child) in running {
            let status = child.wait().expect("it can be waited for");
            let (compiler, source) = (self.compiler, source.display());
            assert!(
                status.success(),
                "{compiler} does not compile {source}: {status}"
            );
        }
        true
    }

    fn start(&self, folder: &Path, source: &Path) -> Option<Child> {
        let child = Command::new(self.compiler)
            .args(["-O1", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-o"])
            .arg(folder.join(source.file_stem().expect("it has a name")))
            .args(self.flags)
            .arg(source)
            .spawn();
        match child {
            Ok(child) => Some(child),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!(
                    "cargo:warning=no {}: tests of its programs are skipped",
                    self.compiler
                );
                None
            }
            Err(error) => panic!("{} cannot be started: {error}", self.compiler),
        }
    }
}
