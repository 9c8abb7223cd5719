mod bad_frees;
mod blocks;
mod several_cpus;
mod shortage;

/// Bytes.
const MIB: u64 = 1 << 20;
