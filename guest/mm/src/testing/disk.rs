//! A swap device that fails when it is told to.

use crate::{
    Pfn,
    machine::{SwapIoError, SwapRequest},
};
use core::ptr::NonNull;
use pagelab_abi::PAGE_SIZE;
use std::{
    boxed::Box,
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    vec,
};

const PAGE: usize = PAGE_SIZE as usize;

/// What the device is made of.
#[derive(Default)]
struct State {
    pages: u64,
    content: BTreeMap<u64, Box<[u8]>>,
    /// Requests until the next one that fails, and how many fail from there on.
    fail: Option<(u64, u64)>,
    requests: u64,
    notifications: u64,
    failed: u64,
}

/// A swap device in host memory; without a size, none.
#[derive(Default)]
pub struct TestDisk(Mutex<State>);

impl TestDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the device a size.
    pub fn set_pages(&self, pages: u64) {
        self.lock().pages = pages;
    }

    /// Pages that it has.
    pub fn pages(&self) -> u64 {
        self.lock().pages
    }

    /// Lets `count` requests fail from the n-th on, counted from 1; 0 for none.
    pub fn fail_from(&self, nth: u64, count: u64) {
        self.lock().fail = (nth > 0).then_some((nth, count));
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// Requests so far that failed.
    pub fn failed(&self) -> u64 {
        self.lock().failed
    }

    /// Times so far that the device was given requests.
    pub fn notifications(&self) -> u64 {
        self.lock().notifications
    }

    /// The device is given requests.
    pub(super) fn notified(&self) {
        self.lock().notifications += 1;
    }

    pub(super) fn read(
        &self,
        request: &SwapRequest<'_>,
        frame: impl Fn(Pfn) -> Option<NonNull<u8>>,
    ) -> Result<(), SwapIoError> {
        let mut state = self.lock();
        let fails = state.request(request);
        for (slot, pfn) in (request.slot..).zip(request.frames) {
            // What failed may have done anything.
            let bytes = match state.content.get(&slot) {
                Some(bytes) if !fails => bytes.clone(),
                _ => vec![0xdb; PAGE].into_boxed_slice(),
            };
            let frame = frame(*pfn).ok_or(SwapIoError)?;
            // SAFETY: a whole frame of the machine, and `bytes` has as many.
            unsafe { frame.copy_from_nonoverlapping(NonNull::from(&bytes[..]).cast(), PAGE) };
        }
        if fails { Err(SwapIoError) } else { Ok(()) }
    }

    pub(super) fn write(
        &self,
        request: &SwapRequest<'_>,
        frame: impl Fn(Pfn) -> Option<NonNull<u8>>,
    ) -> Result<(), SwapIoError> {
        let mut state = self.lock();
        let fails = state.request(request);
        for (slot, pfn) in (request.slot..).zip(request.frames) {
            let frame = frame(*pfn).ok_or(SwapIoError)?;
            let mut bytes = vec![0xdb; PAGE].into_boxed_slice();
            if !fails {
                // SAFETY: as above.
                unsafe { frame.copy_to_nonoverlapping(NonNull::from(&mut bytes[..]).cast(), PAGE) };
            }
            state.content.insert(slot, bytes);
        }
        if fails { Err(SwapIoError) } else { Ok(()) }
    }
}

impl State {
    /// Counts a request. Whether it fails.
    fn request(&mut self, request: &SwapRequest<'_>) -> bool {
        let (first, count) = (request.slot, request.frames.len() as u64);
        assert!(
            first > 0 && count > 0 && first + count <= self.pages,
            "slots from {first} on, {count} of them, are no slots"
        );
        self.requests += 1;
        let fails = match &mut self.fail {
            Some((1, count)) => {
                *count -= 1;
                if *count == 0 {
                    self.fail = None;
                }
                true
            }
            Some((nth, _)) => {
                *nth -= 1;
                false
            }
            None => false,
        };
        self.failed += u64::from(fails);
        fails
    }
}
