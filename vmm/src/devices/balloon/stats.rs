//! Memory statistics that a driver sends (section 5.5.6.3).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Counters;

/// Bytes of one entry: a 16-bit tag and a 64-bit value, packed.
pub(super) const ENTRY_LEN: usize = 10;

/// Most bytes of one buffer of statistics: room for eight times the tags that there are.
pub(super) const MAX_LEN: usize = 128 * ENTRY_LEN;

/// What a value means. Numbers and names are those of `include/uapi/linux/virtio_balloon.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum StatTag {
    /// Bytes swapped in.
    SwapIn = 0,
    /// Bytes swapped out.
    SwapOut = 1,
    /// Page faults that needed I/O.
    MajorFaults = 2,
    /// Page faults that needed none.
    MinorFaults = 3,
    /// Bytes that nothing uses.
    FreeMemory = 4,
    /// Bytes of memory in all, the balloon's share not counted.
    TotalMemory = 5,
    /// Bytes that a new program could get without swapping.
    AvailableMemory = 6,
    /// Bytes of caches that can be dropped quickly.
    DiskCaches = 7,
    /// Huge pages allocated.
    HugetlbAllocations = 8,
    /// Huge pages refused.
    HugetlbFailures = 9,
    /// Times that the OOM killer ran.
    OomKills = 10,
    /// Times that an allocation had to wait.
    AllocStalls = 11,
    /// Bytes scanned in the background.
    AsyncScans = 12,
    /// Bytes scanned by allocations themselves.
    DirectScans = 13,
    /// Bytes reclaimed in the background.
    AsyncReclaims = 14,
    /// Bytes reclaimed by allocations themselves.
    DirectReclaims = 15,
}

impl StatTag {
    /// All tags, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::SwapIn,
        Self::SwapOut,
        Self::MajorFaults,
        Self::MinorFaults,
        Self::FreeMemory,
        Self::TotalMemory,
        Self::AvailableMemory,
        Self::DiskCaches,
        Self::HugetlbAllocations,
        Self::HugetlbFailures,
        Self::OomKills,
        Self::AllocStalls,
        Self::AsyncScans,
        Self::DirectScans,
        Self::AsyncReclaims,
        Self::DirectReclaims,
    ];

    /// The tag with this number, if it is known.
    pub fn from_u16(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The name that Linux gives it (VIRTIO_BALLOON_S_NAMES).
    pub const fn name(self) -> &'static str {
        match self {
            Self::SwapIn => "swap-in",
            Self::SwapOut => "swap-out",
            Self::MajorFaults => "major-faults",
            Self::MinorFaults => "minor-faults",
            Self::FreeMemory => "free-memory",
            Self::TotalMemory => "total-memory",
            Self::AvailableMemory => "available-memory",
            Self::DiskCaches => "disk-caches",
            Self::HugetlbAllocations => "hugetlb-allocations",
            Self::HugetlbFailures => "hugetlb-failures",
            Self::OomKills => "oom-kills",
            Self::AllocStalls => "alloc-stalls",
            Self::AsyncScans => "async-scans",
            Self::DirectScans => "direct-scans",
            Self::AsyncReclaims => "async-reclaims",
            Self::DirectReclaims => "direct-reclaims",
        }
    }
}

/// The last value of each tag, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Stats(BTreeMap<&'static str, u64>);

impl Stats {
    /// The value that the driver last sent for a tag.
    pub fn get(&self, tag: StatTag) -> Option<u64> {
        self.0.get(tag.name()).copied()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(name, value)| (*name, *value))
    }

    /// True until the driver has sent something.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Numbers of the tags and their values, by name.
    pub(super) fn entries(&self) -> Vec<(u16, u64)> {
        let number = |name| StatTag::ALL.into_iter().find(|tag| tag.name() == name);
        self.iter()
            .filter_map(|(name, value)| Some((number(name)? as u16, value)))
            .collect()
    }

    /// From such entries; a number without a tag is ignored.
    pub(super) fn from_entries(entries: &[(u16, u64)]) -> Self {
        let known = entries
            .iter()
            .filter_map(|(number, value)| Some((StatTag::from_u16(*number)?.name(), *value)));
        Self(known.collect())
    }

    /// Takes one buffer over. An incomplete entry at the end is ignored.
    pub(super) fn update(&mut self, buffer: &[u8], counters: &mut Counters) {
        let (entries, _rest) = buffer.as_chunks::<ENTRY_LEN>();
        for &[t0, t1, ref value @ ..] in entries {
            match StatTag::from_u16(u16::from_le_bytes([t0, t1])) {
                Some(tag) => {
                    self.0.insert(tag.name(), u64::from_le_bytes(*value));
                }
                None => counters.unknown_stats += 1,
            }
        }
        counters.stats_updates += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn entry(tag: u16, value: u64) -> Vec<u8> {
        [tag.to_le_bytes().as_slice(), &value.to_le_bytes()].concat()
    }

    #[test]
    fn numbers_and_tags_agree() {
        for (number, tag) in (0..).zip(StatTag::ALL) {
            assert_eq!(tag as u16, number);
            assert_eq!(StatTag::from_u16(number), Some(tag));
        }
        assert_eq!(StatTag::from_u16(16), None);
    }

    #[test]
    fn values_replace_older_ones_and_unknown_tags_are_ignored() {
        let mut stats = Stats::default();
        let mut counters = Counters::default();
        let first = [entry(4, 100), entry(5, 200), entry(999, 1)].concat();
        stats.update(&first, &mut counters);
        stats.update(&entry(4, 50), &mut counters);
        stats.update(&entry(4, 7)[..9], &mut counters);
        assert_eq!(stats.get(StatTag::FreeMemory), Some(50));
        assert_eq!(stats.get(StatTag::TotalMemory), Some(200));
        assert_eq!(stats.get(StatTag::SwapIn), None);
        assert_eq!((counters.stats_updates, counters.unknown_stats), (3, 1));
        let json = serde_json::to_string(&stats).unwrap();
        assert_eq!(json, r#"{"free-memory":50,"total-memory":200}"#);
    }
}
