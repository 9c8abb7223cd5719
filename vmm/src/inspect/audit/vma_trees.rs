//! Areas: their order, their list, their tree and its gaps.

use pagelab_abi::{
    PAGE_SIZE,
    vma::{STACK_GUARD_GAP, VmFlags},
};

use super::{Audit, Findings, Guest, Skip};
use crate::inspect::{
    decode::{Area, Snapshot},
    users::Space,
};

pub(super) const AUDIT: Audit = Audit {
    name: "vma-trees",
    checks: "areas do not overlap, and tree, list, colours and gaps are those of a balanced tree of them",
    run,
};

/// Deeper than a balanced tree of all areas that can be.
const MAX_DEPTH: u32 = 64;

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    for space in &guest.users()?.spaces {
        check_list(space, findings);
        let mut walk = Walk {
            snapshot: guest.snapshot,
            space,
            in_order: Vec::new(),
            findings,
        };
        let [root, _, _, count] = space.mm.tree();
        if root != 0 {
            walk.subtree(root, 0, true, 0);
        }
        let same = walk
            .in_order
            .iter()
            .eq(space.areas.iter().map(|area| &area.gpa));
        findings.require(same, || {
            format!("{}: tree and list have other areas", space.name)
        });
        let has = space.areas.len() as u64;
        findings.require(count == has, || {
            format!(
                "{}: {count} areas are counted, and {has} in the list",
                space.name
            )
        });
    }
    Ok(())
}

/// The list: bounds, order, no overlap, links both ways.
fn check_list(space: &Space, findings: &mut Findings) {
    let name = &space.name;
    if let Some(fault) = space.fault {
        findings.add(|| format!("{name}: {fault}"));
    }
    let bounds = space.mm.bounds();
    let mut before: Option<&Area> = None;
    for area in &space.areas {
        let (start, end) = (area.start, area.end);
        let mut require = |holds: bool, what: &str| {
            findings.require(holds, || format!("{name}: area {start:#x}-{end:#x} {what}"));
        };
        let aligned = start.is_multiple_of(PAGE_SIZE) && end.is_multiple_of(PAGE_SIZE);
        require(start < end && aligned, "is empty or not page-aligned");
        require(
            bounds.start <= start && end <= bounds.end,
            "is outside the address space",
        );
        require(
            before.is_none_or(|before| before.end <= start),
            "overlaps the one before it, or stands behind it",
        );
        require(
            area.neighbours[0] == before.map_or(0, |before| before.gpa),
            "does not link back to the one before it",
        );
        before = Some(area);
    }
    let [_, _, last, _] = space.mm.tree();
    findings.require(last == before.map_or(0, |before| before.gpa), || {
        format!("{name}: the last area is not the one that is noted")
    });
}

struct Walk<'a, 'm> {
    snapshot: &'a Snapshot<'m>,
    space: &'a Space,
    in_order: Vec<u64>,
    findings: &'a mut Findings,
}

impl Walk<'_, '_> {
    /// Walks the subtree at `gpa`; answers its black height and largest gap, none where it is
    /// broken.
    fn subtree(
        &mut self,
        gpa: u64,
        parent: u64,
        parent_is_black: bool,
        depth: u32,
    ) -> Option<(u32, u64)> {
        let name = &self.space.name;
        // A tree whose links go round has more nodes than the list.
        if depth > MAX_DEPTH || self.in_order.len() > self.space.areas.len() {
            self.findings
                .add(|| format!("{name}: the tree is too deep, or does not end"));
            return None;
        }
        let area = match self.snapshot.area(gpa) {
            Ok(area) => area,
            Err(error) => {
                self.findings
                    .add(|| format!("{name}: a link of the tree cannot be followed: {error}"));
                return None;
            }
        };
        let at = area.start;
        let mut require = |holds: bool, what: &str| {
            self.findings
                .require(holds, || format!("{name}: the node of area {at:#x} {what}"));
        };
        let is_child = area.links[2] == parent;
        require(is_child, "has another parent than the one that leads to it");
        require(
            area.black || (parent_is_black && parent != 0),
            "is red below red, or a red root",
        );
        if !is_child {
            // What hangs below it is not this tree's.
            return None;
        }
        let [left, right, _] = area.links;
        let below = |walk: &mut Self, child: u64| match child {
            0 => Some((1, 0)),
            child => walk.subtree(child, gpa, area.black, depth + 1),
        };
        let left = below(self, left);
        self.in_order.push(gpa);
        let right = below(self, right);
        let ((left_height, left_gap), (right_height, right_gap)) = (left?, right?);
        let gap = self.gap(&area).max(left_gap).max(right_gap);
        let name = &self.space.name;
        self.findings.require(left_height == right_height, || {
            format!("{name}: the node of area {at:#x} has unequal black heights below it")
        });
        self.findings.require(area.subtree_gap == gap, || {
            format!(
                "{name}: the largest gap at area {at:#x} is {gap:#x}, and noted as {:#x}",
                area.subtree_gap
            )
        });
        Some((left_height + u32::from(area.black), gap))
    }

    /// The room below an area.
    fn gap(&self, area: &Area) -> u64 {
        let place = self
            .space
            .areas
            .partition_point(|other| other.start < area.start);
        let before = place
            .checked_sub(1)
            .and_then(|place| self.space.areas.get(place));
        let end = before.map_or(self.space.mm.bounds().start, |before| before.end);
        let guard = if area.flags.contains(VmFlags::GROWSDOWN) {
            STACK_GUARD_GAP
        } else {
            0
        };
        area.start.saturating_sub(end).saturating_sub(guard)
    }
}
