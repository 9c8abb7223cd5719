//! The configuration space (section 5.5.4).

use serde::{Deserialize, Serialize};

/// Bytes in it; the last two fields belong to features that are not offered, and are zero.
const LEN: usize = 16;

/// Offset of `actual`, the one field that a driver writes.
const ACTUAL: u64 = 4;

/// What driver and device tell each other, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Config {
    /// Pages that the host wants to have.
    pub(super) num_pages: u32,
    /// Pages that the driver says the balloon has.
    pub(super) actual: u32,
}

impl Config {
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) {
        let mut space = [0; LEN];
        space[..4].copy_from_slice(&self.num_pages.to_le_bytes());
        space[4..8].copy_from_slice(&self.actual.to_le_bytes());
        for (at, byte) in (0..).zip(data) {
            *byte = offset
                .checked_add(at)
                .and_then(|at| space.get(usize::try_from(at).ok()?).copied())
                .unwrap_or(0);
        }
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let mut actual = self.actual.to_le_bytes();
        for (at, byte) in (0..).zip(data) {
            if let Some(place) = offset
                .checked_add(at)
                .and_then(|at| at.checked_sub(ACTUAL))
                .and_then(|at| actual.get_mut(usize::try_from(at).ok()?))
            {
                *place = *byte;
            }
        }
        self.actual = u32::from_le_bytes(actual);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: Config = Config {
        num_pages: 0x0403_0201,
        actual: 0x0807_0605,
    };

    #[test]
    fn every_width_and_offset_reads_the_same_bytes() {
        let space = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        for width in [1, 2, 4, 8] {
            for offset in 0..40_usize {
                let mut data = vec![0xff; width];
                CONFIG.read(offset as u64, &mut data);
                for (at, byte) in data.into_iter().enumerate() {
                    let expected = space.get(offset + at).copied().unwrap_or(0);
                    assert_eq!(byte, expected, "width {width}, offset {offset}");
                }
            }
        }
    }

    #[test]
    fn a_driver_writes_actual_and_nothing_else() {
        for width in [1, 2, 4, 8] {
            for offset in 0..40_usize {
                let mut config = CONFIG;
                config.write(offset as u64, &vec![0xee; width]);
                let mut space = [1, 2, 3, 4, 5, 6, 7, 8];
                for byte in &mut space[offset.clamp(4, 8)..(offset + width).clamp(4, 8)] {
                    *byte = 0xee;
                }
                let mut data = [0; 8];
                config.read(0, &mut data);
                assert_eq!(data, space, "width {width}, offset {offset}");
            }
        }
    }

    #[test]
    fn the_last_offset_does_not_overflow() {
        let mut config = CONFIG;
        config.write(u64::MAX, &[1, 2, 3]);
        config.read(u64::MAX, &mut [0; 3]);
        assert_eq!(config, CONFIG);
    }
}
