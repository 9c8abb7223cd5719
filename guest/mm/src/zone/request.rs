//! From allocation flags to zone and migrate type (Linux: `gfp_zone`, `gfp_migratetype`).

use pagelab_abi::{
    gfp::Gfp,
    page::MigrateType,
    zone::{MAX_ZONES, Zone, ZoneKind, ZoneModel},
};

/// Entries of the table: one for each combination of the five lowest flags.
pub(crate) const REQUESTS: usize = 32;

const _: () = assert!(
    Gfp::DMA.bits()
        | Gfp::DMA32.bits()
        | Gfp::HIGHMEM.bits()
        | Gfp::MOVABLE.bits()
        | Gfp::RECLAIMABLE.bits()
        == REQUESTS as u32 - 1
);

/// What the flags ask for.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(4))]
pub(crate) struct Request {
    /// Index of the highest zone that may serve and has memory.
    pub(crate) zone: u8,
    /// The migrate type, one of the first three.
    pub(crate) migrate: MigrateType,
    /// Number of that zone's [`ZoneKind`].
    pub(crate) kind: u8,
}

impl Request {
    /// The request's entry in the table.
    #[inline(always)]
    pub(crate) const fn index(gfp: Gfp) -> usize {
        gfp.bits() as usize % REQUESTS
    }
}

/// Fills the table for a model.
pub(crate) fn request_table(model: ZoneModel, zones: &[Zone; MAX_ZONES]) -> [Request; REQUESTS] {
    let kinds = model.zones();
    core::array::from_fn(|bits| {
        let gfp = Gfp::from_bits_retain(bits as u32);
        let highest = highest_zone(model, gfp);
        let mut zone = kinds
            .iter()
            .position(|&kind| kind == highest)
            .unwrap_or(kinds.len() - 1);
        while zone > 0 && zones[zone].present == 0 {
            zone -= 1;
        }
        Request {
            zone: zone as u8,
            migrate: migrate_type(gfp),
            kind: kinds[zone] as u8,
        }
    })
}

/// The highest zone that the flags allow.
fn highest_zone(model: ZoneModel, gfp: Gfp) -> ZoneKind {
    if gfp.contains(Gfp::DMA) {
        return ZoneKind::Dma;
    }
    match model {
        // Without a DMA32 zone, NORMAL stands for it (Linux: `OPT_ZONE_DMA32`).
        ZoneModel::Classic if gfp.contains(Gfp::DMA32) => ZoneKind::Normal,
        ZoneModel::Classic if gfp.contains(Gfp::HIGHMEM) => ZoneKind::HighMem,
        ZoneModel::X86_64 if gfp.contains(Gfp::DMA32) => ZoneKind::Dma32,
        ZoneModel::X86_64 if gfp.contains(Gfp::HIGHMEM.union(Gfp::MOVABLE)) => ZoneKind::Movable,
        _ => ZoneKind::Normal,
    }
}

/// The migrate type that the flags ask for; both flags at once mean movable.
fn migrate_type(gfp: Gfp) -> MigrateType {
    if gfp.contains(Gfp::MOVABLE) {
        MigrateType::Movable
    } else if gfp.contains(Gfp::RECLAIMABLE) {
        MigrateType::Reclaimable
    } else {
        MigrateType::Unmovable
    }
}
