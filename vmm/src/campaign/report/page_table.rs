//! A map of page tables, drawn from its text.

use maud::{Markup, html};

/// One line of a map: `FIRST LAST SIZE PAGE PHYSICAL KERNEL USER REGION`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) first: &'a str,
    pub(super) size: &'a str,
    pub(super) page: &'a str,
    pub(super) kernel: &'a str,
    pub(super) user: &'a str,
    pub(super) region: String,
    /// Bytes.
    pub(super) len: u64,
}

/// The lines of a map's text; those of another form are left out.
pub(super) fn lines(text: &str) -> Vec<Line<'_>> {
    text.lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<Line<'_>> {
    let mut words = text.split_whitespace();
    let (first, last) = (words.next()?, words.next()?);
    let address = |digits| u64::from_str_radix(digits, 16).ok();
    let len = address(last)?
        .checked_sub(address(first)?)?
        .checked_add(1)?;
    let (size, page) = (words.next()?, words.next()?);
    let _physical = address(words.next()?)?;
    let (kernel, user) = (words.next()?, words.next()?);
    let region: Vec<&str> = words.collect();
    Some(Line {
        first,
        size,
        page,
        kernel,
        user,
        region: region.join(" "),
        len,
    })
}

/// Whether somebody may both write and execute it.
fn is_bad(line: &Line<'_>) -> bool {
    [line.kernel, line.user]
        .iter()
        .any(|rights| rights.contains('w') && rights.contains('x'))
}

/// A bar for each mapping, the longer the larger (by its logarithm), coloured by who may do what.
pub(super) fn draw(text: &str) -> Markup {
    let lines = lines(text);
    html! {
        table.map {
            tr { th { "from" } th { "size" } th { "pages" } th { "kernel" } th { "user" } th { "region" } th {} }
            @for line in &lines {
                @let class = match (is_bad(line), line.user == "---") {
                    (true, _) => "bad",
                    (false, true) => "kernel",
                    (false, false) => "user",
                };
                @let width = (line.len.ilog2().saturating_sub(11) * 4).max(2);
                tr {
                    td { code { (line.first) } }
                    td.n { (line.size) }
                    td { (line.page) }
                    td { code { (line.kernel) } }
                    td { code { (line.user) } }
                    td { (line.region) }
                    td { i class=(class) style={ "width:" (width) "px" } {} }
                }
            }
        }
    }
}
