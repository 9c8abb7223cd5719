//! `pagelab inspect`.

use super::{
    args::{Format, InspectArguments},
    exit_status,
    output::{self, Failure},
};
use crate::machine::Snapshot;
use crate::{
    inspect::{
        AuditResult, Outcome, audit,
        image::{ImageKind, OpenOptions, PhysMem, SavedImage},
        report,
    },
    report::{Paint, View, ViewData},
    scenario::{self, Inspection},
};
use pagelab_abi::view::ViewKind;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fmt::{Display, Write},
    process::ExitCode,
};

/// What is said of a saved image.
#[derive(Debug, Serialize, JsonSchema)]
struct ImageReport {
    /// `elf core`, `raw` or `snapshot`.
    kind: &'static str,
    /// Bytes of RAM in the image.
    memory: u64,
    /// Whether EFER is a guess, as the image does not tell it.
    efer_is_assumed: bool,
    /// What was asked for.
    views: Vec<View>,
    /// Audits of the page tables and, in an image of pagelab's guest, of its memory manager.
    audits: Vec<AuditResult>,
}

/// Reads an image and prints what is in it. Status 1 if an audit does not hold.
pub(super) fn inspect(arguments: &InspectArguments) -> Result<ExitCode, Failure> {
    let options = OpenOptions {
        cr0: arguments.cr0,
        cr3: arguments.cr3,
        cr4: arguments.cr4,
        efer: arguments.efer,
        ..OpenOptions::default()
    };
    let named = |error: &dyn Display| format!("{}: {error}", arguments.image.display());
    // The pages of a snapshot stand packed; an image has them where they belong.
    let unpacked = match Snapshot::is_file(&arguments.image) {
        true => Some(tempfile::NamedTempFile::new()?),
        false => None,
    };
    let path = match &unpacked {
        Some(file) => {
            let (snapshot, _) =
                Snapshot::load_to_look(&arguments.image).map_err(|error| named(&error))?;
            snapshot.save_core(file.path())?;
            file.path()
        }
        None => &arguments.image,
    };
    let image = SavedImage::open(path, &options).map_err(|error| named(&error))?;
    let mut found = examine(&image, &arguments.inspect)?;
    if unpacked.is_some() {
        found.kind = "snapshot";
    }
    let held = found
        .audits
        .iter()
        .all(|audit| audit.outcome == Outcome::Held);
    match arguments.format {
        Format::Json => {
            output::json(&found)?;
        }
        Format::Human => output::text(&human(&found, output::paint(arguments.color))?)?,
    }
    Ok(ExitCode::from(if held { 0 } else { exit_status::VIOLATED }))
}

fn examine(image: &SavedImage, wanted: &[Inspection]) -> Result<ImageReport, Failure> {
    let page_table = report::saved_pagetable(image, &scenario::devices())?;
    // Without a wish: the map, and of pagelab's own guest the zones as well.
    let mut wanted = match (wanted, image.root()) {
        ([], None) => vec![Inspection::Pagetable],
        ([], Some(_)) => vec![Inspection::Pagetable, Inspection::View(ViewKind::Buddyinfo)],
        (some, _) => some.to_vec(),
    };
    wanted.sort_unstable();
    wanted.dedup();
    let mut views = Vec::new();
    for what in wanted {
        let memory = image.memory();
        let text = match (what, image.root()) {
            (Inspection::Pagetable, _) => page_table.map.display(usize::MAX).to_string(),
            (Inspection::View(kind), Some(root)) => scenario::view(memory, root, kind)?,
            (Inspection::Task(kind, pid), Some(root)) => {
                scenario::task_view(memory, root, kind, pid)?
            }
            (Inspection::Process(..), Some(_)) if what.has_two_moments() => {
                let name = what.name();
                return Err(format!(
                    "an image is of one moment and {name} of two; ask for it with pagelab run \
                     --since"
                )
                .into());
            }
            (Inspection::Process(view, pid), Some(root)) => {
                let data = scenario::process_view(memory, root, view, pid, None)?;
                views.push(View::of_data(what.name(), ViewData::Process(data)));
                continue;
            }
            (Inspection::Lru, Some(root)) => {
                let lists = scenario::lru_view(memory, root)?;
                views.push(View::of_data(what.name(), ViewData::Lru(lists)));
                continue;
            }
            (_, None) => {
                let name = what.name();
                return Err(format!(
                    "the image is not of pagelab's guest: it has no root page, so there is no \
                     {name}; ask for --inspect pagetable"
                )
                .into());
            }
        };
        views.push(View::of_text(what.name(), text));
    }
    let mut audits = page_table.audits;
    // Another kernel's image has no account of its own to audit against.
    audits.retain(|audit| image.root().is_some() || audit.outcome != Outcome::Skipped);
    if let Some(root) = image.root() {
        audits.extend(audit::all(image.memory(), root, audit::Moment::Anywhere));
    }
    Ok(ImageReport {
        kind: match image.kind() {
            ImageKind::Raw => "raw",
            ImageKind::ElfCore => "elf core",
        },
        memory: image.memory().size(),
        efer_is_assumed: image.efer_is_assumed(),
        views,
        audits,
    })
}

fn human(found: &ImageReport, paint: Paint) -> Result<String, Failure> {
    let mut text = format!(
        "{} {}, {} of RAM{}\n",
        paint.heading("image"),
        found.kind,
        crate::size::ByteSize(found.memory),
        if found.efer_is_assumed {
            ", EFER assumed (--efer tells it)"
        } else {
            ""
        }
    );
    for view in &found.views {
        writeln!(
            text,
            "\n{}\n{}",
            paint.heading(view.name),
            view.text.trim_end()
        )?;
    }
    let held = found
        .audits
        .iter()
        .filter(|audit| audit.outcome == Outcome::Held)
        .count();
    writeln!(
        text,
        "\n{} {held} of {} held",
        paint.heading("audits"),
        found.audits.len()
    )?;
    for audit in found
        .audits
        .iter()
        .filter(|audit| audit.outcome != Outcome::Held)
    {
        let word = if audit.outcome == Outcome::Skipped {
            "SKIPPED"
        } else {
            "VIOLATED"
        };
        writeln!(
            text,
            "  {} {}: {}",
            paint.bad(word),
            audit.name,
            audit.checks
        )?;
        for finding in &audit.findings {
            writeln!(text, "    {finding}")?;
        }
    }
    Ok(text)
}
