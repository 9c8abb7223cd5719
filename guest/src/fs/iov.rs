//! The pieces of a program's memory that a read or write is about.

use super::{object::Bytes, user::Program};
use pagelab_abi::{errno::Errno, pte::USER_END};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Most pieces of one call (Linux: `UIO_MAXIOV`).
const MAX_PIECES: u64 = 1024;

/// Most bytes of one call (Linux: `MAX_RW_COUNT`).
const MAX_BYTES: u64 = 0x7fff_f000;

/// A piece, as in C's `struct iovec`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Piece {
    at: u64,
    len: u64,
}

/// Where the pieces are listed.
enum Pieces {
    One(Piece),
    Many(Bytes),
}

impl Pieces {
    fn get(&self, index: usize) -> Option<Piece> {
        match self {
            Self::One(piece) => (index == 0).then_some(*piece),
            Self::Many(bytes) => {
                let at = index * size_of::<Piece>();
                Piece::read_from_bytes(bytes.get(at..at + size_of::<Piece>())?).ok()
            }
        }
    }
}

/// The pieces, and how much of them is done.
pub(super) struct Transfer<'a> {
    program: &'a mut dyn Program,
    pieces: Pieces,
    total: usize,
    done: usize,
    /// The piece that is being worked on, and how much of it is done.
    index: usize,
    within: u64,
}

impl<'a> Transfer<'a> {
    /// One piece.
    pub(super) fn single(program: &'a mut dyn Program, at: u64, len: u64) -> Self {
        let len = len.min(MAX_BYTES);
        Self {
            program,
            pieces: Pieces::One(Piece { at, len }),
            total: len as usize,
            done: 0,
            index: 0,
            within: 0,
        }
    }

    /// The pieces that an array of `struct iovec` names.
    ///
    /// # Errors
    /// EINVAL, EFAULT, ENOMEM.
    pub(super) fn vector(program: &'a mut dyn Program, at: u64, count: u64) -> Result<Self, Errno> {
        if count > MAX_PIECES {
            return Err(Errno::EINVAL);
        }
        let mut list = Bytes::zeroed(count as usize * size_of::<Piece>())?;
        program.load(at, &mut list).map_err(|_| Errno::EFAULT)?;
        let pieces = Pieces::Many(list);
        let mut total: u64 = 0;
        for index in 0..count as usize {
            let len = pieces.get(index).map_or(0, |piece| piece.len);
            if len > i64::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            total = total.saturating_add(len).min(MAX_BYTES);
        }
        Ok(Self {
            program,
            pieces,
            total: total as usize,
            done: 0,
            index: 0,
            within: 0,
        })
    }

    /// Whether the one piece could be a program's at all (Linux: `access_ok`). Pieces of a list are
    /// looked at when their turn comes.
    ///
    /// # Errors
    /// EFAULT.
    pub(super) fn check(&self) -> Result<(), Errno> {
        match self.pieces {
            Pieces::One(piece) if piece.at.saturating_add(piece.len) > USER_END => {
                Err(Errno::EFAULT)
            }
            _ => Ok(()),
        }
    }

    /// Bytes of all pieces.
    pub(super) const fn total(&self) -> usize {
        self.total
    }

    /// Bytes that are done.
    pub(super) const fn done(&self) -> usize {
        self.done
    }

    /// Bytes that are not.
    pub(super) const fn left(&self) -> usize {
        self.total - self.done
    }

    /// What is done from the start, or was at an earlier time.
    pub(super) fn skip(&mut self, bytes: usize) {
        let bytes = bytes.min(self.left());
        self.done += bytes;
        self.within += bytes as u64;
        while let Some(piece) = self.pieces.get(self.index)
            && self.within >= piece.len
        {
            self.within -= piece.len;
            self.index += 1;
        }
    }

    /// The next place, and how many bytes of `len` are there.
    fn next(&mut self, len: usize) -> Option<(u64, usize)> {
        self.skip(0);
        let piece = self.pieces.get(self.index)?;
        let here = (piece.len - self.within)
            .min(len as u64)
            .min(self.left() as u64);
        Some((piece.at.wrapping_add(self.within), here as usize))
    }

    /// Copies the program's next bytes, which stay undone until [`Self::skip`]. How many there were.
    ///
    /// # Errors
    /// EFAULT if not one byte could be copied.
    pub(super) fn peek(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        let Some((at, len)) = self.next(buf.len()) else {
            return Ok(0);
        };
        match self.program.load(at, &mut buf[..len]) {
            Ok(()) => Ok(len),
            Err(0) => Err(Errno::EFAULT),
            Err(copied) => Ok(copied.min(len)),
        }
    }

    /// Copies bytes to the program, which are done then. How many there were.
    ///
    /// # Errors
    /// EFAULT if not one byte could be copied.
    pub(super) fn give(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let mut given = 0;
        while given < bytes.len() {
            let Some((at, len)) = self.next(bytes.len() - given) else {
                break;
            };
            if len == 0 {
                break;
            }
            let stored = self.program.store(at, &bytes[given..given + len]);
            let copied = stored.map_or_else(|copied| copied.min(len), |()| len);
            self.skip(copied);
            given += copied;
            if stored.is_err() {
                break;
            }
        }
        if given == 0 && !bytes.is_empty() {
            return Err(Errno::EFAULT);
        }
        Ok(given)
    }

    /// The program's memory, for other things.
    pub(super) fn program(&mut self) -> &mut dyn Program {
        self.program
    }
}
