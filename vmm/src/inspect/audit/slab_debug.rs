//! Red zones and poison are intact.

use pagelab_abi::slab::{
    CacheFlags, ObjectState, POISON_END, POISON_FREE, RED_ACTIVE, RED_INACTIVE,
};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::decode::{Cache, Slab, Snapshot};

pub(super) const AUDIT: Audit = Audit {
    name: "slab-debug",
    checks: "where slab_debug put red zones and poison, nobody has written on them",
    run,
};

/// Bytes of a red zone in front of an object, and at least behind it.
const RED_LEN: u64 = 8;

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let debug = CacheFlags::RED_ZONE | CacheFlags::POISON;
    for cache in guest
        .caches()?
        .iter()
        .filter(|cache| cache.flags().intersects(debug))
    {
        let before = u64::from(cache.geometry.object_offset);
        let behind = u64::from(cache.geometry.size - cache.geometry.object_size) - before;
        if cache.has(CacheFlags::RED_ZONE) && (before < RED_LEN || behind < RED_LEN) {
            findings.add(|| format!("cache {}: has no room for its red zones", cache.name));
            continue;
        }
        for slab in guest.snapshot.slabs(cache) {
            check_slab(guest.snapshot, cache, &slab, findings)?;
        }
    }
    Ok(())
}

fn check_slab(
    snapshot: &Snapshot<'_>,
    cache: &Cache,
    slab: &Slab,
    findings: &mut Findings,
) -> Result<(), Skip> {
    let states = snapshot
        .object_states(cache, slab)
        .map_err(|error| Skip(error.to_string()))?;
    for (index, state) in (0..).zip(states.iter()) {
        let Some(state) = state else {
            // The matter of another audit.
            continue;
        };
        let gpa = snapshot.object_gpa(cache, slab, index);
        for area in areas(cache, state) {
            check_area(snapshot, cache, gpa, &area, findings)?;
        }
    }
    Ok(())
}

/// Bytes that must be as they were written.
struct Area {
    name: &'static str,
    /// Bytes from the object's start to the area's, which may be before it.
    from: i64,
    len: u64,
    expected: Expected,
}

/// What must stand in an area.
enum Expected {
    /// The bytes of a number, over and over.
    Repeated(u64),
    /// Poison with its last byte.
    Poison,
}

impl Expected {
    fn byte(&self, at: u64, len: u64) -> u8 {
        match self {
            Self::Repeated(word) => word.to_le_bytes()[at as usize % 8],
            Self::Poison if at + 1 == len => POISON_END,
            Self::Poison => POISON_FREE,
        }
    }
}

/// The areas of an object in this state.
fn areas(cache: &Cache, state: ObjectState) -> Vec<Area> {
    let size = u64::from(cache.geometry.object_size);
    let mut areas = Vec::new();
    if cache.has(CacheFlags::RED_ZONE) {
        let red = if state == ObjectState::Allocated {
            RED_ACTIVE
        } else {
            RED_INACTIVE
        };
        let padding = size.next_multiple_of(8) - size;
        areas.push(Area {
            name: "left red zone",
            from: -(RED_LEN as i64),
            len: RED_LEN,
            expected: Expected::Repeated(red),
        });
        areas.push(Area {
            name: "right red zone",
            from: size as i64,
            len: padding + RED_LEN,
            expected: Expected::Repeated(red),
        });
    }
    if cache.has(CacheFlags::POISON) && state != ObjectState::Allocated {
        areas.push(Area {
            name: "poison",
            from: 0,
            len: size,
            expected: Expected::Poison,
        });
    }
    areas
}

fn check_area(
    snapshot: &Snapshot<'_>,
    cache: &Cache,
    gpa: u64,
    area: &Area,
    findings: &mut Findings,
) -> Result<(), Skip> {
    let start = gpa.wrapping_add_signed(area.from);
    let mut bytes = vec![0; area.len as usize];
    let read = snapshot.mem().read(start, &mut bytes);
    read.map_err(|error| Skip(error.to_string()))?;
    let wrong = (0..)
        .zip(&bytes)
        .find(|(at, byte)| **byte != area.expected.byte(*at, area.len));
    if let Some((at, byte)) = wrong {
        findings.add(|| {
            let track = snapshot.object_track(cache, gpa).unwrap_or_default();
            let at_place = |what, place: Option<String>| {
                place.map_or_else(String::new, |place| format!("; last {what} at {place}"))
            };
            format!(
                "cache {}: the {} of the object at {gpa:#x} is {byte:#04x} instead of {:#04x} at \
                 {:#x}{}{}",
                cache.name,
                area.name,
                area.expected.byte(at, area.len),
                start + at,
                at_place("allocated", track.alloc),
                at_place("freed", track.free)
            )
        });
    }
    Ok(())
}
