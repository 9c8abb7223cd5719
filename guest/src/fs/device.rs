//! Character devices: /dev/null and its kin, and the lines that a program's output goes to.

use super::line;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::errno::Errno;

/// A character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// /dev/null
    Null,
    /// /dev/zero
    Zero,
    /// /dev/full
    Full,
    /// /dev/random
    Random,
    /// /dev/urandom
    Urandom,
    /// /dev/tty, and descriptor 1 of the first process.
    Tty,
    /// Descriptor 2 of the first process.
    Stderr,
}

impl Device {
    /// Those that have a name in /dev.
    pub(super) const NAMED: [(&'static str, Self); 6] = [
        ("null", Self::Null),
        ("zero", Self::Zero),
        ("full", Self::Full),
        ("random", Self::Random),
        ("urandom", Self::Urandom),
        ("tty", Self::Tty),
    ];

    /// Major and minor number (Linux Documentation/admin-guide/devices.txt).
    pub(super) const fn numbers(self) -> (u32, u32) {
        match self {
            Self::Null => (1, 3),
            Self::Zero => (1, 5),
            Self::Full => (1, 7),
            Self::Random => (1, 8),
            Self::Urandom => (1, 9),
            Self::Tty => (5, 0),
            Self::Stderr => (5, 1),
        }
    }

    /// Whether it has positions, which all are 0.
    pub(super) const fn seeks(self) -> bool {
        !matches!(self, Self::Tty | Self::Stderr)
    }

    /// Fills `buf`, and says how much of it. The lines bring nothing.
    pub(super) fn read(self, buf: &mut [u8]) -> usize {
        match self {
            Self::Null | Self::Tty | Self::Stderr => return 0,
            Self::Zero | Self::Full => buf.fill(0),
            Self::Random | Self::Urandom => fill_random(buf),
        }
        buf.len()
    }

    /// Takes all of `buf`.
    ///
    /// # Errors
    /// ENOSPC of /dev/full.
    pub(super) fn write(self, buf: &[u8]) -> Result<usize, Errno> {
        match self {
            Self::Full => return Err(Errno::ENOSPC),
            Self::Tty => line::write(line::Line::Stdout, buf),
            Self::Stderr => line::write(line::Line::Stderr, buf),
            _ => {}
        }
        Ok(buf.len())
    }
}

/// State of the generator (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators,
/// OOPSLA 2014): a run is to be repeatable, so this is all the randomness there is.
static STATE: AtomicU64 = AtomicU64::new(0);

/// Chooses the sequence of random numbers.
pub(crate) fn seed_random(seed: u64) {
    STATE.store(seed, Relaxed);
}

/// Fills `buf` with pseudo-random bytes.
pub(crate) fn fill_random(buf: &mut [u8]) {
    for chunk in buf.chunks_mut(8) {
        let state = STATE.load(Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.store(state, Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bytes = (mixed ^ (mixed >> 31)).to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}
