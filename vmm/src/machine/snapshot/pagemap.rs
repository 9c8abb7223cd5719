//! Which pages of a mapping are there (Documentation/admin-guide/mm/pagemap.rst).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use pagelab_abi::PAGE_SIZE;

/// Bit 63: the page is in memory. Bit 62: it is in the host's swap.
const THERE: u64 = 1 << 63 | 1 << 62;

/// Entries that are read at once.
const BATCH: usize = 8192;

/// Calls `f` with the number of each page of `pages` from host address `start` on that is in memory or in
/// the host's swap. The others of an anonymous mapping have never been touched, or were discarded.
pub(super) fn present(start: u64, pages: u64, mut f: impl FnMut(u64)) -> io::Result<()> {
    let file = File::open("/proc/self/pagemap")?;
    let mut batch = vec![0; BATCH * 8];
    let mut next = 0;
    while next < pages {
        let wanted = (pages - next).min(BATCH as u64);
        let bytes = &mut batch[..wanted as usize * 8];
        file.read_exact_at(bytes, (start / PAGE_SIZE + next) * 8)?;
        let (entries, _rest) = bytes.as_chunks::<8>();
        for (page, entry) in (next..).zip(entries) {
            if u64::from_le_bytes(*entry) & THERE != 0 {
                f(page);
            }
        }
        next += wanted;
    }
    Ok(())
}
