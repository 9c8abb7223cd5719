//! The planted bugs, how each is brought to light, and what is to be found.

use super::hunt;
use pagelab_mm::mutation::Mutation;
use serde_json::Value;

/// A planted bug.
pub(super) struct Bug {
    pub(super) name: &'static str,
    /// What `programs/undo.c` does.
    does: &'static str,
    /// What goes wrong: the lines of `[[fault]]`.
    fault: &'static str,
    /// More of `[machine]`.
    machine: &'static str,
    /// Lines of `[explore]`.
    explore: &'static str,
    /// What becomes of it.
    pub(super) class: &'static str,
    /// The audit that finds it, or what the guest says when it panics.
    pub(super) what: &'static str,
    /// Whether it is hunted in the emulated machine.
    pub(super) is_sample: bool,
}

const CLOSELY: &str = "audit-every = 1";
const SWAP: &str = "swap = '16M'";

impl Bug {
    /// The experiment file.
    pub(super) fn experiment(&self) -> String {
        let Self {
            name,
            does,
            fault,
            machine,
            explore,
            ..
        } = self;
        format!(
            "title = '{name}'\n[machine]\nmemory = '16M'\nkernel = 'mutant'\n\
             append = 'mutation={name}'\n{machine}\n[workload]\nprogram = ['./undo', '{does}']\n\
             [[fault]]\n{fault}\n[explore]\n{explore}\n"
        )
    }

    /// Whether a record is of the class, and names what finds the bug.
    pub(super) fn shows_in(&self, record: &Value) -> bool {
        let named = |list: &Value, key: fn(&Value) -> &Value| {
            let mut all = list.as_array().into_iter().flatten();
            all.any(|it| {
                key(it)
                    .as_str()
                    .is_some_and(|text| text.contains(self.what))
            })
        };
        record["class"] == self.class
            && (named(&record["audits"], |audit| &audit["name"])
                || named(&record["reasons"], |reason| reason))
    }
}

macro_rules! bugs {
    ($($test:ident: $name:literal, $does:literal, $fault:expr, $machine:expr, $explore:expr,
       $class:literal, $what:literal, $sample:literal;)+) => {
        const NAMES: &[&str] = &[$($name),+];

        $(
            #[test]
            fn $test() {
                hunt(&Bug {
                    name: $name,
                    does: $does,
                    fault: $fault,
                    machine: $machine,
                    explore: $explore,
                    class: $class,
                    what: $what,
                    is_sample: $sample,
                });
            }
        )+
    };
}

bugs! {
    fork_does_not_undo_what_it_copied: "fork-undo", "copies",
        "kind = 'fail_page_alloc'\nsite = 'fork'\nnth = '2..3'", "", "",
        "corruption", "nothing-left", true;
    a_store_without_memory_for_a_copy_goes_to_the_shared_page: "cow-reuse", "copies",
        "kind = 'fail_page_alloc'\nsite = 'copy_to_own'\nnth = '1..3'", "", CLOSELY,
        "corruption", "cow-unshared", false;
    a_watermark_is_one_page_lower: "watermark-off-by-one", "copies",
        "kind = 'fail_page_alloc'\nsite = 'fork'\nnth = 1", "", "",
        "corruption", "watermarks", false;
    a_page_of_a_file_keeps_a_reference: "refcount-leak", "private-file",
        "kind = 'fail_page_alloc'\nsite = 'copy_of_file_page'\nnth = '5'", "", "",
        "corruption", "leak", false;
    a_copy_that_is_not_mapped_is_counted: "rss-leak", "private-file",
        "kind = 'fail_page_alloc'\nsite = 'copy_of_file_page'\nnth = '5..6'", "", CLOSELY,
        "corruption", "rss-counters", false;
    an_object_is_freed_twice: "slab-double-free", "rights",
        "kind = 'failslab'\nsite = 'isolate'\nnth = '1..2'", "", "",
        "crash", "free", true;
    rights_are_changed_by_a_call_that_fails: "mprotect-undo", "rights",
        "kind = 'failslab'\nsite = 'isolate'\nnth = '1..2'", "", CLOSELY,
        "corruption", "user-pages-in-areas", false;
    a_flush_is_lost: "lost-tlb-flush", "areas",
        "kind = 'failslab'\nsite = 'isolate'\nnth = '2..3'", "", CLOSELY,
        "corruption", "tlb-flushes", true;
    a_new_program_s_memory_is_not_given_back: "exec-undo", "program",
        "kind = 'fail_page_alloc'\nsite = 'execve'\nnth = '5..6'", "", "",
        "corruption", "nothing-left", false;
    a_page_that_cannot_be_swapped_keeps_a_reference: "swap-write-leak", "swap",
        "kind = 'swap_io'\nrw = 'write'\nnth = 1", SWAP, "",
        "corruption", "page-references", false;
    a_slot_that_cannot_be_read_is_used_again: "swap-slot-reuse", "swap",
        "kind = 'swap_io'\nrw = 'read'\nprobability = 100\ntimes = 8", SWAP, "",
        "corruption", "swap-entries", false;
    a_store_to_a_file_is_lost: "lost-dirty", "hole",
        "kind = 'fail_page_alloc'\nsite = 'page_mkwrite'\nnth = 1", "disk = '4M'", CLOSELY,
        "corruption", "page-cache-store", false;
}

#[test]
fn each_is_hunted() {
    assert_eq!(NAMES.len(), 12);
    for mutation in Mutation::ALL {
        assert!(NAMES.contains(&mutation.name()), "{mutation}");
    }
}
