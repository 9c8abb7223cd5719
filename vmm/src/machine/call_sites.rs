//! The code of a function by its name, wherever the compiler put it: the function itself, and each
//! place where it was inlined.

use std::collections::HashMap;
use std::ops::Range;

use addr2line::demangle_auto;
use addr2line::gimli::{
    self, AttributeValue, DebugInfoOffset, DebuggingInformationEntry, Dwarf, EndianSlice,
    RunTimeEndian, Unit, UnitOffset, constants,
};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use pagelab_abi::fault::{CallSite, MAX_CALL_SITES};
use thiserror::Error;

use super::kernel::Kernel;
use crate::nearest::nearest;

pub(super) type Reader<'a> = EndianSlice<'a, RunTimeEndian>;

/// Why a name leads to no code.
#[derive(Debug, Error)]
pub enum SiteError {
    /// The kernel has no debugging information that can be read.
    #[error(
        "site={name}: kernel {kernel} has no debugging information to find it by ({why}); use one \
         that was built with debug = \"line-tables-only\" or more"
    )]
    NoSymbols {
        /// The name.
        name: String,
        /// The kernel.
        kernel: String,
        /// What is wrong.
        why: String,
    },
    /// No function has the name.
    #[error(
        "site={name}: the guest's kernel has no function of this name{}; write its own name, \
         without a path, such as fork",
        nearest.as_ref().map(|name| format!(", did you mean {name}?")).unwrap_or_default()
    )]
    Unknown {
        /// The name.
        name: String,
        /// The function whose name is closest, if one is close.
        nearest: Option<String>,
    },
    /// It is in too many places.
    #[error(
        "site={name} is code in {found} places, and an injector can look at {MAX_CALL_SITES}; \
         name a function that calls it, or that it calls"
    )]
    TooMany {
        /// The name.
        name: String,
        /// Places.
        found: usize,
    },
}

/// The kernel's debugging information.
pub(super) fn dwarf<'a>(elf: &ElfFile64<'a>) -> Dwarf<Reader<'a>> {
    let load = |id: gimli::SectionId| -> Result<_, std::convert::Infallible> {
        let section = elf.section_by_name(id.name());
        let data = section.and_then(|section| section.data().ok());
        Ok(EndianSlice::new(
            data.unwrap_or_default(),
            RunTimeEndian::Little,
        ))
    };
    let Ok(dwarf) = Dwarf::load(load);
    dwarf
}

/// The code of all functions of this name. Paths and types do not count: in line tables, which are all
/// the debugging information that the guest's kernel has, a function has nothing but its name.
///
/// # Errors
/// [`SiteError`] if there is none, or it is in too many places.
pub fn call_sites(kernel: &Kernel, name: &str) -> Result<Vec<CallSite>, SiteError> {
    let unreadable = |why: String| SiteError::NoSymbols {
        name: name.to_owned(),
        kernel: kernel.to_string(),
        why,
    };
    let bytes = kernel
        .contents()
        .map_err(|error| unreadable(error.to_string()))?;
    let elf = ElfFile64::parse(&*bytes).map_err(|error| unreadable(error.to_string()))?;
    let mut code = Code::read(&dwarf(&elf)).map_err(|error| unreadable(error.to_string()))?;
    code.add_symbols(&elf);
    code.sites(name)
}

/// Functions and where their code is.
struct Code {
    /// Names of functions.
    names: Vec<String>,
    /// Address ranges, with the index of the function's name.
    ranges: Vec<(Range<u64>, usize)>,
}

impl Code {
    fn read(dwarf: &Dwarf<Reader<'_>>) -> Result<Self, gimli::Error> {
        let mut units = Vec::new();
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            units.push(dwarf.unit(header)?);
        }
        // Names stand with a function's declaration, which its code refers to.
        let mut names = Names::default();
        for unit in &units {
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                if let Some(offset) = global(unit, entry.offset()) {
                    names.note(dwarf, unit, entry, offset)?;
                }
            }
        }
        let mut ranges = Vec::new();
        for unit in &units {
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                let is_code = matches!(
                    entry.tag(),
                    constants::DW_TAG_subprogram | constants::DW_TAG_inlined_subroutine
                );
                let offset = global(unit, entry.offset()).filter(|_| is_code);
                let Some(name) = offset.and_then(|offset| names.of(offset)) else {
                    continue;
                };
                let mut of_entry = dwarf.die_ranges(unit, entry)?;
                while let Some(range) = of_entry.next()? {
                    // Code that the linker left out is at 0.
                    if range.begin != 0 && range.begin < range.end {
                        ranges.push((range.begin..range.end, name));
                    }
                }
            }
        }
        Ok(Self {
            names: names.names,
            ranges,
        })
    }

    /// Functions as the linker knows them, for those without debugging information.
    fn add_symbols(&mut self, elf: &ElfFile64<'_>) {
        let functions = elf
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
        for symbol in functions {
            let Ok(name) = symbol.name() else { continue };
            let end = symbol.address().saturating_add(symbol.size());
            self.ranges.push((symbol.address()..end, self.names.len()));
            self.names.push(own_name(&demangle_auto(name.into(), None)));
        }
    }

    fn sites(&self, name: &str) -> Result<Vec<CallSite>, SiteError> {
        let fits = |(_, at): &&(Range<u64>, usize)| self.names[*at] == name;
        let mut found: Vec<_> = self.ranges.iter().filter(fits).collect();
        if found.is_empty() {
            let known = self.ranges.iter().map(|(_, at)| self.names[*at].as_str());
            return Err(SiteError::Unknown {
                name: name.to_owned(),
                nearest: nearest(name, known).map(str::to_owned),
            });
        }
        found.sort_by_key(|(range, _)| (range.start, range.end));
        let mut sites: Vec<CallSite> = Vec::new();
        for (range, _) in &found {
            match sites.last_mut() {
                Some(site) if range.start <= site.end => site.end = site.end.max(range.end),
                _ => sites.push(CallSite {
                    start: range.start,
                    end: range.end,
                }),
            }
        }
        if sites.len() > MAX_CALL_SITES {
            return Err(SiteError::TooMany {
                name: name.to_owned(),
                found: sites.len(),
            });
        }
        Ok(sites)
    }
}

/// Names of functions by the place of their entries.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    index: HashMap<String, usize>,
    own: HashMap<DebugInfoOffset, usize>,
    /// Entries that stand for another one.
    origin: HashMap<DebugInfoOffset, DebugInfoOffset>,
}

impl Names {
    fn note(
        &mut self,
        dwarf: &Dwarf<Reader<'_>>,
        unit: &Unit<Reader<'_>>,
        entry: &DebuggingInformationEntry<Reader<'_>>,
        offset: DebugInfoOffset,
    ) -> Result<(), gimli::Error> {
        for attribute in [
            constants::DW_AT_abstract_origin,
            constants::DW_AT_specification,
        ] {
            let origin = match entry.attr_value(attribute) {
                Some(AttributeValue::UnitRef(at)) => global(unit, at),
                Some(AttributeValue::DebugInfoRef(at)) => Some(at),
                _ => None,
            };
            if let Some(origin) = origin {
                self.origin.insert(offset, origin);
            }
        }
        if entry.tag() == constants::DW_TAG_subprogram
            && let Some(value) = entry.attr_value(constants::DW_AT_name)
        {
            let name = dwarf.attr_string(unit, value)?;
            self.add(offset, own_name(&name.to_string_lossy()));
        }
        Ok(())
    }

    fn add(&mut self, offset: DebugInfoOffset, name: String) {
        let next = self.names.len();
        let index = *self.index.entry(name.clone()).or_insert(next);
        if index == next {
            self.names.push(name);
        }
        self.own.insert(offset, index);
    }

    /// Index of the name of an entry.
    fn of(&self, offset: DebugInfoOffset) -> Option<usize> {
        let mut at = offset;
        // An entry stands for an abstract one, and that for a declaration.
        for _ in 0..4 {
            if let Some(name) = self.own.get(&at) {
                return Some(*name);
            }
            at = *self.origin.get(&at)?;
        }
        None
    }
}

fn global(unit: &Unit<Reader<'_>>, offset: UnitOffset) -> Option<DebugInfoOffset> {
    offset.to_debug_info_offset(&unit.header)
}

/// The last part of a path, without type arguments.
pub fn own_name(path: &str) -> String {
    let mut depth = 0_u32;
    let mut name = String::new();
    for letter in path.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => name.clear(),
            _ if depth == 0 => name.push(letter),
            _ => {}
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_s_own_name_is_found_in_its_path() {
        for path in [
            "fork",
            "fork<pagelab_guest::machine::Guest>",
            "pagelab_mm::user_mm::fork::<impl pagelab_mm::user_mm::UserMm<M>>::fork",
        ] {
            assert_eq!(own_name(path), "fork");
        }
    }

    #[test]
    fn the_kernel_s_functions_are_found_where_they_were_inlined() {
        for name in ["fork", "execve", "mmap", "mprotect", "handle_fault"] {
            let sites = call_sites(&Kernel::Embedded, name).unwrap();
            assert!(sites.iter().all(|site| site.start < site.end), "{name}");
            assert!(
                sites.is_sorted_by(|one, next| one.end < next.start),
                "{name}"
            );
        }
    }

    #[test]
    fn errors_name_value_and_remedy() {
        let error = |name| call_sites(&Kernel::Embedded, name).unwrap_err().to_string();
        let unknown = error("mprotct");
        assert!(unknown.contains("did you mean mprotect?"), "{unknown}");
        let many = error("load");
        assert!(many.contains("name a function that calls it"), "{many}");
        let none = call_sites(&Kernel::Bytes(b"no ELF".into()), "fork").unwrap_err();
        assert!(
            none.to_string().contains("no debugging information"),
            "{none}"
        );
    }
}
