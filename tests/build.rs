//! Builds the C programs of `programs/`, which the tests run natively and in the guest: static, as
//! that is what the guest runs. Without a C compiler the tests of them are skipped, and say so.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo:rerun-if-changed=programs");
    println!("cargo:rerun-if-env-changed=CC");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("programs");
    fs::create_dir_all(&out).expect("the output directory can be made");
    let cc = env::var_os("CC").unwrap_or_else(|| "cc".into());
    for entry in fs::read_dir("programs").expect("the programs are there") {
        let source = entry.expect("they can be listed").path();
        if source.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let program = out.join(Path::new(source.file_stem().expect("it has a name")));
        let built = Command::new(&cc)
            .args(["-static", "-O1", "-Wall", "-Wextra", "-o"])
            .arg(&program)
            .arg(&source)
            .status();
        match built {
            Ok(status) if status.success() => {}
            Ok(status) => panic!("{} does not compile: {status}", source.display()),
            Err(error) => {
                println!("cargo:warning=no C compiler ({error}): tests of programs are skipped");
                return;
            }
        }
    }
    println!("cargo:rustc-env=PAGELAB_TEST_PROGRAMS={}", out.display());
}
