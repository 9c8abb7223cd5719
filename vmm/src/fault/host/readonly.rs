//! The grammar of `--fault readonly`: frames become read-only at one event.

use super::{AT, Target, Written, machine_check};
use crate::{
    fault::{FaultError, knobs},
    inspect::locate::{PAGE_FIELDS, Place, ZONE_FIELDS},
};
use pagelab_abi::zone::ZoneKind;
use std::{fmt, ops::Range};

/// The fault's name.
pub(super) const READONLY: &str = "readonly";

const KNOBS: [&str; 8] = ["pfn", "pid", "gva", "nth", "of", "struct", "zone", "at"];

/// Frames to which stores are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadonlySpec {
    /// Which.
    pub frames: ReadonlyFrames,
    /// Event; none for the end of boot.
    pub at: Option<u64>,
}

/// Which frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadonlyFrames {
    /// Those with these numbers.
    Range(Range<u32>),
    /// One, that is named as for a machine check.
    One(Target),
    /// The one in which a structure is.
    Of(Place),
}

impl ReadonlySpec {
    pub(super) fn read(text: &str) -> Result<Self, FaultError> {
        let mut written = Written::read(text, READONLY, &KNOBS)?;
        let frames = match written.take("struct") {
            Some(structure) => ReadonlyFrames::Of(place(&mut written, structure)?),
            None => frames(&mut written)?,
        };
        let at = written.optional("at", AT)?;
        written.finish()?;
        Ok(Self { frames, at })
    }
}

fn frames(written: &mut Written<'_>) -> Result<ReadonlyFrames, FaultError> {
    let Some(value) = written.take("pfn") else {
        return machine_check::target(written).map(ReadonlyFrames::One);
    };
    const PFN: &str = "a frame's number, or two as 0x100..0x120, the last one not in it";
    let small = |text: &str| {
        let number = knobs::number("pfn", text, PFN)?;
        u32::try_from(number).map_err(|_| knobs::bad("pfn", value, PFN))
    };
    let range = match value.split_once("..") {
        Some((start, end)) => small(start)?..small(end)?,
        None => {
            let start = small(value)?;
            start..start.saturating_add(1)
        }
    };
    match range.is_empty() {
        true => Err(knobs::bad("pfn", value, PFN)),
        false => Ok(ReadonlyFrames::Range(range)),
    }
}

/// Where a structure is: only the frame counts, so any field will do.
fn place(written: &mut Written<'_>, structure: &str) -> Result<Place, FaultError> {
    const ZONE: &str = "a zone's name: DMA, DMA32, Normal, HighMem or Movable";
    Ok(match structure {
        "page" => Place::Page(written.small("pfn", "a frame's number")?, PAGE_FIELDS[0]),
        "zone" => {
            let name = written.need("zone", ZONE)?;
            let mut kinds = ZoneKind::ALL.into_iter();
            let kind = kinds.find(|kind| kind.name().eq_ignore_ascii_case(name));
            Place::Zone(
                kind.ok_or_else(|| knobs::bad("zone", name, ZONE))?,
                ZONE_FIELDS[0],
            )
        }
        "pte" => {
            let pid = written.small("pid", "a process's number")?;
            Place::Pte(pid, written.number("gva", "an address of the process")?)
        }
        _ => return Err(knobs::bad("struct", structure, "page, zone or pte")),
    })
}

impl fmt::Display for ReadonlySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(READONLY)?;
        match &self.frames {
            ReadonlyFrames::Range(range) if range.len() == 1 => {
                write!(f, ",pfn={:#x}", range.start)
            }
            ReadonlyFrames::Range(range) => write!(f, ",pfn={:#x}..{:#x}", range.start, range.end),
            ReadonlyFrames::One(target) => target.fmt(f),
            ReadonlyFrames::Of(Place::Page(pfn, _)) => write!(f, ",struct=page,pfn={pfn:#x}"),
            ReadonlyFrames::Of(Place::Zone(kind, _)) => {
                write!(f, ",struct=zone,zone={}", kind.name())
            }
            ReadonlyFrames::Of(Place::Pte(pid, va)) => {
                write!(f, ",struct=pte,pid={pid},gva={va:#x}")
            }
            // No other place can be written.
            ReadonlyFrames::Of(_) => Ok(()),
        }
    }
}
