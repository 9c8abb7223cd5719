//! The host's texts against the guest's own, and against texts of Linux.

use pagelab_abi::{slab::CacheFlags, view::ViewKind};

use super::text;
use crate::inspect::{audit::guest_view, test_guest::TestGuest};

/// What the memory manager itself writes.
pub(in crate::inspect) fn guest_text(guest: &TestGuest, kind: ViewKind) -> String {
    let mut text = String::new();
    let mm = &guest.mm;
    match kind {
        ViewKind::Buddyinfo => mm.buddyinfo(&mut text),
        ViewKind::Zoneinfo => mm.zoneinfo(&mut text),
        ViewKind::Slabinfo => mm.slabinfo(&mut text),
        ViewKind::Meminfo => mm.meminfo(&mut text),
        ViewKind::Vmstat => mm.vmstat(&mut text),
        ViewKind::Pagetypeinfo => mm.pagetypeinfo(&mut text),
    }
    .unwrap();
    text
}

#[test]
fn the_host_writes_what_the_guest_writes() {
    for guest in [
        TestGuest::new(CacheFlags::empty()),
        TestGuest::busy(CacheFlags::DEBUG),
    ] {
        let image = guest.image();
        for kind in ViewKind::ALL {
            let host = text(&image.snapshot(), kind).unwrap();
            assert_eq!(host, guest_text(&guest, kind), "{}", kind.name());
            assert!(host.lines().count() > 2);
        }
    }
}

#[test]
fn the_audit_names_the_first_line_that_differs() {
    let guest = TestGuest::busy(CacheFlags::empty());
    let image = guest.image();
    let snapshot = image.snapshot();
    for kind in ViewKind::ALL {
        let own = guest_text(&guest, kind);
        assert!(guest_view(&snapshot, kind, &own).held());
        let changed = own.replacen('0', "7", 1);
        let result = guest_view(&snapshot, kind, &changed);
        assert!(result.violated(), "{}", kind.name());
        assert!(result.findings[0].starts_with("line "), "{result:?}");
        let cut = &own[..own.len() - 1];
        assert!(guest_view(&snapshot, kind, cut).violated());
    }
}

/// Lines of a text without their numbers: runs of digits and the spaces before them become `#`.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            let kept = shape.trim_end_matches(['#', ' ']).len();
            shape.truncate(kept);
            shape.push('#');
        } else {
            shape.push(c);
        }
    }
    shape
}

#[test]
fn lines_look_like_those_of_linux() {
    // The numbers do not matter.
    let linux = [
        (
            ViewKind::Buddyinfo,
            "Node 0, zone      DMA      0      0      0      0      0      0      0      0      1      1      3 \n",
        ),
        (
            ViewKind::Zoneinfo,
            "  pages free     3840\n        boost    0\n        min      37\n        low      46\n        high     55\n        spanned  4095\n        present  3998\n        managed  3840\n        cma      0\n",
        ),
        // Before 6.7 these had no `high_min` and `high_max`, and less space.
        (
            ViewKind::Zoneinfo,
            "  pagesets\n    cpu: 0\n              count: 63\n              high:  4725\n              batch: 63\n",
        ),
        (
            ViewKind::Zoneinfo,
            "  node_unreclaimable:  0\n  start_pfn:           1\nNode 0, zone   Normal\n",
        ),
        (
            ViewKind::Meminfo,
            "MemTotal:       24684096 kB\nMemFree:        22912852 kB\nMemAvailable:   24139796 kB\nBuffers:            4856 kB\n",
        ),
        (
            ViewKind::Vmstat,
            "nr_slab_reclaimable 35380\nnr_slab_unreclaimable 7789\n",
        ),
        (
            ViewKind::Slabinfo,
            "kmalloc-64          4096   4096     64   64    1 : tunables    0    0    0 : slabdata     64     64      0\n",
        ),
        (
            ViewKind::Pagetypeinfo,
            "Node    0, zone      DMA, type    Unmovable      0      0      0      0      0      0      0      0      1      0      0 \n",
        ),
        (
            ViewKind::Pagetypeinfo,
            "Node 0, zone      DMA            1            7            0            0 \n",
        ),
    ];
    let guest = TestGuest::busy(CacheFlags::empty());
    let image = guest.image();
    for (kind, lines) in linux {
        let host = text(&image.snapshot(), kind).unwrap();
        assert!(
            shape(&host).contains(&shape(lines)),
            "{}:\n{host}",
            kind.name()
        );
    }
}
