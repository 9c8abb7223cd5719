//! Walking the free lists of the zones.

use std::fmt;

use pagelab_abi::page::{MigrateType, NONE, PageFlags};

use super::{Snapshot, Zone, mem_map::Descriptor};

/// Which free list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListId {
    /// Name of the zone.
    pub zone: &'static str,
    /// Order of the blocks.
    pub order: u32,
    /// Migrate type of the blocks.
    pub migrate: MigrateType,
}

impl fmt::Display for ListId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { zone, order, .. } = self;
        write!(f, "zone {zone} order {order} {}", self.migrate.name())
    }
}

/// What is wrong with a list. All but [`Tail`](Self::Tail) and [`Count`](Self::Count) end the walk,
/// because what follows cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFault {
    /// A link leads to a frame that the zone does not have or whose descriptor is not valid.
    Outside {
        /// The link's value.
        pfn: u32,
        /// The member whose `next` it is; [`NONE`] for the head.
        from: u32,
    },
    /// The `prev` of a member is not the one before it. Loops end here.
    BackLink {
        /// The member.
        pfn: u32,
        /// Its `prev`.
        prev: u32,
        /// The one before it.
        from: u32,
    },
    /// The descriptor of a member says that it belongs elsewhere.
    Stranger {
        /// The member.
        pfn: u32,
        /// Its packed flags, order, zone and migrate type.
        word: u32,
    },
    /// A member is not aligned to its order.
    Unaligned {
        /// The member.
        pfn: u32,
    },
    /// The list's tail is not its last member.
    Tail {
        /// The tail in the list's head.
        tail: u32,
        /// The last member.
        last: u32,
    },
    /// The list's count is not the number of its members.
    Count {
        /// The count in the list's head.
        count: u32,
        /// Members.
        members: u64,
    },
}

/// A pfn for people: the end of a list has none.
struct Link(u32);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            NONE => f.write_str("none"),
            pfn => write!(f, "pfn {pfn:#x}"),
        }
    }
}

impl fmt::Display for ListFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Outside { pfn, from: NONE } => {
                write!(f, "its head is pfn {pfn:#x}, which the zone does not have")
            }
            Self::Outside { pfn, from } => write!(
                f,
                "pfn {from:#x} links to pfn {pfn:#x}, which the zone does not have"
            ),
            Self::BackLink { pfn, prev, from } => write!(
                f,
                "pfn {pfn:#x} comes after {} and links back to {}",
                Link(from),
                Link(prev)
            ),
            Self::Stranger { pfn, word } => write!(
                f,
                "pfn {pfn:#x} is in it, but its descriptor says {}",
                Described(word)
            ),
            Self::Unaligned { pfn } => write!(f, "pfn {pfn:#x} is not aligned to the order"),
            Self::Tail { tail, last } => {
                write!(
                    f,
                    "its tail is {}, its last member {}",
                    Link(tail),
                    Link(last)
                )
            }
            Self::Count { count, members } => {
                write!(f, "it counts {count} blocks and has {members}")
            }
        }
    }
}

/// A packed descriptor word in words.
pub(in crate::inspect) struct Described(pub(in crate::inspect) u32);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use pagelab_abi::page::{flags_of, migrate_of, order_of, zone_of};
        let flags = flags_of(self.0);
        let names: Vec<_> = flags.iter_names().map(|(name, _)| name).collect();
        let unknown = flags.bits() & !PageFlags::all().bits();
        match (names.is_empty(), unknown) {
            (true, 0) => f.write_str("no flag")?,
            (false, 0) => f.write_str(&names.join(" | "))?,
            _ => write!(f, "flags {:#x}", flags.bits())?,
        }
        write!(f, ", order {}, zone {}", order_of(self.0), zone_of(self.0))?;
        match MigrateType::from_u32(migrate_of(self.0)) {
            Some(migrate) => write!(f, ", {}", migrate.name()),
            None => write!(f, ", migrate type {}", migrate_of(self.0)),
        }
    }
}

impl Snapshot<'_> {
    /// Walks a free list, calls `visit` with each sound member and `fault` with whatever is wrong.
    /// Ends after at most as many steps as the zone has frames.
    pub fn walk_free_list(
        &self,
        zone: &Zone,
        order: u32,
        migrate: MigrateType,
        mut visit: impl FnMut(u32, &Descriptor),
        mut fault: impl FnMut(ListFault),
    ) {
        let list = zone.list(order, migrate);
        let (mut from, mut at, mut members) = (NONE, list.head, 0);
        while at != NONE {
            match self.free_list_member(zone, order, migrate, at, from) {
                Ok(member) => {
                    visit(at, &member);
                    members += 1;
                    from = at;
                    at = member.next;
                }
                Err(found) => return fault(found),
            }
        }
        if list.tail != from {
            fault(ListFault::Tail {
                tail: list.tail,
                last: from,
            });
        }
        if u64::from(list.count) != members {
            fault(ListFault::Count {
                count: list.count,
                members,
            });
        }
    }

    /// The descriptor of a member, if it is one. The check of `prev` makes loops impossible: the
    /// first member to be met twice would need two different predecessors.
    fn free_list_member(
        &self,
        zone: &Zone,
        order: u32,
        migrate: MigrateType,
        pfn: u32,
        from: u32,
    ) -> Result<Descriptor, ListFault> {
        let member = zone
            .pfns()
            .contains(&pfn)
            .then(|| self.descriptor(pfn))
            .flatten()
            .ok_or(ListFault::Outside { pfn, from })?;
        if member.prev != from {
            return Err(ListFault::BackLink {
                pfn,
                prev: member.prev,
                from,
            });
        }
        let belongs = member.flags() - PageFlags::REPORTED == PageFlags::BUDDY
            && member.order() == order
            && member.zone() as usize == zone.index
            && member.migrate() == migrate as u32;
        if !belongs {
            return Err(ListFault::Stranger {
                pfn,
                word: member.word,
            });
        }
        if !pfn.is_multiple_of(1 << order) {
            return Err(ListFault::Unaligned { pfn });
        }
        Ok(member)
    }
}
