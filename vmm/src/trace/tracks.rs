//! Where an event is drawn, and what is written on it.

use super::{Event, Mark};
use pagelab_abi::{
    event::EventKind,
    memory_failure::{MfResult, MfType},
};
use serde_json::{Value, json};

/// A row of the drawing. Rows are in groups, which the viewers call processes, and threads in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Track {
    /// Number of the group.
    pub(super) group: u32,
    /// Number of the row in it.
    pub(super) row: u32,
}

/// Group of the processes; a row is a process, and 0 the kernel's own work.
pub(super) const PROCESSES: u32 = 1;
/// Group of what is allocated.
pub(super) const MEMORY: u32 = 2;
/// Group of how memory comes back.
const RECLAIM: u32 = 3;
/// Group of what is done from outside.
pub(super) const HOST: u32 = 4;

/// All groups with their names.
pub(super) const GROUPS: [(u32, &str); 4] = [
    (PROCESSES, "processes"),
    (MEMORY, "memory"),
    (RECLAIM, "reclaim"),
    (HOST, "host"),
];

const PAGES: Track = row(MEMORY, 1);
const OBJECTS: Track = row(MEMORY, 2);
const FAILED: Track = row(MEMORY, 3);
const LISTS: Track = row(MEMORY, 4);
const LRU: Track = row(RECLAIM, 1);
const SWAP: Track = row(RECLAIM, 2);
const FILES: Track = row(RECLAIM, 3);
const OOM: Track = row(RECLAIM, 4);
const PHASES: Track = row(HOST, 1);
const FAULTS: Track = row(HOST, 2);
const AUDITS: Track = row(HOST, 3);

/// All rows but the processes', with their names.
pub(super) const ROWS: [(Track, &str); 11] = [
    (PAGES, "pages"),
    (OBJECTS, "slab objects"),
    (FAILED, "failed allocations"),
    (LISTS, "per-CPU lists and balloon"),
    (LRU, "lists and shrinkers"),
    (SWAP, "swap"),
    (FILES, "files"),
    (OOM, "OOM killer"),
    (PHASES, "phases"),
    (FAULTS, "faults"),
    (AUDITS, "audits"),
];

const fn row(group: u32, row: u32) -> Track {
    Track { group, row }
}

/// What is drawn at one event.
pub(super) struct Instant {
    pub(super) track: Track,
    pub(super) name: String,
    pub(super) arguments: Value,
}

/// How an event is drawn that is no bar of its own. Those that are (system calls and page faults) have none.
pub(super) fn instant(event: &Event) -> Option<Instant> {
    let [a, b] = event.arguments;
    let pid = event.pid;
    let pfn = |pfn: u64| format!("{pfn:#x}");
    let (track, name, arguments) = match event.kind? {
        EventKind::Syscall | EventKind::Fault => return None,
        EventKind::PageAlloc => (
            PAGES,
            format!("allocate order {}", b & 0xff),
            json!({"pfn": pfn(a), "gfp": format!("{:#x}", b >> 8), "pid": pid}),
        ),
        EventKind::PageFree => (
            PAGES,
            format!("free order {}", b & 0xff),
            json!({"pfn": pfn(a), "pid": pid}),
        ),
        EventKind::PageAllocFail => (
            FAILED,
            format!("order {a} failed"),
            json!({"gfp": format!("{b:#x}"), "pid": pid}),
        ),
        EventKind::SlabAllocFail => (
            FAILED,
            format!("cache {a} failed"),
            json!({"gfp": format!("{b:#x}"), "pid": pid}),
        ),
        kind @ (EventKind::SlabAlloc | EventKind::SlabFree) => {
            let verb = match kind {
                EventKind::SlabAlloc => "allocate",
                _ => "free",
            };
            (
                OBJECTS,
                format!("{verb} of cache {b}"),
                json!({"address": pfn(a), "pid": pid}),
            )
        }
        kind @ (EventKind::Map | EventKind::Unmap) => (
            row(PROCESSES, pid),
            kind.name().to_owned(),
            json!({"address": pfn(a), "pages": b}),
        ),
        EventKind::Reclaim => (
            LRU,
            "reclaim".to_owned(),
            json!({"source": a, "freed": b, "pid": pid}),
        ),
        kind @ (EventKind::SwapIn | EventKind::SwapOut) => (
            SWAP,
            kind.name().to_owned(),
            json!({"slot": a, "pfn": pfn(b), "pid": pid}),
        ),
        kind @ (EventKind::FileRead | EventKind::FileWrite) => (
            FILES,
            kind.name().to_owned(),
            json!({"inode": a >> 32, "page": a & 0xffff_ffff, "pfn": pfn(b), "pid": pid}),
        ),
        EventKind::PcpMove => (
            LISTS,
            "move between list and zone".to_owned(),
            json!({"zone": a, "pages": b}),
        ),
        EventKind::Balloon => {
            let name = if b == 0 { "deflate" } else { "inflate" };
            (LISTS, name.to_owned(), json!({"pages": a}))
        }
        EventKind::Phase => (PHASES, format!("phase {a}"), Value::Null),
        EventKind::MemoryFailure => {
            let name = MfType::from_u32(b as u32 & 0xff).map_or("page", MfType::name);
            let result = MfResult::from_u32((b >> 8) as u32).map_or("", MfResult::name);
            let name = format!("memory failure: {name}");
            (FAULTS, name, json!({"pfn": a, "result": result}))
        }
        EventKind::IoWait => (
            row(PROCESSES, pid),
            "wait for a disk".to_owned(),
            json!({"until": a}),
        ),
        EventKind::OomKill => (
            OOM,
            format!("killed process {a}"),
            json!({"freed": b, "pid": pid}),
        ),
    };
    Some(Instant {
        track,
        name,
        arguments,
    })
}

/// How what the host did is drawn. The balloon's two curves are not drawn here.
pub(super) fn mark(mark: &Mark) -> Option<Instant> {
    let (track, name) = match mark {
        Mark::Balloon { .. } => return None,
        Mark::Fault(spec) => (FAULTS, spec.clone()),
        Mark::Audit { violated: 0 } => (AUDITS, "all held".to_owned()),
        Mark::Audit { violated } => (AUDITS, format!("{violated} not held")),
    };
    Some(Instant {
        track,
        name,
        arguments: Value::Null,
    })
}
