//! The zone model and its limits, as they are asked for.

use core::fmt;
use pagelab_abi::{PAGE_SIZE, page::PAGEBLOCK_PAGES, zone::ZoneModel};

/// A limit is a multiple of this many bytes, so that each pageblock is in one zone.
const ALIGN: u64 = PAGE_SIZE * PAGEBLOCK_PAGES as u64;

/// Limits that a model can have: one less than its zones.
const MAX_LIMITS: usize = 3;

/// A zone model and the upper ends of all its zones but the last, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneConfig {
    model: ZoneModel,
    limits: [u64; MAX_LIMITS],
}

/// Why limits cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneLimitError {
    /// A limit is not a multiple of the pageblock size (bytes).
    Unaligned(u64),
    /// A limit is not above the one before it (bytes).
    OutOfOrder {
        /// The limit before it.
        previous: u64,
        /// The limit.
        limit: u64,
    },
    /// More limits than the model has room for.
    TooMany {
        /// Limits given.
        given: usize,
        /// Limits that the model can have.
        room: usize,
    },
}

impl fmt::Display for ZoneLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unaligned(limit) => write!(
                f,
                "zone limit {limit} is not a multiple of {ALIGN} bytes (a pageblock)"
            ),
            Self::OutOfOrder { previous, limit } => write!(
                f,
                "zone limit {limit} is not above the one before it, {previous}: give them in \
                 ascending order"
            ),
            Self::TooMany { given, room } => {
                write!(f, "{given} zone limits given, but the model takes {room}")
            }
        }
    }
}

impl core::error::Error for ZoneLimitError {}

impl ZoneConfig {
    /// DMA below 16 MiB, NORMAL below 896 MiB, HIGHMEM above.
    pub const CLASSIC: Self = Self {
        model: ZoneModel::Classic,
        limits: [16 << 20, 896 << 20, u64::MAX],
    };

    /// DMA below 16 MiB, DMA32 below 4 GiB, NORMAL above; no MOVABLE.
    pub const X86_64: Self = Self {
        model: ZoneModel::X86_64,
        limits: [16 << 20, 4 << 30, u64::MAX],
    };

    /// A model with its usual limits.
    pub const fn new(model: ZoneModel) -> Self {
        match model {
            ZoneModel::Classic => Self::CLASSIC,
            ZoneModel::X86_64 => Self::X86_64,
        }
    }

    /// A model with the given limits in place of the first ones of its usual limits: for
    /// `classic` the ends of DMA and NORMAL, for `x86_64` those of DMA, DMA32 and NORMAL. The last
    /// one is where MOVABLE starts; without it there is no MOVABLE.
    ///
    /// # Errors
    /// [`ZoneLimitError`] names the limit that is not a multiple of 2 MiB, not above the one
    /// before it, or one too many.
    pub fn with_limits(model: ZoneModel, limits: &[u64]) -> Result<Self, ZoneLimitError> {
        let mut config = Self::new(model);
        let room = model.zones().len() - 1;
        if limits.len() > room {
            return Err(ZoneLimitError::TooMany {
                given: limits.len(),
                room,
            });
        }
        config.limits[..limits.len()].copy_from_slice(limits);
        let mut previous = 0;
        for &limit in &config.limits {
            if limit != u64::MAX {
                if limit % ALIGN != 0 {
                    return Err(ZoneLimitError::Unaligned(limit));
                }
                if limit <= previous {
                    return Err(ZoneLimitError::OutOfOrder { previous, limit });
                }
            }
            previous = limit;
        }
        Ok(config)
    }

    /// The model.
    pub const fn model(&self) -> ZoneModel {
        self.model
    }

    /// The end of a zone in bytes, `u64::MAX` for the last one.
    pub fn end(&self, zone: usize) -> u64 {
        self.limits.get(zone).copied().unwrap_or(u64::MAX)
    }

    /// Where the direct map has to end for RAM that ends at `ram_end` (bytes): below HIGHMEM.
    pub fn direct_map_end(&self, ram_end: u64) -> u64 {
        match self.model {
            ZoneModel::Classic => ram_end.min(self.limits[1]),
            ZoneModel::X86_64 => ram_end,
        }
    }
}
