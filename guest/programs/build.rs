//! Links the programs without a C library when they are built for the guest, that is with
//! `-C panic=abort` on the compiler's command line (see `vmm/build.rs`). In every other build
//! (clippy, `cargo build --workspace`) they are ordinary programs with std and do the same.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(pagelab_program)");
    if std::env::var("CARGO_CFG_PANIC").as_deref() != Ok("abort") {
        return;
    }
    println!("cargo:rustc-cfg=pagelab_program");
    for arg in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
    ] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
}
