//! Writing to the standard streams.

use super::args::Colour;
use crate::report::Paint;
use serde::Serialize;
use std::{
    error::Error,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

/// Any error on its way to the user; each carries its own remedy.
pub(super) type Failure = Box<dyn Error>;

/// Prints an error and what caused it.
pub(super) fn error(error: &Failure) {
    let mut text = format!("pagelab: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors already end with the text of their cause.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    eprintln!("{text}");
}

/// Prints a text on standard output. A reader that went away (`| head`) is no error.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}; is the disk full?").into())
        }
        _ => Ok(()),
    }
}

/// Prints a text on standard error. Where that is closed, nobody wants to know.
pub(super) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Prints a value as a JSON document.
pub(super) fn json(value: &impl Serialize) -> Result<ExitCode, Failure> {
    let mut document = serde_json::to_string_pretty(value)?;
    document.push('\n');
    text(&document)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether standard output gets colours.
pub(super) fn paint(colour: Colour) -> Paint {
    paint_for(colour, &io::stdout())
}

/// Whether standard error gets colours.
pub(super) fn paint_stderr(colour: Colour) -> Paint {
    paint_for(colour, &io::stderr())
}

fn paint_for(colour: Colour, stream: &impl IsTerminal) -> Paint {
    Paint::new(match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    })
}
