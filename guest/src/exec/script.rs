//! Programs that name another one to run them, in a first line `#!interpreter argument` (Linux
//! fs/binfmt_script.c).

use crate::fs::{Bytes, ExecFile};
use core::ops::Range;
use pagelab_abi::errno::Errno;

/// Bytes at a file's start that are looked at (Linux: `BINPRM_BUF_SIZE`).
const HEAD: usize = 256;

/// Interpreters of interpreters that there may be (Linux fs/exec.c: `exec_binprm`).
pub(super) const MAX_DEPTH: usize = 5;

/// What a first line says: where in the file's first bytes.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    interpreter: Range<usize>,
    /// All of the rest, spaces included.
    argument: Option<Range<usize>>,
}

/// The first arguments of a script's interpreter, each ended by a NUL: its path, what the line says
/// behind it, and the script's path.
pub(super) struct Front(Bytes);

impl Front {
    /// What runs a file; none if it is no script. `path` is the file's, and `script` what the file
    /// has itself been named by as an interpreter.
    ///
    /// # Errors
    /// ENOEXEC if the line names none, or is too long to tell; ENOMEM; EIO.
    pub(super) fn of(
        file: &ExecFile,
        path: &[u8],
        script: Option<&Self>,
    ) -> Result<Option<Self>, Errno> {
        let mut head = [0; HEAD];
        file.read_at(0, &mut head)?;
        let Some(line) = parse(&head)? else {
            return Ok(None);
        };
        // The interpreter's own path stands for the first argument of the one that it runs.
        let behind = script.map_or(&[][..], |front| &front.0[front.path().len() + 1..]);
        let argument = line.argument.map(|argument| &head[argument]);
        let strings = [Some(&head[line.interpreter]), argument, Some(path)];
        let strings = strings.into_iter().flatten();
        let len: usize = strings.clone().map(|string| string.len() + 1).sum();
        let mut bytes = Bytes::zeroed(len + behind.len())?;
        let mut at = 0;
        for string in strings {
            bytes[at..at + string.len()].copy_from_slice(string);
            at += string.len() + 1;
        }
        bytes[at..].copy_from_slice(behind);
        Ok(Some(Self(bytes)))
    }

    /// The interpreter's path.
    pub(super) fn path(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or(&[])
    }

    /// All of it.
    pub(super) fn strings(&self) -> &[u8] {
        &self.0
    }
}

const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Reads the first line of a file that begins like this, zeros behind its end.
fn parse(head: &[u8; HEAD]) -> Result<Option<Line>, Errno> {
    if !head.starts_with(b"#!") {
        return Ok(None);
    }
    let ends = |&byte: &u8| is_blank(byte) || byte == 0;
    // As far as it is text.
    let until_nul = |range: Range<usize>| {
        let nul = head[range.clone()].iter().position(|&byte| byte == 0);
        range.start..nul.map_or(range.end, |nul| range.start + nul)
    };
    let first = |from: usize, end: usize| {
        let found = head[from..end].iter().position(|&byte| !is_blank(byte));
        found.map(|found| from + found)
    };
    let newline = head.iter().position(|&byte| byte == b'\n');
    let mut end = match newline {
        Some(end) => end,
        // Cut off: the interpreter's path has to be whole.
        None => {
            let name = first(2, HEAD).ok_or(Errno::ENOEXEC)?;
            if !head[name..].iter().any(ends) {
                return Err(Errno::ENOEXEC);
            }
            HEAD - 1
        }
    };
    while end > 2 && is_blank(head[end - 1]) {
        end -= 1;
    }
    let start = first(2, end).ok_or(Errno::ENOEXEC)?;
    let len = head[start..end].iter().position(ends);
    let interpreter = start..len.map_or(end, |len| start + len);
    let argument = if head.get(interpreter.end).is_some_and(|&byte| byte != 0) {
        first(interpreter.end.min(end), end).map(|from| until_nul(from..end))
    } else {
        None
    };
    Ok(Some(Line {
        interpreter,
        argument,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> Result<Option<(String, Option<String>)>, Errno> {
        let mut head = [0; HEAD];
        let len = text.len().min(HEAD);
        head[..len].copy_from_slice(&text[..len]);
        let text = |range: Range<usize>| String::from_utf8(head[range].to_vec()).unwrap();
        let line = parse(&head)?;
        Ok(line.map(|line| (text(line.interpreter), line.argument.map(text))))
    }

    fn line(interpreter: &str, argument: Option<&str>) -> Option<(String, Option<String>)> {
        Some((interpreter.into(), argument.map(str::to_owned)))
    }

    #[test]
    fn lines_are_cut_as_linux_does() {
        for (text, expected) in [
            (&b"#!/bin/sh\necho"[..], line("/bin/sh", None)),
            (b"#! \t/bin/sh -e -x \t\n", line("/bin/sh", Some("-e -x"))),
            (b"#!/bin/sh  one  two", line("/bin/sh", Some("one  two"))),
            (b"#!/bin/sh\0junk\n", line("/bin/sh", None)),
            (b"#!/bin/sh a\0junk\n", line("/bin/sh", Some("a"))),
            (b"#!a\n", line("a", None)),
            (b"\x7fELF", None),
            (b"#", None),
        ] {
            assert_eq!(parsed(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn a_line_without_an_interpreter_is_no_program() {
        for text in [
            &b"#!\n/bin/sh"[..],
            b"#!  \t \n",
            &[b"#!", &[b' '; 300][..]].concat(),
        ] {
            assert_eq!(parsed(text), Err(Errno::ENOEXEC), "{text:?}");
        }
    }

    #[test]
    fn a_long_line_loses_its_end_but_not_that_of_the_path() {
        let long = |len: usize| [b"#!/", &vec![b'x'; len][..]].concat();
        assert_eq!(parsed(&long(254)), Err(Errno::ENOEXEC));
        let whole = [&long(250)[..], b"\n"].concat();
        assert!(parsed(&whole).unwrap().unwrap().0.ends_with('x'));
        let argument = [b"#!/bin/sh ", &[b'y'; 300][..]].concat();
        let (_, argument) = parsed(&argument).unwrap().unwrap();
        assert_eq!(argument.unwrap().len(), HEAD - 1 - 10);
    }
}
