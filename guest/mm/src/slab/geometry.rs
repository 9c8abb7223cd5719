//! How objects are laid out in slabs: sizes, order, colours, and where the state bytes stand.

use pagelab_abi::{
    PAGE_SIZE,
    slab::{CacheFlags, DESCRIPTOR_OBJECTS, Geometry, MAGAZINE_CAPACITY, MAX_SLAB_ORDER, Track},
};

/// Smallest alignment, and the unit in which a colour is recorded.
pub(super) const MIN_ALIGN: u32 = 8;

/// Bytes of a cache line.
const CACHE_LINE: u32 = 64;

/// Bytes of a red zone, at least.
pub(super) const RED_LEN: u32 = 8;

/// Why objects cannot be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// The object has no bytes.
    ZeroSize,
    /// The alignment is not a power of two.
    Align,
    /// Not one object fits into the largest slab, of [`MAX_SLAB_ORDER`].
    TooLarge,
}

/// The next multiple of `to`, a power of two.
const fn round_up(value: u32, to: u32) -> u32 {
    (value + to - 1) & !(to - 1)
}

/// Where a [`Track`] stands, from the start of what the caller gets.
pub(super) const fn track_offset(geometry: &Geometry) -> u32 {
    let end = round_up(geometry.object_size, MIN_ALIGN);
    if geometry.flags & CacheFlags::RED_ZONE.bits() != 0 {
        end + RED_LEN
    } else {
        end
    }
}

/// Number of objects and whether their states go to the descriptor.
const fn fit(bytes: u32, size: u32) -> (u32, bool) {
    let bare = bytes / size;
    if bare <= DESCRIPTOR_OBJECTS {
        return (bare, true);
    }
    let with_states = bytes / (size + 1);
    // Five that do not fit together with their states leave four that need none in the slab.
    if with_states <= DESCRIPTOR_OBJECTS {
        (DESCRIPTOR_OBJECTS, true)
    } else {
        (with_states, false)
    }
}

/// Lays out objects of `object_size` bytes. `align` is a power of two, or 0 for none in
/// particular; of `flags` the debugging bits, HWCACHE_ALIGN and INTERNAL matter.
pub(super) const fn geometry(
    object_size: u32,
    align: u32,
    flags: CacheFlags,
) -> Result<Geometry, GeometryError> {
    let slab_max = (PAGE_SIZE as u32) << MAX_SLAB_ORDER;
    if object_size == 0 {
        return Err(GeometryError::ZeroSize);
    }
    if align != 0 && !align.is_power_of_two() {
        return Err(GeometryError::Align);
    }
    if object_size > slab_max || align > slab_max {
        return Err(GeometryError::TooLarge);
    }
    let align = effective_align(object_size, align, flags);
    let red = flags.contains(CacheFlags::RED_ZONE);
    // The red zone in front must not cost the alignment.
    let object_offset = if red { align } else { 0 };
    let mut size = object_offset + object_size;
    if flags.intersects(CacheFlags::RED_ZONE.union(CacheFlags::STORE_USER)) {
        size = round_up(size, MIN_ALIGN);
    }
    if red {
        size += RED_LEN;
    }
    if flags.contains(CacheFlags::STORE_USER) {
        size += size_of::<Track>() as u32;
    }
    let size = round_up(size, align);
    let Some((order, objects, in_descriptor)) = choose_order(size) else {
        return Err(GeometryError::TooLarge);
    };
    let bytes = (PAGE_SIZE as u32) << order;
    let states = if in_descriptor { 0 } else { objects };
    let left_over = bytes - objects * size - states;
    let colour_step = if align > CACHE_LINE {
        align
    } else {
        CACHE_LINE
    };
    let limit = magazine_limit(size, flags);
    let mut flags = flags;
    if in_descriptor {
        flags = flags.union(CacheFlags::DESCRIPTOR_STATES);
    }
    Ok(Geometry {
        object_size,
        size,
        reciprocal: ((1u64 << 32).div_ceil(size as u64)) as u32,
        object_offset,
        align,
        objects,
        order,
        states_offset: bytes - states,
        colours: left_over / colour_step + 1,
        colour_step,
        flags: flags.bits(),
        limit,
        batch: limit.div_ceil(2),
        reserved: 0,
    })
}

/// HWCACHE_ALIGN asks for a cache line, or for the smallest half, quarter, … of it that still
/// holds a small object (Linux mm/slab_common.c, `calculate_alignment`).
const fn effective_align(object_size: u32, align: u32, flags: CacheFlags) -> u32 {
    let mut result = if align > MIN_ALIGN { align } else { MIN_ALIGN };
    if flags.contains(CacheFlags::HWCACHE_ALIGN) {
        let mut line = CACHE_LINE;
        while object_size <= line / 2 {
            line /= 2;
        }
        if line > result {
            result = line;
        }
    }
    result
}

/// Objects for the sake of which a slab has two frames: each slab's way between the lists is shared
/// by its objects.
const FEW_OBJECTS: u32 = 2;

/// The smallest order that wastes at most an eighth of the slab (Linux mm/slab.c,
/// `calculate_slab_order`), or else the one that wastes the smallest share. It is 1, the highest
/// that pages which must not fail may have, where a single frame holds few objects.
const fn choose_order(size: u32) -> Option<(u32, u32, bool)> {
    let mut best = None;
    let mut best_waste = u32::MAX;
    let mut order = 0;
    while order <= MAX_SLAB_ORDER {
        let bytes = (PAGE_SIZE as u32) << order;
        let (objects, in_descriptor) = fit(bytes, size);
        if objects > 0 {
            let states = if in_descriptor { 0 } else { objects };
            let left_over = bytes - objects * size - states;
            if left_over * 8 <= bytes && (order > 0 || objects > FEW_OBJECTS) {
                return Some((order, objects, in_descriptor));
            }
            // In 1/32768 of the slab, so that orders compare.
            let waste = left_over << (MAX_SLAB_ORDER - order);
            if waste < best_waste {
                best_waste = waste;
                best = Some((order, objects, in_descriptor));
            }
        }
        order += 1;
    }
    best
}

/// Bytes of free objects that a magazine may hold.
const MAGAZINE_BYTES: u32 = 256 << 10;

/// Objects in a magazine. Linux (mm/slab.c, `enable_cpucache`) keeps fewer of the larger ones, 54
/// above 256 bytes and 8 above a page, on each of many CPUs. But the larger objects are, the fewer
/// share a slab, and the more a batch has to save. The allocator's own caches have none: magazines
/// come from them.
const fn magazine_limit(size: u32, flags: CacheFlags) -> u32 {
    if flags.contains(CacheFlags::INTERNAL) {
        return 0;
    }
    let limit = MAGAZINE_BYTES / size;
    if limit < MAGAZINE_CAPACITY as u32 {
        limit
    } else {
        MAGAZINE_CAPACITY as u32
    }
}

/// Empty slabs that a cache keeps: as many objects as two batches and one slab (Linux mm/slab.c,
/// `free_limit`, on one CPU).
pub(super) const fn max_empty(geometry: &Geometry) -> u32 {
    (2 * geometry.batch + geometry.objects) / geometry.objects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_debug_sets() -> impl Iterator<Item = CacheFlags> {
        (0..16u32).map(|bits| {
            let mut flags = CacheFlags::empty();
            flags.set(CacheFlags::CONSISTENCY_CHECKS, bits & 1 != 0);
            flags.set(CacheFlags::RED_ZONE, bits & 2 != 0);
            flags.set(CacheFlags::POISON, bits & 4 != 0);
            flags.set(CacheFlags::STORE_USER, bits & 8 != 0);
            flags
        })
    }

    #[test]
    fn nothing_overlaps_at_any_size_and_alignment() {
        for flags in all_debug_sets() {
            for object_size in 1..=8192 {
                for align in [0, 8, 64, 512] {
                    let g = geometry(object_size, align, flags).unwrap();
                    let bytes = (PAGE_SIZE as u32) << g.order;
                    let set = CacheFlags::from_bits_retain(g.flags);
                    assert!(g.objects >= 1);
                    let last_colour = (g.colours - 1) * g.colour_step;
                    assert!(last_colour + g.objects * g.size <= g.states_offset);
                    if set.contains(CacheFlags::DESCRIPTOR_STATES) {
                        assert!(g.objects <= DESCRIPTOR_OBJECTS);
                        assert_eq!(g.states_offset, bytes);
                    } else {
                        assert_eq!(g.states_offset + g.objects, bytes);
                    }
                    let mut end = g.object_offset + object_size;
                    if flags.contains(CacheFlags::RED_ZONE) {
                        assert!(g.object_offset >= RED_LEN);
                        end = g.object_offset + round_up(object_size, 8) + RED_LEN;
                    }
                    if flags.contains(CacheFlags::STORE_USER) {
                        let track = g.object_offset + track_offset(&g);
                        assert!(track >= end && track.is_multiple_of(8));
                        end = track + size_of::<Track>() as u32;
                    }
                    assert!(end <= g.size, "{g:?}");
                    assert!(
                        g.size.is_multiple_of(g.align) && g.object_offset.is_multiple_of(g.align)
                    );
                    assert!(g.colour_step.is_multiple_of(g.align));
                    assert!(g.batch <= g.limit && g.limit as usize <= MAGAZINE_CAPACITY);
                }
            }
        }
    }

    #[test]
    fn the_reciprocal_divides_exactly() {
        for size in (8..=32768u32).step_by(8) {
            let reciprocal = (1u64 << 32).div_ceil(u64::from(size));
            // Exactness can only break next to a multiple.
            for multiple in (0..=32768u32).step_by(size as usize) {
                for offset in [multiple.saturating_sub(1), multiple, multiple + 1] {
                    let index = (u64::from(offset) * reciprocal) >> 32;
                    assert_eq!(index as u32, offset / size, "{offset} / {size}");
                }
            }
        }
    }

    #[test]
    fn no_cache_of_a_common_size_wastes_more_than_an_eighth() {
        for object_size in 8..=4096 {
            let g = geometry(object_size, 0, CacheFlags::empty()).unwrap();
            let bytes = (PAGE_SIZE as u32) << g.order;
            let waste = bytes - g.objects * g.size;
            // The state bytes of the smallest objects are a ninth.
            assert!(waste * 8 <= bytes + g.objects * 8, "{g:?}");
        }
    }

    #[test]
    fn what_cannot_be_laid_out_is_refused() {
        let none = CacheFlags::empty();
        assert_eq!(geometry(0, 0, none), Err(GeometryError::ZeroSize));
        assert_eq!(geometry(8, 24, none), Err(GeometryError::Align));
        assert_eq!(geometry(32769, 0, none), Err(GeometryError::TooLarge));
        assert_eq!(geometry(8, 65536, none), Err(GeometryError::TooLarge));
        assert_eq!(
            geometry(32768, 0, CacheFlags::RED_ZONE),
            Err(GeometryError::TooLarge)
        );
        assert!(geometry(32768, 0, none).is_ok());
    }

    #[test]
    fn a_cache_line_is_halved_for_small_objects() {
        let align = |size| geometry(size, 0, CacheFlags::HWCACHE_ALIGN).unwrap().align;
        assert_eq!(
            [align(8), align(20), align(33), align(200)],
            [8, 32, 64, 64]
        );
    }
}
