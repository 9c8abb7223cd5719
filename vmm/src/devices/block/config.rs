//! The configuration space (section 5.2.4). A driver writes none of it.

use super::{BLOCK_SIZE, SECTOR_SIZE, SEG_MAX};

/// Bytes up to the last field that is offered; what follows is zero.
const LEN: usize = 24;

/// Reads the space of a disk of `size` bytes.
pub(super) fn read(size: u64, offset: u64, data: &mut [u8]) {
    let mut space = [0; LEN];
    space[..8].copy_from_slice(&(size / SECTOR_SIZE).to_le_bytes());
    space[12..16].copy_from_slice(&SEG_MAX.to_le_bytes());
    space[20..].copy_from_slice(&(BLOCK_SIZE as u32).to_le_bytes());
    for (at, byte) in (0..).zip(data) {
        *byte = offset
            .checked_add(at)
            .and_then(|at| space.get(usize::try_from(at).ok()?).copied())
            .unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_segments_and_block_size_are_where_drivers_look() {
        let field = |offset| {
            let mut data = [0xff; 4];
            read(0x0123_4567_8000, offset, &mut data);
            u32::from_le_bytes(data)
        };
        assert_eq!(field(0), 0x91a2_b3c0);
        assert_eq!(field(4), 0);
        assert_eq!((field(8), field(12)), (0, 126));
        assert_eq!((field(16), field(20)), (0, 4096));
        assert_eq!((field(24), field(1 << 20)), (0, 0));
        assert_eq!(field(21), 16);
        assert_eq!(field(u64::MAX - 1), 0);
    }
}
