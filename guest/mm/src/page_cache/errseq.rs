//! Errors of writing that reach everybody who asks, once (Linux lib/errseq.c).
//!
//! A word holds the latest error, whether somebody has seen it, and how many there were that somebody
//! saw before. Who asks compares it with the word as it was when he asked last.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The bits of the error's number (Linux: `MAX_ERRNO`).
const ERRNO: u32 = 0xfff;

/// Somebody has seen the error (Linux: `ERRSEQ_SEEN`).
const SEEN: u32 = ERRNO + 1;

/// One in the count of errors (Linux: `ERRSEQ_CTR_INC`).
const ONE: u32 = SEEN << 1;

/// Notes an error by its number, 1 to 4095.
pub(super) fn set(word: &AtomicU32, errno: u32) {
    let old = word.load(Relaxed);
    let new = (old & !(ERRNO | SEEN)) | errno & ERRNO;
    let new = if old & SEEN != 0 {
        new.wrapping_add(ONE)
    } else {
        new
    };
    word.store(new, Relaxed);
}

/// Where somebody stands who begins to be interested. An error that nobody has seen yet is his, too.
pub(super) fn sample(word: &AtomicU32) -> u32 {
    let now = word.load(Relaxed);
    if now & SEEN == 0 { 0 } else { now }
}

/// The error since `since`, if there was one, which moves on.
pub(super) fn check_and_advance(word: &AtomicU32, since: &AtomicU32) -> Option<u32> {
    let old = word.load(Relaxed);
    if old == since.load(Relaxed) {
        return None;
    }
    let new = old | SEEN;
    word.store(new, Relaxed);
    since.store(new, Relaxed);
    Some(new & ERRNO).filter(|errno| *errno != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_reaches_everybody_once() {
        let word = AtomicU32::new(0);
        let [early, other] = [(); 2].map(|()| AtomicU32::new(sample(&word)));
        assert_eq!(check_and_advance(&word, &early), None);
        set(&word, 5);
        assert_eq!(check_and_advance(&word, &early), Some(5));
        assert_eq!(check_and_advance(&word, &early), None);
        // Seen already, so it is not for who comes now.
        let late = AtomicU32::new(sample(&word));
        assert_eq!(check_and_advance(&word, &late), None);
        assert_eq!(check_and_advance(&word, &other), Some(5));
        // The same error again is another one.
        set(&word, 5);
        for who in [&early, &other, &late] {
            assert_eq!(check_and_advance(&word, who), Some(5));
            assert_eq!(check_and_advance(&word, who), None);
        }
    }

    #[test]
    fn an_error_that_nobody_saw_is_for_the_next_who_comes() {
        let word = AtomicU32::new(0);
        set(&word, 28);
        set(&word, 5);
        let late = AtomicU32::new(sample(&word));
        assert_eq!(check_and_advance(&word, &late), Some(5));
        assert_eq!(check_and_advance(&word, &late), None);
    }
}
