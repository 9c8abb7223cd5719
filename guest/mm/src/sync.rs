//! The spin lock, over a word that lies in RAM where the host can see it.
//!
//! It is generic over the word, so that loom can run the same code with its own atomics. There is
//! no queue: a zone's lock is held for some hundred instructions, and never across an event.

use core::sync::atomic::{AtomicU32, Ordering};

/// An atomic 32-bit word.
pub(crate) trait Word {
    /// See [`AtomicU32::load`].
    fn load(&self, order: Ordering) -> u32;
    /// See [`AtomicU32::store`].
    fn store(&self, value: u32, order: Ordering);
    /// See [`AtomicU32::swap`].
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// Changes 0 to 1 if it is 0, and says so.
    fn acquire(&self) -> bool;
}

impl Word for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }
    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        self.store(value, order);
    }
    #[inline]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.swap(value, order)
    }
    #[inline]
    fn acquire(&self) -> bool {
        self.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

/// The lock is held as long as this lives.
#[must_use = "the lock is released at once"]
pub(crate) struct Held<'a, W: Word>(&'a W);

impl<W: Word> Drop for Held<'_, W> {
    #[inline]
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

/// Takes the lock.
#[inline]
pub(crate) fn lock<W: Word>(word: &W, mut relax: impl FnMut()) -> Held<'_, W> {
    while !word.acquire() {
        relax();
    }
    Held(word)
}

#[cfg(test)]
mod tests {
    use super::{Word, lock};
    use core::sync::atomic::Ordering;
    use loom::sync::{Arc, atomic::AtomicU32};

    impl Word for AtomicU32 {
        fn load(&self, order: Ordering) -> u32 {
            self.load(order)
        }
        fn store(&self, value: u32, order: Ordering) {
            self.store(value, order);
        }
        fn swap(&self, value: u32, order: Ordering) -> u32 {
            self.swap(value, order)
        }
        fn acquire(&self) -> bool {
            self.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        }
    }

    /// What the lock protects in the zones: plain loads and stores of several words.
    #[test]
    fn two_cpus_never_hold_it_at_once_and_see_each_others_writes() {
        loom::model(|| {
            let word = Arc::new(AtomicU32::new(0));
            let data = Arc::new(AtomicU32::new(0));
            let other = {
                let (word, data) = (word.clone(), data.clone());
                loom::thread::spawn(move || {
                    let _held = lock(&*word, loom::thread::yield_now);
                    let value = data.load(Ordering::Relaxed);
                    data.store(value + 1, Ordering::Relaxed);
                })
            };
            {
                let _held = lock(&*word, loom::thread::yield_now);
                let value = data.load(Ordering::Relaxed);
                data.store(value + 1, Ordering::Relaxed);
            }
            other.join().unwrap();
            let _held = lock(&*word, loom::thread::yield_now);
            assert_eq!(data.load(Ordering::Relaxed), 2);
        });
    }
}
