//! Pages that go to swap and come back, and all calls that meet entries of such pages.

mod ahead;
mod batch;
mod calls;
mod errors;
mod out;
mod shared;

use super::{
    MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use crate::{swap::SwapEntry, testing::TestMachine, user_mm::UserMm};
use pagelab_abi::mman::MADV_PAGEOUT;

const AT: u64 = 0x40_0000;
const PAGES: u64 = 4;

/// A program with content in all pages of an area at [`AT`].
fn filled(world: &World) -> UserMm<TestMachine> {
    let mut user = world.user();
    switch(world.mm().machine());
    let request = MmapRequest::anonymous(PAGES * PAGE, RW).fixed(AT);
    user.mmap(&request).unwrap();
    for page in 0..PAGES {
        store(&mut user, AT + page * PAGE, 1 + page as u8).unwrap();
    }
    user
}

fn page_out(user: &mut UserMm<TestMachine>) {
    user.madvise(AT, PAGES * PAGE, MADV_PAGEOUT).unwrap();
}

/// A program all of whose pages are in swap.
fn swapped(world: &World) -> UserMm<TestMachine> {
    let mut user = filled(world);
    page_out(&mut user);
    assert_eq!((user.resident(), user.swapped()), (0, PAGES));
    check(world.mm(), &mut [&mut user]);
    user
}

fn content(user: &mut UserMm<TestMachine>, at: u64) {
    for page in 0..PAGES {
        assert_eq!(load(user, at + page * PAGE), Ok(1 + page as u8), "{page}");
    }
}

/// The slot that the entry of an address leads to.
fn slot(user: &UserMm<TestMachine>, at: u64) -> Option<SwapEntry> {
    user.tables().get(at).swap_entry()
}

fn requests(world: &World) -> u64 {
    world.mm().machine().disk().requests()
}
