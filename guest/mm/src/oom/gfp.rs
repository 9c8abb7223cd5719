//! Allocation flags as Linux writes them (include/trace/events/mmflags.h: `show_gfp_flags`).

use core::fmt;
use pagelab_abi::gfp::Gfp;

/// Combinations with names of their own, the largest first.
const COMBINED: [(Gfp, &str); 5] = [
    (Gfp::HIGHUSER_MOVABLE, "GFP_HIGHUSER_MOVABLE"),
    (Gfp::HIGHUSER, "GFP_HIGHUSER"),
    (Gfp::KERNEL, "GFP_KERNEL"),
    (Gfp::ATOMIC, "GFP_ATOMIC"),
    (Gfp::NOWAIT, "GFP_NOWAIT"),
];

/// Displays flags as `GFP_KERNEL|__GFP_ZERO`.
pub(super) struct Flags(pub(super) Gfp);

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        let mut separator = "";
        for (flags, name) in COMBINED {
            if left.contains(flags) {
                write!(f, "{separator}{name}")?;
                separator = "|";
                left -= flags;
            }
        }
        for (name, _) in left.iter_names() {
            write!(f, "{separator}__GFP_{name}")?;
            separator = "|";
        }
        Ok(())
    }
}
