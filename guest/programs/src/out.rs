//! Lines on standard output and standard error.

use crate::sys;
use core::fmt::{self, Write};

/// A file that text is written to.
struct File(i32);

impl Write for File {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match sys::write(self.0, rest) {
                Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
                _ => return Err(fmt::Error),
            }
        }
        Ok(())
    }
}

/// Writes a line to standard output. False if it could not be written.
pub fn line(text: fmt::Arguments<'_>) -> bool {
    writeln!(File(1), "{text}").is_ok()
}

/// Writes a line to standard error, if that is possible.
pub fn error(text: fmt::Arguments<'_>) {
    let _ = writeln!(File(2), "{text}");
}
