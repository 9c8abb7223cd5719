//! One test for each rule.

use super::{Tree, anon, insert, with_tree};
use crate::{
    testing::VmaPool,
    vma::{Area, Backing, VmaError},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{PAGE_SIZE, vma::VmFlags};

fn refused(tree: &mut Tree<'_>, pool: &VmaPool, area: &Area) -> VmaError {
    let rejected = tree.insert(pool.alloc().unwrap(), area).unwrap_err();
    pool.free(rejected.object);
    rejected.error
}

fn areas(tree: &Tree<'_>) -> Vec<Area> {
    tree.iter().map(Area::of).collect()
}

#[test]
fn what_cannot_be_an_area_is_refused_by_name() {
    with_tree(|tree, pool| {
        insert(tree, pool, &anon(20, 24));
        let odd = Area {
            start: 20 * PAGE_SIZE + 1,
            ..anon(30, 31)
        };
        let no_file = Area {
            backing: Backing::File { file: 0, pgoff: 0 },
            ..anon(30, 31)
        };
        let page = PAGE_SIZE;
        for (area, error) in [
            (
                anon(30, 30),
                VmaError::Empty {
                    start: 30 * page,
                    end: 30 * page,
                },
            ),
            (
                odd,
                VmaError::NotAligned {
                    address: 20 * page + 1,
                },
            ),
            (
                anon(15, 17),
                VmaError::BeyondRange {
                    start: 16 * page,
                    end: 4112 * page,
                },
            ),
            (
                anon(4111, 4113),
                VmaError::BeyondRange {
                    start: 16 * page,
                    end: 4112 * page,
                },
            ),
            (
                anon(23, 30),
                VmaError::Overlap {
                    start: 20 * page,
                    end: 24 * page,
                },
            ),
            (
                anon(18, 21),
                VmaError::Overlap {
                    start: 20 * page,
                    end: 24 * page,
                },
            ),
            (
                anon(18, 30),
                VmaError::Overlap {
                    start: 20 * page,
                    end: 24 * page,
                },
            ),
            (no_file, VmaError::NoFile),
        ] {
            assert_eq!(refused(tree, pool, &area), error);
            assert_eq!(areas(tree), [anon(20, 24)]);
        }
    });
}

#[test]
fn searches_know_the_bounds_of_areas() {
    with_tree(|tree, pool| {
        for (start, end) in [(40, 44), (20, 24), (24, 30)] {
            insert(tree, pool, &anon(start, end));
        }
        let start = |vma: Option<&pagelab_abi::vma::Vma>| {
            vma.map(|vma| vma.start.load(Relaxed) / PAGE_SIZE)
        };
        for (page, find, find_vma) in [
            (19, None, Some(20)),
            (20, Some(20), Some(20)),
            (23, Some(20), Some(20)),
            (24, Some(24), Some(24)),
            (30, None, Some(40)),
            (43, Some(40), Some(40)),
            (44, None, None),
        ] {
            assert_eq!(start(tree.find(page * PAGE_SIZE)), find);
            assert_eq!(start(tree.find_vma(page * PAGE_SIZE)), find_vma);
            assert_eq!(start(tree.find_vma_again(page * PAGE_SIZE)), find_vma);
        }
        let meet =
            |from: u64, to: u64| start(tree.find_intersection(from * PAGE_SIZE, to * PAGE_SIZE));
        assert_eq!(meet(30, 40), None);
        assert_eq!(meet(30, 41), Some(40));
        assert_eq!(meet(16, 25), Some(20));
        let missing = tree.remove(31 * PAGE_SIZE).unwrap_err();
        assert_eq!(
            missing,
            VmaError::NotMapped {
                address: 31 * PAGE_SIZE
            }
        );
    });
}

#[test]
fn a_split_divides_the_backing_and_a_merge_undoes_it() {
    with_tree(|tree, pool| {
        let whole = Area {
            backing: Backing::File {
                file: 7,
                pgoff: 100,
            },
            ..anon(20, 30)
        };
        insert(tree, pool, &whole);
        tree.split(23 * PAGE_SIZE, pool.alloc().unwrap()).unwrap();
        tree.check_invariants().unwrap();
        let upper = Area::of(tree.find(25 * PAGE_SIZE).unwrap());
        assert_eq!(
            upper.backing,
            Backing::File {
                file: 7,
                pgoff: 103
            }
        );
        for (address, error) in [
            (
                23 * PAGE_SIZE,
                VmaError::Boundary {
                    address: 23 * PAGE_SIZE,
                },
            ),
            (
                30 * PAGE_SIZE,
                VmaError::NotMapped {
                    address: 30 * PAGE_SIZE,
                },
            ),
            (
                24 * PAGE_SIZE + 8,
                VmaError::NotAligned {
                    address: 24 * PAGE_SIZE + 8,
                },
            ),
        ] {
            let rejected = tree.split(address, pool.alloc().unwrap()).unwrap_err();
            assert_eq!(rejected.error, error);
            pool.free(rejected.object);
        }
        let [upper, own] = tree.merge(25 * PAGE_SIZE).unwrap();
        assert!(upper.is_none());
        pool.free(own.unwrap());
        assert_eq!(areas(tree), [whole]);
    });
}

#[test]
fn an_area_between_two_joins_both() {
    with_tree(|tree, pool| {
        for (start, end) in [(20, 24), (28, 30), (24, 28)] {
            insert(tree, pool, &anon(start, end));
        }
        for object in tree.merge(24 * PAGE_SIZE).unwrap() {
            pool.free(object.unwrap());
        }
        assert_eq!(areas(tree), [anon(20, 30)]);
    });
}

#[test]
fn areas_merge_only_if_nothing_tells_them_apart() {
    let first = anon(20, 24);
    assert!(first.can_merge(&anon(24, 28)));
    assert!(!first.can_merge(&anon(25, 28)));
    let with = |flags, backing| Area {
        flags,
        backing,
        ..anon(24, 28)
    };
    let here = anon(24, 28).backing;
    assert!(!first.can_merge(&with(VmFlags::WRITE, here)));
    assert!(first.can_merge(&with(VmFlags::READ | VmFlags::SOFTDIRTY, here)));
    assert!(!first.can_merge(&with(VmFlags::READ, here.advanced(1))));
    assert!(!first.can_merge(&with(VmFlags::READ, Backing::File { file: 1, pgoff: 24 })));
    let file = |number| Area {
        backing: Backing::File {
            file: number,
            pgoff: 20,
        },
        ..first
    };
    let next = with(VmFlags::READ, Backing::File { file: 1, pgoff: 24 });
    assert!(file(1).can_merge(&next));
    assert!(!file(2).can_merge(&next));
    let special = VmFlags::READ | VmFlags::PFNMAP;
    let before = Area {
        flags: special,
        ..first
    };
    assert!(!before.can_merge(&with(special, here)));
}

#[test]
fn a_resized_area_keeps_its_pages_in_place_and_stays_off_its_neighbours() {
    with_tree(|tree, pool| {
        for (start, end) in [(20, 24), (30, 34), (40, 44)] {
            insert(tree, pool, &anon(start, end));
        }
        let page = PAGE_SIZE;
        tree.resize(30 * page, 24 * page, 40 * page).unwrap();
        tree.check_invariants().unwrap();
        assert_eq!(areas(tree)[1], anon(24, 40));
        let error = tree.resize(30 * page, 23 * page, 40 * page).unwrap_err();
        assert_eq!(
            error,
            VmaError::Overlap {
                start: 20 * page,
                end: 24 * page
            }
        );
        let error = tree.resize(30 * page, 24 * page, 41 * page).unwrap_err();
        assert_eq!(
            error,
            VmaError::Overlap {
                start: 40 * page,
                end: 44 * page
            }
        );
        tree.resize(30 * page, 32 * page, 33 * page).unwrap();
        assert_eq!(areas(tree)[1], anon(32, 33));
    });
}
