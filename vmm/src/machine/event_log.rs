//! The guest's event log, read and emptied from the host.

use std::mem::{offset_of, size_of};
use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::event_log::{EVENT_LOG_CAPACITY, EventLog, EventRecord};
use pagelab_abi::root::Root;
use vm_memory::{Bytes, GuestAddress};
use zerocopy::FromBytes;

use super::root::{RootError, RootPage};
use crate::trace::Event;

impl RootPage<'_> {
    /// Takes the records of the events since the last call, in their order. Whatever the guest claims, these
    /// are at most [`EVENT_LOG_CAPACITY`].
    ///
    /// # Errors
    /// [`RootError::Access`] if the records are not in RAM.
    pub fn take_events(&self) -> Result<Vec<Event>, RootError> {
        let root = self.read()?;
        let len = (root.log.len.load(Relaxed) as usize).min(EVENT_LOG_CAPACITY);
        let mut bytes = vec![0; len * size_of::<EventRecord>()];
        let records = GuestAddress(root.log.records.load(Relaxed));
        self.memory().read_slice(&mut bytes, records)?;
        let at = offset_of!(Root, log) + offset_of!(EventLog, len);
        self.write_at(at, &0_u32.to_le_bytes())?;
        // The last record is the event at which the guest stands.
        let before = root.clock.count.load(Relaxed).saturating_sub(len as u64);
        let records = bytes.chunks_exact(size_of::<EventRecord>());
        let records = records.filter_map(|bytes| EventRecord::read_from_bytes(bytes).ok());
        let numbered = records
            .zip(1_u64..)
            .map(|(record, nth)| Event::new(before.saturating_add(nth), &record));
        Ok(numbered.collect())
    }
}
