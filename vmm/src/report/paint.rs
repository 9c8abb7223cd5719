//! Colours, used only where a terminal shows them.

use std::fmt::{self, Display};

/// Whether text is coloured, and how.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    enabled: bool,
}

/// A text with the escape sequences around it.
pub(crate) struct Painted<T> {
    code: Option<&'static str>,
    text: T,
}

impl Paint {
    /// Colours if `enabled`.
    pub const fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    fn with<T>(self, code: &'static str, text: T) -> Painted<T> {
        Painted {
            code: self.enabled.then_some(code),
            text,
        }
    }

    /// Something good.
    pub(crate) fn good<T: Display>(self, text: T) -> Painted<T> {
        self.with("32", text)
    }

    /// Something bad.
    pub(crate) fn bad<T: Display>(self, text: T) -> Painted<T> {
        self.with("31;1", text)
    }

    /// Something less important.
    pub(crate) fn faint<T: Display>(self, text: T) -> Painted<T> {
        self.with("2", text)
    }

    /// A heading.
    pub(crate) fn heading<T: Display>(self, text: T) -> Painted<T> {
        self.with("1", text)
    }
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(code) = self.code else {
            return self.text.fmt(f);
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}
