//! Reading a record file.

use super::JournalError;
use crate::campaign::record::{FORMAT, Header, Line, Record};
use std::{collections::BTreeSet, fs, path::Path};

/// What is in a record file.
#[derive(Clone, Debug)]
pub struct Records {
    /// Its first line.
    pub header: Header,
    /// Its records, in its order.
    pub records: Vec<Record>,
}

impl Line {
    /// The line with its end.
    pub fn to_text(&self) -> String {
        // Maps have text keys and numbers are finite, so nothing of it cannot be written.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Reads a record file. A last line that is not whole, as a killed process leaves it, is left out.
///
/// # Errors
/// [`JournalError`] if it cannot be read, or is none.
pub fn read(path: &Path) -> Result<Records, JournalError> {
    let text = fs::read_to_string(path).map_err(|error| JournalError::io(path, error))?;
    let whole = text.rfind('\n').map_or(0, |newline| newline + 1);
    parse(path, &text[..whole])?.ok_or_else(|| JournalError::Damaged {
        path: path.to_owned(),
        line: 1,
        message: "there is no header; give a file that `pagelab campaign` or `pagelab merge` wrote"
            .to_owned(),
    })
}

/// Reads whole lines. None if there are none.
pub(super) fn parse(path: &Path, text: &str) -> Result<Option<Records>, JournalError> {
    let damaged = |line: usize, message: String| JournalError::Damaged {
        path: path.to_owned(),
        line,
        message,
    };
    let mut lines = text.lines().zip(1..).map(|(text, number)| {
        let line: Result<Line, _> = serde_json::from_str(text);
        line.map(|line| (line, number)).map_err(|error| {
            let message = format!(
                "this is no line of a record file ({error}); the file is damaged: restore it, or remove it \
                 and run the campaign again"
            );
            damaged(number, message)
        })
    });
    let header = match lines.next().transpose()? {
        None => return Ok(None),
        Some((Line::Header(header), _)) => *header,
        Some((Line::Record(_), _)) => {
            return Err(damaged(
                1,
                "the first line is no header; the file is damaged".to_owned(),
            ));
        }
    };
    if header.format != FORMAT {
        let message = format!(
            "the format is {}, and this pagelab reads {FORMAT}; use the version that wrote it ({})",
            header.format, header.pagelab
        );
        return Err(damaged(1, message));
    }
    let mut seen = BTreeSet::new();
    let mut records = Vec::new();
    for line in lines {
        let (record, number) = match line? {
            (Line::Record(record), number) => (*record, number),
            (Line::Header(_), number) => {
                let message = "a second header; to put files together use `pagelab merge`";
                return Err(damaged(number, message.to_owned()));
            }
        };
        let mine = header.partition.is_none_or(|part| part.contains(record.id));
        if record.id >= header.points || !mine {
            let id = record.id;
            let message = format!("experiment {id} is none of this file's; the file is damaged");
            return Err(damaged(number, message));
        }
        if !seen.insert(record.id) {
            let message = format!(
                "experiment {} is there twice; the file is damaged",
                record.id
            );
            return Err(damaged(number, message));
        }
        records.push(record);
    }
    Ok(Some(Records { header, records }))
}
