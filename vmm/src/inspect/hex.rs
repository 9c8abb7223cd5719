//! Addresses in machine-readable output: hexadecimal strings, because a kernel address does not
//! fit the 53 exact bits of a JSON reader's number.

use serde::Serializer;

/// Serializes an address or a register as `"0x…"`.
pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:#x}"))
}
