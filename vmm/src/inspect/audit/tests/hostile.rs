//! Memory that a hostile guest could leave: nothing panics, and everything ends.

use std::mem::offset_of;

use pagelab_abi::{
    PAGE_SIZE, VERSION, mm::MmState, percpu::PerCpu, root::Root, slab::CacheFlags, view::ViewKind,
};
use proptest::prelude::*;
use zerocopy::IntoBytes;

use crate::inspect::{
    audit::{self, Baseline},
    decode::{DecodeError, Snapshot},
    image::{ImageError, SegmentedMemory},
    proc,
    test_guest::{FRAMES, ROOT, TestGuest, TestImage},
};

/// Does everything with an image that can be done.
fn survive(image: &TestImage) {
    let results = audit::all(&image.memory, ROOT, audit::Moment::Between);
    assert!(results.iter().all(|result| !result.name.is_empty()));
    if let Ok(snapshot) = Snapshot::read(&image.memory, ROOT) {
        for kind in ViewKind::ALL {
            let _ = proc::text(&snapshot, kind);
            let _ = audit::guest_view(&snapshot, kind, "");
        }
        let _ = (audit::zones(&snapshot), audit::relief(&snapshot.vmstat));
        let _ = audit::fault_accounting(&snapshot);
        if let Ok(baseline) = Baseline::take(&snapshot) {
            let _ = audit::leak(&snapshot, &baseline);
        }
    }
}

#[test]
fn another_version_is_named_and_everything_skipped() {
    let mut image = TestGuest::new(CacheFlags::empty()).image();
    image.change_u32(ROOT + offset_of!(Root, version) as u64, |version| {
        version + 1
    });
    let results = audit::all(&image.memory, ROOT, audit::Moment::Between);
    assert!(
        results[0].violated()
            && results[0].findings[0].contains(&format!("version {}", VERSION + 1))
    );
    assert!(
        results[1..].iter().all(|it| !it.held() && !it.violated()),
        "{results:#?}"
    );

    let mut image = TestGuest::new(CacheFlags::empty()).image();
    let state = image.snapshot().state_gpa;
    image.change_u32(state, |version| version + 1);
    let error = Snapshot::read(&image.memory, ROOT).unwrap_err();
    assert!(
        matches!(error, DecodeError::Version { found, .. } if found == VERSION + 1),
        "{error}"
    );
}

#[test]
fn the_root_page_is_found_or_its_absence_told() {
    let image = TestGuest::new(CacheFlags::empty()).image();
    assert_eq!(Snapshot::find(&image.memory).unwrap().root_gpa, ROOT);
    let empty = SegmentedMemory::flat(vec![0; 1 << 20], None).unwrap();
    assert!(matches!(Snapshot::find(&empty), Err(DecodeError::NoRoot)));
    assert!(matches!(
        Snapshot::read(&empty, ROOT),
        Err(DecodeError::Root(ImageError::NoRoot { .. }))
    ));
    assert!(matches!(
        Snapshot::read(&empty, u64::MAX - 4095),
        Err(DecodeError::Root(ImageError::OutsideRam(_)))
    ));
}

#[test]
fn a_guest_that_is_not_ready_is_told_from_a_broken_one() {
    let mut image = TestGuest::new(CacheFlags::empty()).image();
    image.write(ROOT, Root::new().as_mut_bytes());
    let error = Snapshot::read(&image.memory, ROOT).unwrap_err();
    assert!(
        matches!(error, DecodeError::NotReady { root: ROOT }),
        "{error}"
    );
}

#[test]
fn structures_outside_ram_are_named() {
    for (field, name) in [
        (offset_of!(MmState, mem_map), "mem_map"),
        (offset_of!(MmState, pageblocks), "pageblock"),
        (offset_of!(MmState, percpu), "per-CPU"),
    ] {
        let mut image = TestGuest::new(CacheFlags::empty()).image();
        let gpa = image.snapshot().state_gpa + field as u64;
        for address in [1 << 40, u64::MAX - 4096, u64::from(FRAMES) * PAGE_SIZE - 8] {
            image.write(gpa, &address.to_le_bytes());
            let error = Snapshot::read(&image.memory, ROOT).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            survive(&image);
        }
    }
}

#[test]
fn counters_at_their_ends_are_survived() {
    let mut image = TestGuest::busy(CacheFlags::empty()).image();
    let state = image.snapshot().state_gpa;
    let percpu = image.u64(state + offset_of!(MmState, percpu) as u64);
    image.write(percpu, &[0xff; 2 * size_of::<PerCpu>()]);
    for clock in (ROOT..ROOT + PAGE_SIZE).step_by(8).skip(12).take(24) {
        image.write(clock, &u64::MAX.to_le_bytes());
    }
    survive(&image);
    assert!(image.audit("vmstat-consistent").violated());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The structures themselves with random words in them.
    #[test]
    fn random_words_in_the_structures_are_survived(
        writes in prop::collection::vec((0..5u8, any::<u32>(), any::<u32>(), any::<u8>()), 1..40),
    ) {
        let mut image = TestGuest::busy(CacheFlags::DEBUG).image();
        let snapshot = image.snapshot();
        let caches = snapshot.caches().unwrap();
        let map = snapshot.mem_map.gpa_of(0);
        let (state, pfns) = (snapshot.state_gpa, u64::from(FRAMES));
        drop(snapshot);
        for (what, place, value, plausible) in writes {
            let cache = &caches[place as usize % caches.len()];
            let (base, len) = match what {
                0 => (state, size_of::<MmState>() as u64),
                1 | 2 => (map, pfns * 32),
                3 => (cache.gpa, size_of::<pagelab_abi::slab::Cache>() as u64),
                _ => (ROOT, PAGE_SIZE),
            };
            let gpa = base + u64::from(place) % (len / 4) * 4;
            // Half of the values are such that they could be right.
            let value = if plausible % 2 == 0 { value } else { value % FRAMES };
            image.write(gpa, &value.to_le_bytes());
        }
        survive(&image);
    }

    /// Everything but what leads to the structures is random.
    #[test]
    fn random_memory_behind_the_state_is_survived(seed in any::<u64>(), runs in 1..64u64) {
        let mut image = TestGuest::new(CacheFlags::empty()).image();
        let map = image.snapshot().mem_map.gpa_of(0);
        let mut word = seed | 1;
        for _ in 0..runs * 64 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17);
            let gpa = map + word % (u64::from(FRAMES) * 32 / 8) * 8;
            image.write(gpa, &word.to_le_bytes());
        }
        survive(&image);
    }

    #[test]
    fn random_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 4096)) {
        let mut memory = vec![0; 16 * 4096];
        for (page, chunk) in memory.chunks_mut(4096).enumerate() {
            chunk.copy_from_slice(&bytes);
            chunk.rotate_left(page * 7);
        }
        let mut root = Root::new();
        root.mm.state = 0x3000;
        root.mm.state_size = size_of::<MmState>() as u64;
        let memory = SegmentedMemory::flat(memory, None).unwrap();
        let mut image = TestImage { memory };
        image.write(ROOT, root.as_mut_bytes());
        survive(&image);
        image.write(0x3000, &pagelab_abi::VERSION.to_le_bytes());
        survive(&image);
    }
}
