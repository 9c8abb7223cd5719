//! Where a named part of a guest's structures stands in its memory.

use std::{fmt, mem::offset_of};

use pagelab_abi::{
    PAGE_SIZE,
    mm::MmState,
    page::Page,
    pte::PTE_ADDRESS,
    vma::Vma,
    zone::{self, ZoneKind},
};
use thiserror::Error;

use super::{
    decode::{DecodeError, Snapshot},
    image::{OutsideRam, read_object},
    users::{Space, Users},
};

/// A field of a structure, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Bytes from the structure's start.
    offset: usize,
    /// Its bytes.
    size: usize,
}

macro_rules! fields {
    ($type:ty: $($name:ident $size:literal),+ $(,)?) => {
        &[$(Field {
            name: stringify!($name),
            offset: offset_of!($type, $name),
            size: $size,
        }),+]
    };
}

/// Fields of a frame's descriptor.
pub const PAGE_FIELDS: &[Field] = fields!(Page:
    flags 4, refcount 4, mapcount 4, private 4, next 4, prev 4, mapping 8);

/// Fields of a zone.
pub const ZONE_FIELDS: &[Field] = fields!(zone::Zone:
    lock 4, kind 4, start_pfn 4, spanned 4, present 4, managed 4, free_pages 4, balloon_pages 4,
    isolated_pages 4, highatomic_pages 4, pcp_batch 4, pcp_high 4, nr_fallbacks 8);

/// Fields of an area.
pub const VMA_FIELDS: &[Field] = fields!(Vma:
    start 8, end 8, left 8, right 8, parent 8, subtree_gap 8, prev 8, next 8, flags 8, file 8,
    pgoff 8);

/// A part of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The byte at a guest physical address.
    Address(u64),
    /// A field of a frame's descriptor.
    Page(u32, Field),
    /// A field of a zone.
    Zone(ZoneKind, Field),
    /// A field of the area of an address of a process.
    Vma(u32, u64, Field),
    /// The last-level entry for an address of a process.
    Pte(u32, u64),
    /// The byte at an address of a process, in the frame that it has.
    User(u32, u64),
}

/// Why a part of the guest is nowhere.
#[derive(Debug, Error)]
pub enum LocateError {
    /// The guest's structures cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A link leads out of RAM.
    #[error(transparent)]
    Outside(#[from] OutsideRam),
    /// There is no such frame, zone, process, area, table or page.
    #[error("there is no {0}")]
    None(String),
}

impl Field {
    /// The field of this name.
    pub fn find(fields: &[Self], name: &str) -> Option<Self> {
        fields.iter().find(|field| field.name == name).copied()
    }
}

impl Place {
    /// Bits that it has.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Page(_, field) | Self::Zone(_, field) | Self::Vma(_, _, field) => {
                field.size as u32 * 8
            }
            Self::Pte(..) => 64,
            Self::Address(_) | Self::User(..) => 8,
        }
    }

    /// The guest physical address of its first byte.
    ///
    /// # Errors
    /// [`LocateError`] if it is not there now.
    pub fn locate(self, snapshot: &Snapshot<'_>) -> Result<u64, LocateError> {
        match self {
            Self::Address(gpa) => {
                let byte = snapshot.mem().slice(gpa, 1);
                Ok(byte.map(|_| gpa).ok_or(OutsideRam(gpa))?)
            }
            Self::Page(pfn, field) => {
                if snapshot.descriptor(pfn).is_none() {
                    return none(format_args!("frame {pfn:#x} with a descriptor"));
                }
                Ok(snapshot.mem_map.gpa_of(pfn) + field.offset as u64)
            }
            Self::Zone(kind, field) => {
                let zone = snapshot.zones.iter().find(|zone| zone.kind == kind);
                let Some(zone) = zone else {
                    return none(format_args!("zone {}", kind.name()));
                };
                let at = zone.index * size_of::<zone::Zone>() + field.offset;
                Ok(snapshot.state_gpa + (offset_of!(MmState, zones) + at) as u64)
            }
            Self::Vma(pid, va, field) => {
                let space = space(snapshot, pid)?;
                match space.area(va) {
                    Some(area) => Ok(area.gpa + field.offset as u64),
                    None => none(format_args!("area at {va:#x} in process {pid}")),
                }
            }
            Self::Pte(pid, va) => entry(snapshot, pid, va),
            Self::User(pid, va) => {
                let space = space(snapshot, pid)?;
                let mut held = space.held().map(|(page, _)| page);
                let page = held.find(|page| {
                    let end = page.va() + page.frames() * PAGE_SIZE;
                    (page.va()..end).contains(&va)
                });
                match page.and_then(|page| Some((page.pfn()?, va - page.va()))) {
                    Some((pfn, offset)) => Ok(snapshot.gpa(pfn) + offset),
                    None => none(format_args!("page at {va:#x} in process {pid}")),
                }
            }
        }
    }
}

/// The address space of a process.
fn space(snapshot: &Snapshot<'_>, pid: u32) -> Result<Space, LocateError> {
    let users = Users::read(snapshot)?;
    let task = users.tasks.iter().find(|task| task.pid == pid);
    let mm = task.map_or(0, |task| task.mm);
    let mut spaces = users.spaces.into_iter();
    match spaces.find(|space| space.mm.gpa == mm) {
        Some(space) => Ok(space),
        None => none(format_args!("process {pid} with an address space")),
    }
}

/// Where the last-level entry for an address is.
fn entry(snapshot: &Snapshot<'_>, pid: u32, va: u64) -> Result<u64, LocateError> {
    let mut table = space(snapshot, pid)?.mm.pgd();
    for level in [4, 3, 2] {
        let at = table + (va >> (12 + 9 * (level - 1)) & 511) * 8;
        let value: u64 = read_object(snapshot.mem(), at)?;
        table = value & PTE_ADDRESS;
        if value & pagelab_abi::pte::PTE_PRESENT == 0 {
            return none(format_args!("page table for {va:#x} in process {pid}"));
        }
        if value & pagelab_abi::pte::PTE_LARGE != 0 {
            return Ok(at);
        }
    }
    Ok(table + (va >> 12 & 511) * 8)
}

fn none<T>(what: fmt::Arguments<'_>) -> Result<T, LocateError> {
    Err(LocateError::None(what.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::test_programs::Programs;

    #[test]
    fn each_part_is_found_where_it_is() {
        let programs = Programs::new();
        let image = programs.image();
        let snapshot = image.snapshot();
        let at = programs.at;
        let word = |place: Place| image.u64(place.locate(&snapshot).unwrap());
        let field = |fields, name| Field::find(fields, name).unwrap();
        assert_eq!(word(Place::Vma(1, at, field(VMA_FIELDS, "start"))), at);
        let pte = word(Place::Pte(1, at));
        let user = Place::User(1, at + 5).locate(&snapshot).unwrap();
        assert_eq!(user, (pte & PTE_ADDRESS) + 5);
        assert_eq!(image.u64(user - 5) & 0xff, 7, "what the program wrote");
        let pfn = (user / PAGE_SIZE) as u32;
        let refcount = word(Place::Page(pfn, field(PAGE_FIELDS, "refcount"))) as u32;
        assert_eq!(refcount, snapshot.descriptor(pfn).unwrap().refcount);
        let zone = &snapshot.zones[1];
        let free = word(Place::Zone(zone.kind, field(ZONE_FIELDS, "free_pages"))) as u32;
        assert_eq!(u64::from(free), zone.free);
        assert_eq!(Place::Address(77).locate(&snapshot).unwrap(), 77);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let programs = Programs::new();
        let image = programs.image();
        let snapshot = image.snapshot();
        for (place, text) in [
            (Place::Address(u64::MAX), "not RAM"),
            (Place::Page(u32::MAX, PAGE_FIELDS[0]), "frame 0xffffffff"),
            (
                Place::Zone(ZoneKind::Movable, ZONE_FIELDS[0]),
                "zone Movable",
            ),
            (Place::Vma(1, 0, VMA_FIELDS[0]), "area at 0x0 in process 1"),
            (Place::Pte(9, 0), "process 9"),
            (Place::Pte(1, 1 << 45), "page table for 0x200000000000"),
            (Place::User(1, 0), "page at 0x0"),
        ] {
            let error = place.locate(&snapshot).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
