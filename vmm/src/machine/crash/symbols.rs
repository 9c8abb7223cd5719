//! Names for addresses, from the kernel's ELF. Nothing is parsed before a crash.

use std::borrow::Cow;

use addr2line::{Context, demangle_auto};
use log::warn;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSymbol, SymbolKind};
use pagelab_abi::platform::KERNEL_BASE;
use schemars::JsonSchema;
use serde::Serialize;

use crate::machine::call_sites::{Reader, dwarf};
use crate::machine::kernel::Kernel;

/// Most functions inlined into one another that are shown for one address.
const MAX_INLINED: usize = 8;

/// One line of a backtrace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Frame {
    /// Address of the instruction, or of the one after the call.
    pub address: u64,
    /// Function, demangled.
    pub function: Option<String>,
    /// Bytes from the start of the function.
    pub offset: Option<u64>,
    /// Source file and line.
    pub location: Option<String>,
    /// Inlined into the next frame, which has the same address.
    pub inlined: bool,
}

/// Names the addresses: the first is that of an instruction, the others are return addresses. A
/// kernel without symbols gives frames with addresses only.
pub(super) fn symbolise(kernel: &Kernel, addresses: &[u64]) -> Vec<Frame> {
    let bytes = match kernel.contents() {
        Ok(bytes) => bytes,
        Err(error) => {
            warn!("no symbols: {kernel}: {error}");
            return unnamed(addresses);
        }
    };
    match ElfFile64::parse(&*bytes) {
        Ok(elf) => frames(&elf, addresses),
        Err(error) => {
            warn!("no symbols: {kernel}: {error}");
            unnamed(addresses)
        }
    }
}

fn unnamed(addresses: &[u64]) -> Vec<Frame> {
    let frame = |address: &u64| Frame {
        address: *address,
        ..Default::default()
    };
    addresses.iter().map(frame).collect()
}

fn frames(elf: &ElfFile64<'_>, addresses: &[u64]) -> Vec<Frame> {
    let symbols = functions(elf);
    let context = context(elf);
    let mut frames = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        // A return address may already belong to the next function or line.
        let probe = linked(&symbols, address.saturating_sub((at > 0).into()));
        let symbol = find(&symbols, probe);
        let mut found = context
            .as_ref()
            .map_or_else(Vec::new, |context| inlined_frames(context, probe));
        if found.is_empty() {
            found.push(Frame::default());
        }
        let last = found.len() - 1;
        for (depth, frame) in found.iter_mut().enumerate() {
            frame.address = *address;
            frame.inlined = depth < last;
        }
        if let Some(symbol) = symbol {
            let outermost = &mut found[last];
            outermost.offset = Some(probe + u64::from(at > 0) - symbol.address);
            if outermost.function.is_none() {
                outermost.function = Some(demangle_auto(symbol.name.into(), None).into_owned());
            }
        }
        frames.extend(found);
    }
    frames
}

struct Function<'a> {
    address: u64,
    size: u64,
    name: &'a str,
}

fn functions<'a>(elf: &ElfFile64<'a>) -> Vec<Function<'a>> {
    let mut functions: Vec<_> = elf
        .symbols()
        .filter(|symbol| symbol.is_definition() && !is_data(symbol.kind()))
        .filter_map(|symbol| {
            Some(Function {
                address: symbol.address(),
                size: symbol.size(),
                name: symbol.name().ok().filter(|name| !name.is_empty())?,
            })
        })
        .collect();
    functions.sort_by_key(|function| function.address);
    functions
}

fn is_data(kind: SymbolKind) -> bool {
    !matches!(
        kind,
        SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown
    )
}

fn find<'s, 'a>(functions: &'s [Function<'a>], address: u64) -> Option<&'s Function<'a>> {
    let at = functions.partition_point(|function| function.address <= address);
    let function = &functions[at.checked_sub(1)?];
    // Assembly labels have no size; they reach up to the next symbol.
    let inside = function.size == 0 || address - function.address < function.size;
    inside.then_some(function)
}

/// The address at which the kernel is linked: before paging is on it runs at physical addresses.
fn linked(functions: &[Function<'_>], address: u64) -> u64 {
    match address.checked_add(KERNEL_BASE) {
        Some(high) if find(functions, address).is_none() && find(functions, high).is_some() => high,
        _ => address,
    }
}

fn context<'a>(elf: &ElfFile64<'a>) -> Option<Context<Reader<'a>>> {
    Context::from_dwarf(dwarf(elf)).ok()
}

fn inlined_frames(context: &Context<Reader<'_>>, probe: u64) -> Vec<Frame> {
    let mut found = Vec::new();
    let Ok(mut frames) = context.find_frames(probe).skip_all_loads() else {
        return found;
    };
    while let Ok(Some(frame)) = frames.next() {
        let function = frame.function.as_ref();
        found.push(Frame {
            function: function.and_then(|name| name.demangle().ok().map(Cow::into_owned)),
            location: frame.location.and_then(|location| {
                let line = location
                    .line
                    .map_or(String::new(), |line| format!(":{line}"));
                location.file.map(|file| format!("{file}{line}"))
            }),
            ..Default::default()
        });
        if found.len() == MAX_INLINED {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_symbols_gives_addresses() {
        for kernel in [
            Kernel::Bytes(b"not an elf".into()),
            Kernel::Path("/no/such".into()),
        ] {
            let frames = symbolise(&kernel, &[1, 2]);
            assert_eq!(frames, unnamed(&[1, 2]));
        }
    }

    #[test]
    fn names_a_function_of_this_very_program() {
        let path = std::env::current_exe().unwrap();
        let bytes = std::fs::read(path).unwrap();
        let elf = ElfFile64::parse(&*bytes).unwrap();
        let symbols = functions(&elf);
        let name = "names_a_function_of_this_very_program";
        let this = symbols
            .iter()
            .find(|symbol| symbol.name.contains(name))
            .unwrap();
        let frames = frames(&elf, &[this.address, this.address + 1]);
        let outer: Vec<_> = frames.iter().filter(|frame| !frame.inlined).collect();
        assert_eq!(outer.len(), 2);
        assert!(
            outer[0].function.as_ref().unwrap().contains(name),
            "{frames:?}"
        );
        assert_eq!((outer[0].offset, outer[1].offset), (Some(0), Some(1)));
        assert!(outer[0].location.as_ref().unwrap().contains("symbols.rs:"));
    }
}
