//! Free memory by order, drawn from /proc/buddyinfo.

use maud::{Markup, html};

/// Free blocks of one zone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Zone<'a> {
    pub(super) name: &'a str,
    /// Blocks of each order.
    pub(super) free: Vec<u64>,
}

/// The zones in a text of the form of /proc/buddyinfo (Linux mm/vmstat.c: `frag_show_print`). Lines of another
/// form are left out.
pub(super) fn zones(text: &str) -> Vec<Zone<'_>> {
    let zone = |line| {
        let (_, rest): (_, &str) = str::split_once(line, "zone ")?;
        let mut words = rest.split_whitespace();
        let name = words.next()?;
        let free: Result<_, _> = words.map(str::parse).collect();
        let free = free.ok()?;
        Some(Zone { name, free })
    };
    text.lines().filter_map(zone).collect()
}

/// A bar for each order of each zone, as long as its share of the zone's free memory.
pub(super) fn draw(text: &str) -> Markup {
    html! {
        div.buddy {
            @for Zone { name, free } in zones(text) {
                @let pages = |order: usize, blocks: u64| blocks.saturating_mul(1 << order.min(63));
                @let sum = free.iter().enumerate().map(|(order, blocks)| pages(order, *blocks));
                @let all = sum.fold(0, u64::saturating_add).max(1);
                div {
                    h4 { (name) " " small { (all) " free pages" } }
                    @for (order, blocks) in free.iter().enumerate() {
                        @let share = pages(order, *blocks) as f64 * 100.0 / all as f64;
                        div.bar title={ (blocks) " blocks of order " (order) } {
                            span { (order) }
                            i style={ "width:" (format!("{share:.1}")) "%" } {}
                            small { (blocks) }
                        }
                    }
                }
            }
        }
    }
}
