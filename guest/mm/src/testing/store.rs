//! A file store that fails when it is told to.

use crate::{
    Mm, Pfn,
    machine::Machine,
    page_cache::{AddressSpaceOperations, FileError},
};
use pagelab_abi::PAGE_SIZE;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    vec::Vec,
};

const PAGE: usize = PAGE_SIZE as usize;

/// What the store is made of.
struct State {
    /// Content by file and page: `None` for a page that has room and was never written.
    pages: BTreeMap<(u64, u64), Option<Vec<u8>>>,
    /// Pages that there is room for.
    room: usize,
    /// Requests until the next one that fails, and how many fail from there on.
    fail: Option<(u64, u64)>,
    /// What it fails with.
    error: FileError,
    requests: u64,
    failed: u64,
    writes: Vec<(u64, u64)>,
    reads: Vec<(u64, u64)>,
}

/// A store in host memory.
pub struct TestStore(Mutex<State>);

impl TestStore {
    /// An empty store with room for so many pages.
    pub fn new(room: usize) -> Self {
        Self(Mutex::new(State {
            pages: BTreeMap::new(),
            room,
            fail: None,
            error: FileError::Io,
            requests: 0,
            failed: 0,
            writes: Vec::new(),
            reads: Vec::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `count` reads and writes fail from the n-th on, counted from 1; 0 for none.
    pub fn fail_from(&self, nth: u64, count: u64, error: FileError) {
        let mut state = self.lock();
        state.fail = (nth > 0).then_some((nth, count));
        state.error = error;
    }

    /// Reads and writes so far that failed.
    pub fn failed(&self) -> u64 {
        self.lock().failed
    }

    /// Pages written since this was asked last: file and page.
    pub fn take_writes(&self) -> Vec<(u64, u64)> {
        core::mem::take(&mut self.lock().writes)
    }

    /// Pages read since this was asked last: file and page.
    pub fn take_reads(&self) -> Vec<(u64, u64)> {
        core::mem::take(&mut self.lock().reads)
    }

    /// Writes a page behind the page cache's back.
    pub fn set(&self, host: u64, index: u64, bytes: &[u8]) {
        let mut page = bytes.to_vec();
        page.resize(PAGE, 0);
        self.lock().pages.insert((host, index), Some(page));
    }

    /// What it has of a page.
    pub fn get(&self, host: u64, index: u64) -> Option<Vec<u8>> {
        self.lock().pages.get(&(host, index)).cloned().flatten()
    }

    /// Pages that have room.
    pub fn used(&self) -> usize {
        self.lock().pages.len()
    }
}

impl State {
    /// Counts a request.
    fn request(&mut self) -> Result<(), FileError> {
        self.requests += 1;
        match &mut self.fail {
            Some((1, count)) => {
                *count -= 1;
                if *count == 0 {
                    self.fail = None;
                }
                self.failed += 1;
                Err(self.error)
            }
            Some((nth, _)) => {
                *nth -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl<M: Machine + 'static> AddressSpaceOperations<M> for TestStore {
    fn name(&self) -> &'static str {
        "test"
    }

    fn read_folio(&self, mm: &Mm<M>, host: u64, index: u64, pfn: Pfn) -> Result<(), FileError> {
        let mut state = self.lock();
        state.reads.push((host, index));
        if let Err(error) = state.request() {
            // What failed may have done anything.
            mm.write_frame(pfn, 0, &[0xdb; PAGE])?;
            return Err(error);
        }
        match state.pages.get(&(host, index)) {
            Some(Some(bytes)) => mm.write_frame(pfn, 0, bytes)?,
            // Room that was never written has what was there before.
            Some(None) => mm.write_frame(pfn, 0, &[0xcd; PAGE])?,
            None => mm.zero_frame(pfn, 0, PAGE)?,
        }
        Ok(())
    }

    fn writepage(&self, mm: &Mm<M>, host: u64, index: u64, pfn: Pfn) -> Result<(), FileError> {
        let mut bytes = std::vec![0; PAGE];
        mm.read_frame(pfn, 0, &mut bytes)?;
        let mut state = self.lock();
        state.writes.push((host, index));
        assert!(
            state.pages.contains_key(&(host, index)),
            "page {index} of {host} is written without room for it"
        );
        state.request()?;
        state.pages.insert((host, index), Some(bytes));
        Ok(())
    }

    fn write_begin(&self, _mm: &Mm<M>, host: u64, index: u64) -> Result<(), FileError> {
        let mut state = self.lock();
        if !state.pages.contains_key(&(host, index)) {
            if state.pages.len() >= state.room {
                return Err(FileError::NoSpace);
            }
            state.pages.insert((host, index), None);
        }
        Ok(())
    }

    fn truncate(&self, _mm: &Mm<M>, host: u64, size: u64) -> Result<(), FileError> {
        let end = size.div_ceil(PAGE_SIZE);
        let mut state = self.lock();
        state
            .pages
            .retain(|&(file, index), _| file != host || index < end);
        Ok(())
    }
}
