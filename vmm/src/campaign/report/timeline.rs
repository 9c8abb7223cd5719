//! The golden run's memory, drawn.

use crate::campaign::record::{Golden, TimelinePoint};
use plotters::{coord::Shift, prelude::*};

/// Pixels of the drawing.
const SIZE: (u32, u32) = (960, 240);

/// Bytes of a page.
const PAGE: i64 = 4096;

/// The drawing as SVG; empty if there is nothing to draw.
pub(super) fn svg(golden: &Golden) -> String {
    let mut svg = String::new();
    if golden.timeline.len() < 2 {
        return svg;
    }
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    // Writing to a string cannot fail; what cannot be drawn is left out.
    if let Err(error) = draw(&area, &golden.timeline) {
        log::warn!("the timeline is not drawn: {error}");
    }
    drop(area);
    svg
}

type Drawing<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(area: &Drawing<'_>, points: &[TimelinePoint]) -> Result<(), Box<dyn std::error::Error>> {
    let balloon = |point: &TimelinePoint| (point.balloon / PAGE as u64) as i64;
    let values =
        |point: &TimelinePoint| [point.pages, point.objects, point.swapped, balloon(point)];
    let low = points.iter().flat_map(values).min().unwrap_or(0).min(0);
    let high = points.iter().flat_map(values).max().unwrap_or(0).max(1);
    let first = points.first().map_or(0, |point| point.event);
    let last = points.last().map_or(1, |point| point.event);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(64)
        .build_cartesian_2d(first..last.max(first + 1), low..high)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("events")
        .draw()?;
    type Value = fn(&TimelinePoint) -> i64;
    let curves: [(&str, RGBColor, Value); 4] = [
        ("pages", RGBColor(0x1f, 0x6f, 0xb4), |point| point.pages),
        ("slab objects", RGBColor(0x2a, 0x8f, 0x4d), |point| {
            point.objects
        }),
        ("pages swapped", RGBColor(0xb3, 0x5c, 0x00), |point| {
            point.swapped
        }),
        ("balloon (pages)", RGBColor(0x8a, 0x3f, 0xa0), |point| {
            (point.balloon / PAGE as u64) as i64
        }),
    ];
    for (name, colour, value) in curves {
        if points.iter().all(|point| value(point) == 0) {
            continue;
        }
        let line = points.iter().map(|point| (point.event, value(point)));
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    area.present()?;
    Ok(())
}
