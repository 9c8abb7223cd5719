//! Names for parts of the address space.

use pagelab_abi::{
    platform::{DIRECT_MAP, IOREMAP_BASE, KERNEL_BASE, KMAP_BASE, STACK_BASE},
    root::KernelMap,
};

/// First address of the kernel's half, at 5 levels; at 4 the half starts higher.
pub const KERNEL_HALF: u64 = 1 << 63;

/// Bytes of address space kept for each kind of window above [`DIRECT_MAP`]: the distance between
/// their bases.
const WINDOW: u64 = IOREMAP_BASE - STACK_BASE;

/// A named range of virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Name as printed, at most 13 characters.
    pub name: &'static str,
    /// First address.
    pub first: u64,
    /// Last address.
    pub last: u64,
}

/// Named ranges without overlap. Everything else has no name.
#[derive(Clone, Debug, Default)]
pub struct Regions(Vec<Region>);

impl Regions {
    /// The regions of pagelab's guest. Empty parts, as before the guest has filled in its root
    /// page, are left out, and so is what a broken guest made of them.
    pub fn of_guest(kernel: &KernelMap) -> Self {
        let image = |start: u64, end: u64| {
            KERNEL_BASE
                .checked_add(start)
                .zip(KERNEL_BASE.checked_add(end))
        };
        let direct_end = DIRECT_MAP
            .saturating_add(kernel.direct_map_end)
            .min(STACK_BASE);
        let parts = [
            ("user", Some((0, 1 << 56))),
            ("direct map", Some((DIRECT_MAP, direct_end))),
            ("stacks", Some((STACK_BASE, STACK_BASE + WINDOW))),
            ("ioremap", Some((IOREMAP_BASE, IOREMAP_BASE + WINDOW))),
            ("kmap", Some((KMAP_BASE, KMAP_BASE + WINDOW))),
            ("kernel text", image(kernel.text_start, kernel.text_end)),
            (
                "kernel rodata",
                image(kernel.rodata_start, kernel.rodata_end),
            ),
            ("kernel data", image(kernel.data_start, kernel.data_end)),
        ];
        let mut regions: Vec<Region> = Vec::new();
        for (name, range) in parts {
            let Some((first, end)) = range.filter(|(first, end)| first < end) else {
                continue;
            };
            let last = end - 1;
            if regions
                .iter()
                .all(|other| other.last < first || last < other.first)
            {
                regions.push(Region { name, first, last });
            }
        }
        regions.sort_by_key(|region| region.first);
        Self(regions)
    }

    /// The region of an address.
    pub fn find(&self, va: u64) -> Option<&Region> {
        let region = self
            .0
            .get(self.0.partition_point(|region| region.last < va))?;
        (region.first <= va).then_some(region)
    }

    /// The last address, from `va` on, that has the same name as `va`.
    pub(super) fn same_name_until(&self, va: u64) -> u64 {
        match self
            .0
            .get(self.0.partition_point(|region| region.last < va))
        {
            Some(region) if region.first <= va => region.last,
            Some(region) => region.first - 1,
            None => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_s_parts_have_names() {
        let kernel = KernelMap {
            text_start: 0x10_0000,
            text_end: 0x12_0000,
            rodata_start: 0x12_0000,
            rodata_end: 0x13_0000,
            data_start: 0x13_0000,
            data_end: 0x14_0000,
            cr3: 0,
            direct_map_end: 896 << 20,
        };
        let regions = Regions::of_guest(&kernel);
        let name = |va| regions.find(va).map(|region| region.name);
        assert_eq!(name(KERNEL_BASE + 0x11_ffff), Some("kernel text"));
        assert_eq!(name(KERNEL_BASE + 0x12_0000), Some("kernel rodata"));
        assert_eq!(name(KERNEL_BASE), None);
        assert_eq!(name(DIRECT_MAP), Some("direct map"));
        assert_eq!(name(DIRECT_MAP + (896 << 20)), None);
        assert_eq!(name(KMAP_BASE + 5), Some("kmap"));
        assert_eq!(regions.same_name_until(KERNEL_BASE), KERNEL_BASE + 0xf_ffff);
        assert_eq!(regions.same_name_until(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_broken_root_names_less() {
        let kernel = KernelMap {
            text_start: u64::MAX,
            text_end: 5,
            rodata_start: 0,
            rodata_end: u64::MAX,
            data_start: 0x1000,
            data_end: 0x800,
            cr3: 0,
            direct_map_end: u64::MAX,
        };
        let regions = Regions::of_guest(&kernel);
        assert_eq!(regions.find(KERNEL_BASE), None);
        assert_eq!(
            regions.find(DIRECT_MAP).map(|region| region.last),
            Some(STACK_BASE - 1)
        );
    }
}
