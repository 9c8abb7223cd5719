//! A request: a chain taken apart (section 5.2.6).
//!
//! ```text
//!  for the device to read                     for the device to write
//! ┌──────┬──────────┬────────┬──────────┐   ┌──────────┬────────┐
//! │ type │ reserved │ sector │ data out │   │ data in  │ status │
//! │  4   │    4     │   8    │          │   │          │   1    │
//! └──────┴──────────┴────────┴──────────┘   └──────────┴────────┘
//! ```
//!
//! Where one buffer ends and the next begins is the driver's choice (section 2.7.4.1).

use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use crate::devices::virtio::Violation;
use crate::devices::virtio::queue::{Buffers, Chain};

/// Bytes of the header.
const HEADER: u64 = 16;

/// Bytes of the status.
const STATUS: u64 = 1;

/// A part of a request's data is not in RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutsideRam;

/// Buffers as one run of bytes: address and length of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    parts: Buffers,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    /// Number of what is to be done.
    pub(super) kind: u32,
    /// First sector.
    pub(super) sector: u64,
    /// What the driver sends.
    pub(super) data_out: Run,
    /// Where the driver wants to have what it asked for.
    pub(super) data_in: Run,
    /// Where the status goes.
    status: Run,
}

impl Run {
    /// Bytes of all buffers. A chain has some thousand buffers at most: no overflow.
    pub(super) fn len(&self) -> u64 {
        self.parts.iter().map(|(_, len)| u64::from(*len)).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `at` bytes, or as many as there are, and the others.
    fn split_at(self, at: u64) -> (Self, Self) {
        let (mut first, mut rest) = (Self::default(), Self::default());
        let mut left = at;
        for (address, len) in self.parts {
            let taken = left.min(len.into()) as u32;
            left -= u64::from(taken);
            if taken > 0 {
                first.parts.push((address, taken));
            }
            if taken < len {
                // Saturated, it is outside of RAM, as the whole buffer was.
                let address = address.saturating_add(taken.into());
                rest.parts.push((address, len - taken));
            }
        }
        (first, rest)
    }

    /// Reads all of it; the caller has bounded its length.
    pub(super) fn read<M: GuestMemoryBackend>(&self, ram: &M) -> Result<Vec<u8>, OutsideRam> {
        let mut bytes = vec![0; self.len() as usize];
        let mut rest = bytes.as_mut_slice();
        for &(address, len) in &self.parts {
            let (part, more) = rest.split_at_mut(len as usize);
            ram.read_slice(part, GuestAddress(address))
                .map_err(|_| OutsideRam)?;
            rest = more;
        }
        Ok(bytes)
    }

    /// Whether all of it is in RAM.
    pub(super) fn is_in_ram<M: GuestMemoryBackend>(&self, ram: &M) -> bool {
        self.parts.iter().all(|&(address, len)| {
            GuestMemoryBackend::check_range(ram, GuestAddress(address), len as usize)
        })
    }

    /// Writes as many bytes as there are, or as there is room for.
    pub(super) fn write<M: GuestMemoryBackend>(
        &self,
        ram: &M,
        mut bytes: &[u8],
    ) -> Result<(), OutsideRam> {
        for &(address, len) in &self.parts {
            let (part, more) = bytes.split_at(bytes.len().min(len as usize));
            ram.write_slice(part, GuestAddress(address))
                .map_err(|_| OutsideRam)?;
            bytes = more;
        }
        Ok(())
    }
}

impl Request {
    /// Takes a chain apart.
    ///
    /// # Errors
    /// A buffer of the wrong direction, a header or a status that is not there or not in RAM: there
    /// is nothing to answer, or no place for it.
    pub(super) fn parse<M: GuestMemoryBackend>(chain: &Chain, ram: &M) -> Result<Self, Violation> {
        let head = chain.head();
        let (readable, writable) = chain.halves()?;
        let (header, data_out) = Run { parts: readable }.split_at(HEADER);
        let writable = Run { parts: writable };
        let room = writable.len();
        if header.len() < HEADER || room < STATUS {
            return Err(Violation::TooShort(head));
        }
        let (data_in, status) = writable.split_at(room - STATUS);
        let buffer = |run: &Run| {
            let (address, len) = run.parts[0];
            Violation::Buffer { address, len }
        };
        let bytes = header.read(ram).map_err(|OutsideRam| buffer(&header))?;
        if !status.is_in_ram(ram) {
            return Err(buffer(&status));
        }
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        Ok(Self {
            kind: word(0),
            sector: u64::from(word(8)) | u64::from(word(12)) << 32,
            data_out,
            data_in,
            status,
        })
    }

    /// Writes the status.
    pub(super) fn answer<M: GuestMemoryBackend>(&self, ram: &M, status: u8) {
        // `parse` has seen it in RAM, which does not go away.
        let _ = self.status.write(ram, &[status]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_split_keeps_every_byte_in_order(
            parts in prop::collection::vec((0u64..1 << 40, 0u32..40), 0..6), at in 0u64..200,
        ) {
            let flat = |run: &Run| -> Vec<u64> {
                let bytes = |&(a, len): &(u64, u32)| a..a + u64::from(len);
                run.parts.iter().flat_map(bytes).collect()
            };
            let run = Run { parts };
            let all = flat(&run);
            let (first, rest) = run.split_at(at);
            prop_assert_eq!(first.len(), at.min(all.len() as u64));
            prop_assert_eq!([flat(&first), flat(&rest)].concat(), all);
        }
    }
}
