//! The search for room.

use super::{anon, insert, with_tree};
use crate::vma::{Area, Direction, GapRequest, VmaError};
use pagelab_abi::{PAGE_SIZE, vma::VmFlags};

fn request(len: u64, direction: Direction) -> GapRequest {
    GapRequest {
        len: len * PAGE_SIZE,
        align: PAGE_SIZE,
        low: 0,
        high: !(PAGE_SIZE - 1),
        direction,
    }
}

#[test]
fn room_is_found_from_both_ends_and_within_bounds() {
    with_tree(|tree, pool| {
        let find = |tree: &super::Tree<'_>, request: &GapRequest| {
            tree.find_gap(request)
                .unwrap()
                .map(|start| start / PAGE_SIZE)
        };
        let (top, bottom) = (Direction::TopDown, Direction::BottomUp);
        assert_eq!(find(tree, &request(4096, top)), Some(16));
        assert_eq!(find(tree, &request(4097, top)), None);
        for (start, end) in [(20, 30), (34, 40), (48, 4110)] {
            insert(tree, pool, &anon(start, end));
        }
        for (len, highest, lowest) in [
            (1, Some(4111), Some(16)),
            (2, Some(4110), Some(16)),
            (4, Some(44), Some(16)),
            (5, Some(43), Some(40)),
            (8, Some(40), Some(40)),
            (9, None, None),
        ] {
            assert_eq!(find(tree, &request(len, top)), highest);
            assert_eq!(find(tree, &request(len, bottom)), lowest);
        }
        let bounded = |low: u64, high: u64, direction| GapRequest {
            low: low * PAGE_SIZE,
            high: high * PAGE_SIZE,
            ..request(3, direction)
        };
        assert_eq!(find(tree, &bounded(17, 45, top)), Some(42));
        assert_eq!(find(tree, &bounded(18, 45, bottom)), Some(30));
        assert_eq!(find(tree, &bounded(18, 32, bottom)), None);
        assert_eq!(find(tree, &bounded(32, 42, top)), None);
        assert_eq!(find(tree, &bounded(45, 20, top)), None);
        let aligned = GapRequest {
            align: 4 * PAGE_SIZE,
            ..request(4, top)
        };
        assert_eq!(find(tree, &aligned), Some(44));
    });
}

#[test]
fn nothing_is_found_right_below_a_stack() {
    with_tree(|tree, pool| {
        let stack = Area {
            flags: VmFlags::READ | VmFlags::GROWSDOWN,
            ..anon(1000, 4112)
        };
        insert(tree, pool, &stack);
        let highest = |tree: &super::Tree<'_>| tree.find_gap(&request(1, Direction::TopDown));
        assert_eq!(highest(tree), Ok(Some((1000 - 256 - 1) * PAGE_SIZE)));
        tree.set_flags(stack.start, VmFlags::READ).unwrap();
        assert_eq!(highest(tree), Ok(Some(999 * PAGE_SIZE)));
    });
}

#[test]
fn a_request_that_makes_no_sense_is_an_error() {
    with_tree(|tree, _| {
        let good = request(1, Direction::TopDown);
        let page = PAGE_SIZE;
        let error = |request| tree.find_gap(&request).unwrap_err();
        assert_eq!(
            error(GapRequest { len: 0, ..good }),
            VmaError::Empty { start: 0, end: 0 }
        );
        let address = 3 * page;
        assert_eq!(
            error(GapRequest {
                align: address,
                ..good
            }),
            VmaError::NotAligned { address }
        );
        assert_eq!(
            error(GapRequest { align: 0, ..good }),
            VmaError::NotAligned { address: 0 }
        );
        assert_eq!(
            error(GapRequest { low: 5, ..good }),
            VmaError::NotAligned { address: 5 }
        );
        let huge = GapRequest {
            len: 0u64.wrapping_sub(page),
            align: 1 << 21,
            ..good
        };
        assert_eq!(tree.find_gap(&huge), Ok(None));
    });
}
