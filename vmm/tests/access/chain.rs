//! Chains of entries: what stands on the way from a test address to its frame.

use pagelab::inspect::pagetable::bits::{A, D, G, NX, P, PCD, PKEY, PS, PWT, U, W};

use crate::cpu::Features;

/// The entries for one address: flags without the address, which the address space fills in
/// unless the entry is not present.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chain {
    /// Index `level - 1`. Below the leaf they are not used.
    pub(crate) flags: [u64; 4],
    /// Level of the entry that maps the page, 1 to 3.
    pub(crate) leaf: u8,
}

/// Levels of the tables.
pub(crate) const LEVELS: usize = 4;

/// The rights that are combined in all ways.
const RIGHTS: [u64; 3] = [W, U, NX];

/// Bits that no CPU gives a meaning to in a present entry: available to software.
const SOFTWARE: u64 = 0x07f0_0000_0000_0e00;

impl Chain {
    /// A chain that gives every right.
    fn open(leaf: u8) -> Self {
        let mut chain = Self {
            flags: [P | W | U; LEVELS],
            leaf,
        };
        if leaf > 1 {
            chain.flags[leaf as usize - 1] |= PS;
        }
        chain
    }

    /// Every combination of W, U and NX at every level above and at `leaf`.
    pub(crate) fn all_rights(leaf: u8) -> Vec<Self> {
        let levels = LEVELS - (leaf as usize - 1);
        let combinations = 1u64 << (RIGHTS.len() * levels);
        let chain = |combination: u64| {
            let mut chain = Self::open(leaf);
            for (index, flags) in chain.flags[leaf as usize - 1..].iter_mut().enumerate() {
                *flags &= !(W | U);
                for (bit, right) in RIGHTS.into_iter().enumerate() {
                    if combination >> (index * RIGHTS.len() + bit) & 1 != 0 {
                        *flags |= right;
                    }
                }
            }
            chain
        };
        (0..combinations).map(chain).collect()
    }

    /// Each reserved bit and a missing P at each level, below rights of all kinds.
    pub(crate) fn malformed(features: &Features) -> Vec<Self> {
        let mut chains = Vec::new();
        for leaf in 1..=if features.model.gib_pages { 3 } else { 2 } {
            for level in leaf..=LEVELS as u8 {
                for rights in 0..1 << RIGHTS.len() {
                    let mut base = Self::open(leaf);
                    let flags = &mut base.flags[level as usize - 1];
                    for (bit, right) in RIGHTS.into_iter().enumerate() {
                        if rights >> bit & 1 != 0 {
                            *flags ^= right;
                        }
                    }
                    for change in faults_of(level, leaf, features) {
                        let mut chain = base;
                        chain.flags[level as usize - 1] ^= change;
                        chains.push(chain);
                        // A second fault below it must not be reported.
                        chain.flags[leaf as usize - 1] &= !P;
                        chains.push(chain);
                    }
                }
            }
        }
        chains
    }

    /// Entries of random bits, most of them present, from a fixed seed.
    pub(crate) fn random(features: &Features, count: usize) -> Vec<Self> {
        let mut random = SplitMix(0x5eed);
        let leaves = if features.model.gib_pages { 3 } else { 2 };
        let mut chain = || {
            let mut chain = Self::open(1 + random.below(leaves) as u8);
            let leaf = chain.leaf;
            for level in leaf..=LEVELS as u8 {
                let flags = &mut chain.flags[level as usize - 1];
                // Rights are mostly given, or hardly any access would get through four levels.
                for right in [W, U] {
                    if random.below(8) == 0 {
                        *flags &= !right;
                    }
                }
                if random.below(8) == 0 {
                    *flags |= NX;
                }
                *flags |= random.next() & (A | D | SOFTWARE | PWT);
                *flags |= random.next() & random.next() & PCD;
                *flags |= random.next() & PKEY;
                if level < LEVELS as u8 || !features.model.upper_global_reserved {
                    *flags |= random.next() & G;
                }
                match random.below(24) {
                    0 => *flags &= !P,
                    1 => {
                        let faults = faults_of(level, leaf, features);
                        *flags ^= faults[random.below(faults.len() as u64) as usize];
                    }
                    _ => {}
                }
            }
            chain
        };
        (0..count).map(|_| chain()).collect()
    }
}

/// Bits whose change makes a sound entry of `level` fault: P, and all that are reserved.
fn faults_of(level: u8, leaf: u8, features: &Features) -> Vec<u64> {
    let mut bits = vec![P];
    bits.extend((features.model.phys_bits..52).map(|bit| 1 << bit));
    if level == LEVELS as u8 || (level == 3 && !features.model.gib_pages) {
        bits.push(PS);
    }
    if level == leaf && leaf > 1 {
        let address_bits = 13..12 + 9 * (u32::from(leaf) - 1);
        bits.extend(address_bits.map(|bit| 1 << bit));
    }
    bits
}

/// The SplitMix64 generator (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
