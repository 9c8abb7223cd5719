//! Memory over the events of the golden run, with few enough points to draw.

use crate::trace::{Event, Mark, Sink};
use pagelab_abi::{event::EventKind, page::NR_ORDERS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io;

/// Points that a timeline has at most.
const MAX_POINTS: usize = 512;

/// What was allocated at one event, less what was at the end of boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimelinePoint {
    /// The event.
    pub event: u64,
    /// Pages allocated.
    pub pages: i64,
    /// Slab objects allocated.
    pub objects: i64,
    /// Pages in swap.
    pub swapped: i64,
    /// Bytes in the balloon.
    pub balloon: u64,
}

/// Draws a timeline of a run whose length is not known: at first each event has its point, and whenever
/// there are too many, every second one goes.
#[derive(Debug)]
pub struct Timeline {
    points: Vec<TimelinePoint>,
    now: TimelinePoint,
    /// Events from one point to the next.
    step: u64,
    seen: u64,
}

impl Timeline {
    /// Nothing seen yet.
    pub const fn new() -> Self {
        Self {
            points: Vec::new(),
            now: TimelinePoint {
                event: 0,
                pages: 0,
                objects: 0,
                swapped: 0,
                balloon: 0,
            },
            step: 1,
            seen: 0,
        }
    }

    /// Its points, in order; the last is that of the last event.
    pub fn points(mut self) -> Vec<TimelinePoint> {
        if self
            .points
            .last()
            .is_some_and(|last| last.event < self.now.event)
        {
            self.points.push(self.now);
        }
        self.points
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Timeline {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let order = (event.arguments[1] & 0xff).min(NR_ORDERS as u64 - 1);
        let now = &mut self.now;
        now.event = event.number;
        let (count, change) = match event.kind {
            Some(EventKind::PageAlloc) => (&mut now.pages, 1 << order),
            Some(EventKind::PageFree) => (&mut now.pages, -1 << order),
            Some(EventKind::SlabAlloc) => (&mut now.objects, 1),
            Some(EventKind::SlabFree) => (&mut now.objects, -1),
            Some(EventKind::SwapOut) => (&mut now.swapped, 1),
            Some(EventKind::SwapIn) => (&mut now.swapped, -1),
            _ => (&mut now.pages, 0),
        };
        *count = count.saturating_add(change);
        if self.seen.is_multiple_of(self.step) {
            self.points.push(self.now);
        }
        self.seen += 1;
        if self.points.len() >= MAX_POINTS {
            self.step *= 2;
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        Ok(())
    }

    fn mark(&mut self, _: u64, mark: &Mark) -> io::Result<()> {
        if let Mark::Balloon { achieved, .. } = mark {
            self.now.balloon = *achieved;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagelab_abi::event_log::EventRecord;

    fn timeline(events: u64) -> Vec<TimelinePoint> {
        let mut timeline = Timeline::new();
        for number in 1..=events {
            let record = EventRecord {
                kind: EventKind::PageAlloc as u32,
                ..EventRecord::EMPTY
            };
            timeline.event(&Event::new(number, &record)).unwrap();
        }
        timeline.points()
    }

    #[test]
    fn a_long_run_has_few_points_evenly_apart_and_its_end() {
        for events in [1, 2, 511, 512, 513, 100_000] {
            let points = timeline(events);
            assert!(points.len() <= MAX_POINTS, "{events}: {}", points.len());
            assert_eq!(points.last().unwrap().event, events);
            for point in &points {
                assert_eq!(point.pages, point.event as i64);
            }
            let step = points
                .get(1)
                .map_or(0, |second| second.event - points[0].event);
            let inner = &points[..points.len() - 1];
            assert!(
                inner
                    .windows(2)
                    .all(|two| two[1].event - two[0].event == step)
            );
        }
        assert!(timeline(100_000).len() > MAX_POINTS / 4);
        assert_eq!(timeline(0), []);
    }
}
