//! Links the kernel with its own linker script when it is built as a kernel, that is with
//! `-C panic=abort` on the compiler's command line (see `vmm/build.rs`). In every other build
//! (clippy,
//! `cargo build --workspace`) the package is an ordinary program that says what it is for.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=kernel.ld");
    println!("cargo:rustc-check-cfg=cfg(pagelab_kernel)");
    if std::env::var("CARGO_CFG_PANIC").as_deref() != Ok("abort") {
        return;
    }
    println!("cargo:rustc-cfg=pagelab_kernel");
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    for arg in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=4096",
        "-Wl,-z,norelro",
    ] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{here}/kernel.ld");
}
