//! The record files of several machines into one.

use super::{
    journal::{self, JournalError},
    record::{Header, Line, Record},
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why files cannot be merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// One cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There are none.
    #[error("there is nothing to merge; name the record files of all parts")]
    Nothing,
    /// Two are of different campaigns.
    #[error(
        "{other} is of another campaign than {first}: {what}; merge only parts of one experiment, made by one \
         version of pagelab", first = first.display(), other = other.display()
    )]
    Mixed {
        /// The first file.
        first: PathBuf,
        /// The other one.
        other: PathBuf,
        /// In what they differ.
        what: String,
    },
    /// An experiment has two records.
    #[error(
        "experiment {id} is in {first} and in {other}; leave out one of the two", first = first.display(),
        other = other.display()
    )]
    Duplicate {
        /// Which.
        id: u64,
        /// One file that has it.
        first: PathBuf,
        /// The other one.
        other: PathBuf,
    },
    /// Some have none.
    #[error(
        "{missing} of {points} experiments have no record, the first of them {first}; finish the parts that \
         are not done, and name the files of all"
    )]
    Gap {
        /// How many.
        missing: u64,
        /// Of how many.
        points: u64,
        /// The first.
        first: u64,
    },
}

/// A complete campaign.
#[derive(Clone, Debug)]
pub struct Merged {
    header: Header,
    records: BTreeMap<u64, Record>,
}

/// Reads all parts of a campaign.
///
/// # Errors
/// [`MergeError`] for gaps, duplicates and mixed campaigns.
pub fn merge(paths: &[PathBuf]) -> Result<Merged, MergeError> {
    let mut merged: Option<(Header, &Path)> = None;
    let mut records: BTreeMap<u64, Record> = BTreeMap::new();
    let mut origin: BTreeMap<u64, &Path> = BTreeMap::new();
    for path in paths {
        let part = journal::read(path)?;
        match &mut merged {
            None => merged = Some((part.header, path)),
            Some((header, first)) => {
                if let Some(what) = difference(header, &part.header) {
                    return Err(MergeError::Mixed {
                        first: first.to_path_buf(),
                        other: path.clone(),
                        what,
                    });
                }
                // Whatever the order of the files, the result is one.
                header.directory = header.directory.clone().min(part.header.directory);
            }
        }
        for record in part.records {
            let id = record.id;
            if let Some(first) = origin.insert(id, path) {
                return Err(MergeError::Duplicate {
                    id,
                    first: first.to_path_buf(),
                    other: path.clone(),
                });
            }
            records.insert(id, record);
        }
    }
    let (mut header, _) = merged.ok_or(MergeError::Nothing)?;
    header.partition = None;
    let missing = header.points - records.len() as u64;
    if missing > 0 {
        let first = (0..header.points).find(|id| !records.contains_key(id));
        return Err(MergeError::Gap {
            missing,
            points: header.points,
            first: first.unwrap_or_default(),
        });
    }
    Ok(Merged { header, records })
}

/// In what two parts differ that parts of one campaign have in common.
fn difference(one: &Header, other: &Header) -> Option<String> {
    for (name, one, other) in [
        ("version of pagelab", &one.pagelab, &other.pagelab),
        ("guest kernel", &one.guest, &other.guest),
        ("program", &one.program, &other.program),
        ("experiment file", &one.experiment, &other.experiment),
        (
            "golden trace",
            &one.golden.trace_hash,
            &other.golden.trace_hash,
        ),
        ("identity", &one.campaign, &other.campaign),
    ] {
        if one != other {
            return Some(format!("the {name} differs"));
        }
    }
    (one.partition.map(|part| (part.method, part.of))
        != other.partition.map(|part| (part.method, part.of)))
    .then(|| "they were divided in different ways".to_owned())
}

impl Merged {
    /// Writes the complete file: the header, and the records by number.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let header = Line::Header(Box::new(self.header.clone()));
        out.write_all(header.to_text().as_bytes())?;
        for record in self.records.values() {
            let line = Line::Record(Box::new(record.clone()));
            out.write_all(line.to_text().as_bytes())?;
        }
        out.flush()
    }

    /// Its header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Its records, by number.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }
}
