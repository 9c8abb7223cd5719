//! The guest's kernel and its programs, built by build.rs and carried in the program.

/// Gives the bytes the alignment of an ELF header, which `include_bytes!` does not.
#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

static KERNEL: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("PAGELAB_GUEST_ELF")));

/// The ELF.
pub fn kernel() -> &'static [u8] {
    &KERNEL.0
}

/// `bench-vm` of `guest/programs`, an ELF.
pub fn bench_vm() -> &'static [u8] {
    include_bytes!(concat!(env!("PAGELAB_PROGRAMS"), "/bench-vm"))
}

#[cfg(feature = "mutations")]
static MUTANT: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("PAGELAB_MUTANT_ELF")));

/// The kernel that bugs can be planted in: `mutation=NAME` on its command line.
#[cfg(feature = "mutations")]
pub fn mutant() -> &'static [u8] {
    &MUTANT.0
}
