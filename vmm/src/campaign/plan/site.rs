//! Names for places in the kernel: `copy_pages < fork < clone`.

use crate::machine::{
    Kernel,
    call_sites::own_name,
    crash::{Frame, functions_at},
};
use std::collections::BTreeMap;

/// Functions that a name is made of.
const DEPTH: usize = 3;

/// Sources of the allocators themselves and of the disks' driver, which are on each stack and say nothing of
/// who asked.
const ASKED: [&str; 13] = [
    "guest/src/drivers/",
    "mm/src/fault/",
    "mm/src/page_alloc/",
    "mm/src/slab/",
    "mm/src/kmalloc.rs",
    "mm/src/pcp.rs",
    "mm/src/bulk.rs",
    "mm/src/frames.rs",
    "mm/src/mm.rs",
    "mm/src/memcg/",
    "guest/src/doorbell.rs",
    "guest/src/machine.rs",
    "guest/src/memory.rs",
];

/// Names of functions by return address.
#[derive(Debug, Default)]
pub(super) struct Sites {
    functions: BTreeMap<u64, Vec<String>>,
}

impl Sites {
    /// Looks up all addresses of these stacks at once, for that reads the kernel's debugging information.
    pub(super) fn look_up<'a>(kernel: &Kernel, stacks: impl Iterator<Item = &'a [u64]>) -> Self {
        let mut addresses: Vec<u64> = stacks.flatten().copied().collect();
        addresses.sort_unstable();
        addresses.dedup();
        let functions = functions_at(kernel, &addresses);
        let names = functions.iter().map(|frames| telling(frames));
        Self {
            functions: addresses.into_iter().zip(names).collect(),
        }
    }

    /// The name of a stack, innermost function first; none if nothing is known of it.
    pub(super) fn name(&self, stack: &[u64]) -> Option<String> {
        let found = stack
            .iter()
            .filter_map(|address| self.functions.get(address));
        let mut names: Vec<&str> = Vec::new();
        for name in found.flatten() {
            if names.last() != Some(&name.as_str()) {
                names.push(name);
            }
            if names.len() == DEPTH {
                break;
            }
        }
        (!names.is_empty()).then(|| names.join(" < "))
    }
}

/// The functions that say something, by the names that `site=` takes.
fn telling(frames: &[Frame]) -> Vec<String> {
    let tells = |frame: &&Frame| {
        let place = frame.location.as_deref().unwrap_or_default();
        // What is not the guest's own is the language's.
        place.contains("guest/") && !ASKED.iter().any(|part| place.contains(part))
    };
    let names = frames.iter().filter(tells).filter_map(|frame| {
        let name = own_name(frame.function.as_deref()?);
        (!name.is_empty() && !name.contains('{')).then_some(name)
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, location: &str) -> Frame {
        Frame {
            function: Some(function.into()),
            location: Some(location.into()),
            ..Frame::default()
        }
    }

    #[test]
    fn only_functions_that_tell_something_make_a_name() {
        let found = telling(&[
            frame("should_fail<M>", "guest/mm/src/fault/mod.rs:9"),
            frame("core::option::map", "/rustc/library/core/src/option.rs:1"),
            frame("mm::fork::copy_pages<M>", "guest/mm/src/user_mm/fork.rs:7"),
            frame("fork", "guest/mm/src/user_mm/fork.rs:70"),
        ]);
        assert_eq!(found, ["copy_pages", "fork"]);
    }

    #[test]
    fn a_stack_is_named_by_its_innermost_functions() {
        let functions = [(1, vec![]), (2, vec!["a", "b"]), (3, vec!["b", "c", "d"])];
        let functions = functions.into_iter().map(|(address, names)| {
            let names = names.into_iter().map(str::to_owned).collect();
            (address, names)
        });
        let sites = Sites {
            functions: functions.collect(),
        };
        assert_eq!(sites.name(&[1, 2, 3]).as_deref(), Some("a < b < c"));
        assert_eq!(sites.name(&[1, 9]), None);
    }
}
