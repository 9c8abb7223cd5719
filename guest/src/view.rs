//! Texts in the formats of Linux's /proc, for a host that wants to compare them with its own.
//!
//! The buffer is taken at boot and the texts are made without an allocation: looking changes
//! nothing.

use crate::{arch::layout::PAGE_SIZE, doorbell, memory::mm, root, serial::Console};
use core::{
    fmt::{self, Write},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    platform::{DIRECT_MAP, Doorbell},
    view::{ViewBuffer, ViewKind},
};

/// Pages of the buffer.
pub(crate) const BUFFER_PAGES: u64 = 16;

/// Physical address of the buffer, in the direct map.
static BUFFER: AtomicU64 = AtomicU64::new(0);

/// Names the buffer. Once, at boot.
pub(crate) fn init(buffer: u64) {
    BUFFER.store(buffer, Relaxed);
}

/// Writes the views that the host asked for, one doorbell each.
#[cold]
#[inline(never)]
pub(crate) fn show_wanted() {
    let wanted = root::control().views_wanted.swap(0, Relaxed);
    for kind in ViewKind::ALL {
        if wanted & 1 << kind as u32 != 0 {
            show(kind);
        }
    }
}

fn show(kind: ViewKind) {
    let gpa = BUFFER.load(Relaxed);
    let capacity = (BUFFER_PAGES * PAGE_SIZE) as usize;
    // SAFETY: taken at boot for this alone, and only one text is made at a time.
    let bytes = unsafe { core::slice::from_raw_parts_mut((DIRECT_MAP + gpa) as *mut u8, capacity) };
    let mut text = Cut { bytes, len: 0 };
    let truncated = mm().view(kind, &mut text).is_err();
    root::set_view(ViewBuffer {
        gpa,
        capacity: capacity as u32,
        len: text.len as u32,
        kind: kind as u32,
        truncated: truncated.into(),
    });
    doorbell::ring(Doorbell::View);
}

/// Writes all views to the console: for hosts without a doorbell.
pub(crate) fn print_all() {
    for kind in ViewKind::ALL {
        // A console that does not take the text is nobody's fault here.
        let _ = writeln!(Console, "==> /proc/{} <==", kind.name())
            .and_then(|()| mm().view(kind, &mut Console));
    }
}

/// Takes as much text as there is room for.
struct Cut<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let taken = text.len().min(room.len());
        room[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        if taken < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}
