//! Events at which more is to be done than to count them: records for the host, and stops.

use crate::{doorbell, root};
use core::{cell::UnsafeCell, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    event::EventKind,
    event_log::{EVENT_LOG_CAPACITY, EventRecord},
    platform::{Doorbell, KERNEL_BASE},
};

struct Records(UnsafeCell<[EventRecord; EVENT_LOG_CAPACITY]>);

// SAFETY: written by the one CPU, never from an interrupt handler, and read by the host only while
// that CPU stands at a doorbell.
unsafe impl Sync for Records {}

/// In the image, and not allocated: recording must change nothing that it records.
static RECORDS: Records = Records(UnsafeCell::new([EventRecord::EMPTY; EVENT_LOG_CAPACITY]));

/// Tells where the records are.
pub(crate) fn announce() {
    let log = root::log();
    log.records
        .store(RECORDS.0.get() as u64 - KERNEL_BASE, Relaxed);
    log.capacity.store(EVENT_LOG_CAPACITY as u32, Relaxed);
}

/// Writes a record of the event that was just counted if the host wants it, and stops if it wants that.
#[cold]
#[inline(never)]
pub(crate) fn look_closer(kind: EventKind, a: u64, b: u64) {
    let clock = root::clock();
    let is_full = clock.is_recording() && append(kind, a, b);
    if clock.may_stop() && clock.is_wanted(kind, b) {
        doorbell::ring(Doorbell::Stop);
    } else if is_full {
        doorbell::ring(Doorbell::Log);
    }
}

/// Appends a record. True if there is no room for another one.
fn append(kind: EventKind, a: u64, b: u64) -> bool {
    let log = root::log();
    let len = log.len.load(Relaxed);
    let record = EventRecord {
        a,
        b,
        kind: kind as u32,
        pid: root::control().caller.pid.load(Relaxed),
    };
    // SAFETY: nobody else has a reference into the array: the one CPU is here, and a handler raises no event.
    let records = unsafe { &mut *RECORDS.0.get() };
    // A host that does not read them loses records, not the guest.
    let Some(place) = records.get_mut(len as usize) else {
        return true;
    };
    *place = record;
    log.len.store(len + 1, Relaxed);
    len as usize + 1 >= EVENT_LOG_CAPACITY
}
