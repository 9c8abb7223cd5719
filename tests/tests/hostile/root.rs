//! Root pages that lie.

use crate::{
    asm::Asm,
    random::Random,
    survive::{Case, survive},
};
use pagelab::{
    machine::testing::{CODE, has_kvm},
    report::{Report, Verdict},
};
use pagelab_abi::{
    PAGE_SIZE, VERSION,
    event::EventClock,
    platform::Doorbell,
    root::{MAGIC, Root},
};
use std::mem::offset_of;

/// Where the root page is in the image, behind the code.
const ROOT: u64 = CODE + 4 * PAGE_SIZE;

/// Bells in the order of an honest guest.
const BELLS: [Doorbell; 8] = [
    Doorbell::Ready,
    Doorbell::Phase,
    Doorbell::Phase,
    Doorbell::Phase,
    Doorbell::Stop,
    Doorbell::View,
    Doorbell::Phase,
    Doorbell::Done,
];

/// Code that names a root page and rings, with that page and more behind it.
fn image(asm: Asm, page: &[u8]) -> Vec<u8> {
    let mut image = asm.code;
    let at = (ROOT - CODE) as usize;
    assert!(image.len() <= at, "the code runs into the root page");
    image.resize(at, 0);
    image.extend(page);
    image
}

fn honest_calls() -> Asm {
    let mut asm = Asm::default();
    asm.root((ROOT / PAGE_SIZE) as u32);
    for (bell, phase) in BELLS.into_iter().zip([0, 1, 2, 3, 3, 3, 4, 4]) {
        let at = ROOT as usize + offset_of!(Root, progress);
        asm.store_bytes(at as u32, &u32::to_le_bytes(phase));
        asm.ring(bell);
    }
    asm.exit(0);
    asm
}

/// A page with the head of a root page and noise behind it.
fn noise(random: &mut Random, magic: [u8; 8], version: u32, size: u32) -> Vec<u8> {
    let mut page = random.bytes(4 * PAGE_SIZE as usize);
    // Much of it is 0, as it would be, or points into the image.
    for word in page.chunks_mut(8) {
        let value = match random.below(6) {
            0..=2 => continue,
            3 => 0,
            4 => ROOT + random.below(3 * PAGE_SIZE),
            _ => random.nasty(),
        };
        word.copy_from_slice(&value.to_le_bytes());
    }
    page[..8].copy_from_slice(&magic);
    page[8..12].copy_from_slice(&version.to_le_bytes());
    page[12..16].copy_from_slice(&size.to_le_bytes());
    page
}

fn must_not_hold(report: &Report) {
    assert_ne!(report.verdict, Verdict::Held, "{:?}", report.reasons);
}

#[test]
fn a_root_page_that_is_none() {
    if !has_kvm() {
        return;
    }
    let size = size_of::<Root>() as u32;
    let mut wrong = MAGIC;
    wrong[0] ^= 0x20;
    for (name, magic, version, size) in [
        ("wrong magic", wrong, VERSION, size),
        ("wrong version", MAGIC, VERSION + 1, size),
        ("wrong size", MAGIC, VERSION, size - 1),
    ] {
        let case = Case::new(name, 0);
        let page = noise(&mut Random::new(0), magic, version, size);
        must_not_hold(&survive(&case, &image(honest_calls(), &page)));
    }
}

#[test]
fn a_root_page_that_is_not_in_memory() {
    if !has_kvm() {
        return;
    }
    for pfn in [0x1000, 0xfff + 1, 0xd_0000, 0xf_ffff, 0x10_0000, u32::MAX] {
        let case = Case::new("a root page outside", pfn.into());
        let mut asm = Asm::default();
        asm.root(pfn);
        asm.ring(Doorbell::Ready);
        asm.exit(0);
        must_not_hold(&survive(&case, &asm.code));
    }
}

#[test]
fn noise_behind_a_good_head() {
    if !has_kvm() {
        return;
    }
    for seed in 0..60 {
        let case = Case::new("noise in the root page", seed);
        let page = noise(
            &mut Random::new(seed),
            MAGIC,
            VERSION,
            size_of::<Root>() as u32,
        );
        must_not_hold(&survive(&case, &image(honest_calls(), &page)));
    }
}

#[test]
fn bells_without_end() {
    if !has_kvm() {
        return;
    }
    for (seed, bell) in (0..).zip([
        Doorbell::Ready,
        Doorbell::Stop,
        Doorbell::Phase,
        Doorbell::View,
        Doorbell::Done,
        Doorbell::Idle,
        Doorbell::Batch,
    ]) {
        // The event count stands still, or goes up as if there was progress.
        for events in [false, true] {
            let case = Case::new("bells without end", seed);
            let mut asm = Asm::default();
            asm.root((ROOT / PAGE_SIZE) as u32);
            let again = asm.code.len();
            if events {
                // inc dword [clock.count]
                let count = ROOT as usize + offset_of!(Root, clock) + offset_of!(EventClock, count);
                asm.raw(&[0xff, 0x05]);
                asm.raw(&(count as u32).to_le_bytes());
            }
            asm.ring(bell);
            asm.jump_back(again);
            let mut page = vec![0; PAGE_SIZE as usize];
            page[..8].copy_from_slice(&MAGIC);
            page[8..12].copy_from_slice(&VERSION.to_le_bytes());
            page[12..16].copy_from_slice(&(size_of::<Root>() as u32).to_le_bytes());
            let report = survive(&case, &image(asm, &page));
            must_not_hold(&report);
        }
    }
}
