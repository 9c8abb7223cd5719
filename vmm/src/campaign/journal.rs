//! The record file: appended to, durable record by record, taken up again after any end.

mod error;
mod read;
#[cfg(test)]
mod tests;

pub use error::JournalError;
pub use read::{Records, read};

use super::record::{Header, Line, Record};
use read::parse;
use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A record file that is being written. Nobody else writes it meanwhile.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    header: Header,
    records: Vec<Record>,
    done: BTreeSet<u64>,
    /// Bytes that are known to be good.
    len: u64,
}

impl Journal {
    /// Opens the file at `path` for the records of the campaign of `header`: a new one, or one that was
    /// begun, of which a last line that is not whole is cut off.
    ///
    /// # Errors
    /// [`JournalError`] if it cannot be used, is damaged, or is another campaign's.
    pub fn open(path: &Path, header: Header) -> Result<Self, JournalError> {
        let failed = |error| JournalError::io(path, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // A device would give and take without end.
        if path.metadata().is_ok_and(|about| !about.is_file()) {
            return Err(failed(io::Error::other("it is no regular file")));
        }
        let mut file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Busy(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let whole = text.rfind('\n').map_or(0, |newline| newline + 1);
        let found = parse(path, &text[..whole])?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            header,
            records: Vec::new(),
            done: BTreeSet::new(),
            len: whole as u64,
        };
        match found {
            Some(found) => {
                check_same(path, &found.header, &journal.header)?;
                journal.done = found.records.iter().map(|record| record.id).collect();
                journal.records = found.records;
                if whole < text.len() {
                    journal.cut().map_err(failed)?;
                }
            }
            None => {
                journal.cut().map_err(failed)?;
                let line = Line::Header(Box::new(journal.header.clone()));
                journal.write(&line)?;
                // The name must be there after a power cut as well.
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                let folder = File::open(folder.unwrap_or(Path::new(".")));
                folder
                    .and_then(|folder| folder.sync_all())
                    .map_err(failed)?;
            }
        }
        Ok(journal)
    }

    /// The first line.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Numbers of the experiments that have a record.
    pub const fn done(&self) -> &BTreeSet<u64> {
        &self.done
    }

    /// The records, in the file's order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Writes a record, which is durable when this returns.
    ///
    /// # Errors
    /// [`JournalError::NoRoom`] if the disk is full; the file then ends with the record before.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.write(&Line::Record(Box::new(record.clone())))?;
        self.done.insert(record.id);
        self.records.push(record.clone());
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), JournalError> {
        let text = line.to_text();
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What was written of it would be cut off later anyway.
            let _ = self.cut();
            return Err(JournalError::io(&self.path, error));
        }
        self.len += text.len() as u64;
        Ok(())
    }

    /// Cuts off what is behind the good bytes.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.file.seek(SeekFrom::Start(self.len))?;
        Ok(())
    }
}

/// Whether a file that was begun is this campaign's.
fn check_same(path: &Path, found: &Header, wanted: &Header) -> Result<(), JournalError> {
    let path = path.to_owned();
    if found.campaign != wanted.campaign {
        return Err(JournalError::OtherCampaign {
            path,
            title: found.title.clone(),
        });
    }
    if found.partition != wanted.partition {
        let name = |header: &Header| {
            let partition = header.partition;
            partition.map_or("all of it".to_owned(), |part| part.to_string())
        };
        return Err(JournalError::OtherPartition {
            path,
            found: name(found),
            wanted: name(wanted),
        });
    }
    Ok(())
}
