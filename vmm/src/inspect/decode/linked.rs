//! Lists of objects with a magic number, as the guest links them.

use std::collections::BTreeSet;

use zerocopy::{FromBytes, IntoBytes};

use super::{DecodeError, Snapshot};
use crate::inspect::image::read_object;

/// A list as its head describes it.
pub(super) struct Linked {
    /// What it is called: "the list of files".
    pub(super) list: &'static str,
    /// What a member is called, without and with an article: "address_space".
    pub(super) object: [&'static str; 2],
    /// Physical address of the first member, 0 for none.
    pub(super) first: u64,
    /// Members as they are counted, and the name of that count.
    pub(super) counted: (u64, &'static str),
    /// The first word of each member.
    pub(super) magic: u64,
    /// Members that are read at most.
    pub(super) most: usize,
}

impl Snapshot<'_> {
    /// The members of a list with their addresses, in its order. `links` gives a member's magic number
    /// and the address of the next one.
    ///
    /// # Errors
    /// If one cannot be read or is none, or the list does not end or has another length than is
    /// counted.
    pub(super) fn linked<T: FromBytes + IntoBytes>(
        &self,
        list: &Linked,
        links: impl Fn(&T) -> (u64, u64),
    ) -> Result<Vec<(u64, T)>, DecodeError> {
        let wrong = |what, gpa, field, found: u64, expected: String| DecodeError::Field {
            what,
            gpa,
            field,
            found,
            expected,
        };
        let mut members = Vec::new();
        let mut seen = BTreeSet::new();
        let mut gpa = list.first;
        while gpa != 0 {
            if !seen.insert(gpa) || members.len() == list.most {
                let expected = format!("0 after at most {} different ones", list.most);
                return Err(wrong(list.list, self.state_gpa, "next", gpa, expected));
            }
            let raw: T =
                read_object(self.mem(), gpa).map_err(DecodeError::unreadable(list.object[0]))?;
            let (magic, next) = links(&raw);
            if magic != list.magic {
                let expected = format!("{:#x}", list.magic);
                return Err(wrong(list.object[1], gpa, "magic", magic, expected));
            }
            members.push((gpa, raw));
            gpa = next;
        }
        let (count, name) = list.counted;
        if count != members.len() as u64 {
            let expected = format!("{}, as the list has", members.len());
            return Err(wrong(list.list, self.state_gpa, name, count, expected));
        }
        Ok(members)
    }
}
