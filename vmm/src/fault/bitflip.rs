//! The grammar of `--fault bitflip`: one bit of the guest's memory is turned over at one event.

use super::{
    FaultError,
    knobs::{Written, bad, number},
};
use crate::{
    inspect::locate::{Field, PAGE_FIELDS, Place, VMA_FIELDS, ZONE_FIELDS},
    nearest::nearest,
};
use pagelab_abi::zone::ZoneKind;
use std::{fmt, str::FromStr};

/// The fault's name.
pub(super) const BITFLIP: &str = "bitflip";

const KNOBS: [&str; 9] = [
    "at", "struct", "pfn", "zone", "pid", "va", "field", "bit", "event",
];

/// One bit that is turned over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitflipSpec {
    /// Where.
    pub place: Place,
    /// Number of the bit, from the least significant one of the place's first byte on.
    pub bit: u32,
    /// Event; none for the end of boot.
    pub event: Option<u64>,
}

impl Written<'_> {
    fn field(&mut self, fields: &[Field]) -> Result<Field, FaultError> {
        let name = self.need("field", "a field's name, such as flags")?;
        let names = || fields.iter().map(|field| field.name);
        Field::find(fields, name).ok_or_else(|| FaultError::UnknownField {
            name: name.to_owned(),
            nearest: nearest(name, names()),
            known: names().collect::<Vec<_>>().join(", "),
        })
    }

    fn place(&mut self) -> Result<Place, FaultError> {
        const PID: &str = "a process's number";
        const VA: &str = "an address of the process, such as 0x401000";
        if let Some(value) = self.take("at") {
            let allowed = "a guest physical address, such as 0x100000";
            return Ok(Place::Address(number("at", value, allowed)?));
        }
        let allowed = "page, zone, vma, pte or user, if at=ADDRESS is not given";
        let structure = self.need("struct", allowed)?;
        Ok(match structure {
            "page" => Place::Page(
                self.small("pfn", "a frame's number")?,
                self.field(PAGE_FIELDS)?,
            ),
            "zone" => Place::Zone(self.zone()?, self.field(ZONE_FIELDS)?),
            "vma" => {
                let (pid, va) = (self.small("pid", PID)?, self.number("va", VA)?);
                Place::Vma(pid, va, self.field(VMA_FIELDS)?)
            }
            "pte" => Place::Pte(self.small("pid", PID)?, self.number("va", VA)?),
            "user" => Place::User(self.small("pid", PID)?, self.number("va", VA)?),
            _ => return Err(bad("struct", structure, "page, zone, vma, pte or user")),
        })
    }

    fn zone(&mut self) -> Result<ZoneKind, FaultError> {
        let allowed = "a zone's name: DMA, DMA32, Normal, HighMem or Movable";
        let name = self.need("zone", allowed)?;
        let found = ZoneKind::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| bad("zone", name, allowed))
    }
}

impl FromStr for BitflipSpec {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut written = Written::read(text, BITFLIP, &KNOBS)?;
        let place = written.place()?;
        let bit = match written.take("bit") {
            Some(value) => number("bit", value, "a bit's number, from 0")?,
            None => 0,
        };
        let event = match written.take("event") {
            Some(value) => Some(number("event", value, "a number of events")?),
            None => None,
        };
        written.finish()?;
        match u32::try_from(bit).ok().filter(|bit| *bit < place.bits()) {
            Some(bit) => Ok(Self { place, bit, event }),
            None => Err(FaultError::NoBit {
                bit,
                bits: place.bits(),
            }),
        }
    }
}

impl fmt::Display for BitflipSpec {
    /// The text that parses to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Address(gpa) => write!(f, "{BITFLIP},at={gpa:#x}")?,
            Place::Page(pfn, field) => {
                let name = field.name;
                write!(f, "{BITFLIP},struct=page,pfn={pfn:#x},field={name}")?;
            }
            Place::Zone(kind, field) => {
                let (zone, name) = (kind.name(), field.name);
                write!(f, "{BITFLIP},struct=zone,zone={zone},field={name}")?;
            }
            Place::Vma(pid, va, field) => {
                let name = field.name;
                write!(f, "{BITFLIP},struct=vma,pid={pid},va={va:#x},field={name}")?;
            }
            Place::Pte(pid, va) => write!(f, "{BITFLIP},struct=pte,pid={pid},va={va:#x}")?,
            Place::User(pid, va) => write!(f, "{BITFLIP},struct=user,pid={pid},va={va:#x}")?,
        }
        write!(f, ",bit={}", self.bit)?;
        match self.event {
            Some(event) => write!(f, ",event={event}"),
            None => Ok(()),
        }
    }
}

/// Whether a text asks for a bit flip.
pub fn is_bitflip(text: &str) -> bool {
    text.split(',')
        .next()
        .is_some_and(|name| name.trim() == BITFLIP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_form_is_read_and_written_back() {
        for text in [
            "bitflip,at=0x1000,bit=7",
            "bitflip,struct=page,pfn=0x12,field=refcount,bit=31,event=9",
            "bitflip,struct=zone,zone=Normal,field=free_pages,bit=0",
            "bitflip,struct=vma,pid=1,va=0x400000,field=end,bit=12",
            "bitflip,struct=pte,pid=1,va=0x400000,bit=63",
            "bitflip,struct=user,pid=2,va=0x400001,bit=3",
        ] {
            assert!(is_bitflip(text));
            assert_eq!(text.parse::<BitflipSpec>().unwrap().to_string(), text);
        }
        let spec: BitflipSpec = "bitflip,at=4096".parse().unwrap();
        assert_eq!((spec.place, spec.bit), (Place::Address(4096), 0));
    }

    #[test]
    fn errors_name_value_and_remedy() {
        let error = |text: &str| text.parse::<BitflipSpec>().unwrap_err().to_string();
        assert!(error("bitflip").contains("struct"));
        assert!(error("bitflip,att=1").contains("did you mean 'at'?"));
        assert!(error("bitflip,at=x").contains("at=x"));
        assert!(error("bitflip,at=1,bit=8").contains("0 to 7"));
        assert!(error("bitflip,at=1,pid=1").contains("pid"));
        assert!(error("bitflip,struct=slab").contains("struct=slab"));
        assert!(error("bitflip,struct=page,pfn=1,field=flag").contains("did you mean 'flags'?"));
        assert!(error("bitflip,struct=pte,pid=1").contains("va"));
        assert!(error("bitflip,struct=zone,zone=High,field=lock").contains("HighMem"));
        assert!(error("bitflip,at=1,at=2").contains("twice"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "bitflip[,=a-z0-9]{0,60}") {
            let _ = text.parse::<BitflipSpec>();
        }
    }
}
