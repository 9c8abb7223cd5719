//! The Trace Event Format of Chrome, which Perfetto reads as well: one JSON object, an event of the guest
//! to the microsecond.

use super::{
    Event, Mark, Sink,
    slice::Slice,
    tracks::{self, GROUPS, HOST, Instant, MEMORY, PROCESSES, ROWS, Track},
};
use pagelab_abi::event::EventKind;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{self, Write},
};

/// Events from one point of a curve to the next.
const CURVE_STEP: u64 = 16;

/// Order of the largest block.
const MAX_ORDER: u64 = pagelab_abi::page::NR_ORDERS as u64 - 1;

/// One object of the format.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    name: &'a str,
    /// What it is: X a bar, i an instant, C a point of a curve, M a name.
    ph: &'static str,
    ts: u64,
    pid: u32,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    /// How high an instant is drawn: t is its row.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Value::is_null")]
    args: &'a Value,
}

/// Writes a trace as it comes.
#[derive(Debug)]
pub struct Chrome<W> {
    out: W,
    is_first: bool,
    /// The bar that has begun.
    slice: Option<Slice>,
    /// Processes that have been seen.
    pids: BTreeSet<u32>,
    /// Pages and objects allocated, less those freed, since the trace began.
    pages: i64,
    objects: i64,
    /// The event of the last point of their curves.
    drawn: u64,
    /// The last event.
    last: u64,
}

impl<W: Write> Chrome<W> {
    /// Begins a trace.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")?;
        let mut this = Self {
            out,
            is_first: true,
            slice: None,
            pids: BTreeSet::new(),
            pages: 0,
            objects: 0,
            drawn: 0,
            last: 0,
        };
        for (group, name) in GROUPS {
            let track = Track { group, row: 0 };
            this.name("process_name", track, name)?;
            let order = json!({"sort_index": group});
            this.write("process_sort_index", "M", 0, track, None, &order)?;
        }
        for (track, name) in ROWS {
            this.name("thread_name", track, name)?;
        }
        Ok(this)
    }

    fn name(&mut self, what: &str, track: Track, name: &str) -> io::Result<()> {
        self.write(what, "M", 0, track, None, &json!({ "name": name }))
    }

    fn name_process(&mut self, pid: u32) -> io::Result<()> {
        let track = Track {
            group: PROCESSES,
            row: pid,
        };
        let name = match pid {
            0 => "kernel".to_owned(),
            _ => format!("process {pid}"),
        };
        self.name("thread_name", track, &name)
    }

    fn write(
        &mut self,
        name: &str,
        ph: &'static str,
        ts: u64,
        track: Track,
        dur: Option<u64>,
        args: &Value,
    ) -> io::Result<()> {
        if !self.is_first {
            self.out.write_all(b",\n")?;
        }
        self.is_first = false;
        let entry = Entry {
            name,
            ph,
            ts,
            pid: track.group,
            tid: track.row,
            dur,
            s: (ph == "i").then_some("t"),
            args,
        };
        Ok(serde_json::to_writer(&mut self.out, &entry)?)
    }

    fn instant(&mut self, at: u64, instant: &Instant) -> io::Result<()> {
        let Instant {
            track,
            name,
            arguments,
        } = instant;
        self.write(name, "i", at, *track, None, arguments)
    }

    /// Ends the bar that has begun, if there is one, at event `at`.
    fn end_slice(&mut self, at: u64) -> io::Result<()> {
        let Some(slice) = self.slice.take() else {
            return Ok(());
        };
        let track = Track {
            group: PROCESSES,
            row: slice.pid,
        };
        let length = at.saturating_sub(slice.start).max(1);
        let Slice {
            name, arguments, ..
        } = &slice;
        self.write(name, "X", slice.start, track, Some(length), arguments)
    }

    /// Draws a point of the curves of what is allocated.
    fn draw(&mut self, at: u64) -> io::Result<()> {
        self.drawn = at;
        for (name, value) in [("pages", self.pages), ("slab objects", self.objects)] {
            self.curve(name, MEMORY, at, &json!({ "allocated": value }))?;
        }
        Ok(())
    }

    fn curve(&mut self, name: &str, group: u32, at: u64, values: &Value) -> io::Result<()> {
        self.write(name, "C", at, Track { group, row: 0 }, None, values)
    }

    fn count(&mut self, event: &Event) {
        // A hostile guest may name any order.
        let pages = 1 << (event.arguments[1] & 0xff).min(MAX_ORDER);
        match event.kind {
            Some(EventKind::PageAlloc) => self.pages = self.pages.saturating_add(pages),
            Some(EventKind::PageFree) => self.pages = self.pages.saturating_sub(pages),
            Some(EventKind::SlabAlloc) => self.objects += 1,
            Some(EventKind::SlabFree) => self.objects -= 1,
            _ => {}
        }
    }
}

impl<W: Write> Sink for Chrome<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.last = event.number;
        if self.pids.insert(event.pid) {
            self.name_process(event.pid)?;
        }
        let next = Slice::begin(event);
        let is_over = |slice: &Slice| next.is_some() || slice.pid != event.pid;
        if self.slice.as_ref().is_some_and(is_over) {
            self.end_slice(event.number)?;
        }
        if next.is_some() {
            self.slice = next;
        }
        if let Some(instant) = tracks::instant(event) {
            self.instant(event.number, &instant)?;
        }
        self.count(event);
        match event.number.saturating_sub(self.drawn) >= CURVE_STEP {
            true => self.draw(event.number),
            false => Ok(()),
        }
    }

    fn mark(&mut self, at: u64, mark: &Mark) -> io::Result<()> {
        if let Mark::Balloon {
            requested,
            achieved,
        } = mark
        {
            let values = json!({"achieved": achieved, "requested": requested});
            return self.curve("balloon (bytes)", HOST, at, &values);
        }
        match tracks::mark(mark) {
            Some(instant) => self.instant(at, &instant),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end_slice(self.last.saturating_add(1))?;
        self.draw(self.last)?;
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()
    }
}
