//! Makes text from the guest fit to be shown.

/// The text without control characters, which could drive a terminal; newlines and tabs become
/// spaces.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The last `count` lines that are not blank.
pub(super) fn last_lines(text: &str, count: usize) -> Vec<String> {
    let mut lines: Vec<_> = text
        .lines()
        .rev()
        .map(|line| printable(line.trim_end()))
        .filter(|line| !line.is_empty())
        .take(count)
        .collect();
    lines.reverse();
    lines
}

/// The text broken into pieces of at most `width` characters, at blanks where there are any.
pub(in crate::machine) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut rest = word;
        loop {
            let len = rest.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + len <= width {
                let line = lines.last_mut().expect("there is always a line");
                line.extend(std::iter::repeat_n(' ', gap));
                line.push_str(rest);
                used += gap + len;
                break;
            }
            if used > 0 {
                lines.push(String::new());
                used = 0;
                continue;
            }
            let cut = rest.char_indices().nth(width).map_or(rest.len(), |c| c.0);
            lines
                .last_mut()
                .expect("there is always a line")
                .push_str(&rest[..cut]);
            lines.push(String::new());
            rest = &rest[cut..];
        }
    }
    lines
}

/// The text cut to `width` characters; what is left out in front is marked.
pub(super) fn end_of(text: &str, width: usize) -> String {
    let len = text.chars().count();
    if len <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().skip(len - width + 1).collect();
    format!("…{kept}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\nc"), "a\u{fffd}[31mb c");
    }

    #[test]
    fn the_last_lines_are_in_order() {
        assert_eq!(last_lines("1\n\n2\r\n3\n", 2), ["2", "3"]);
        assert!(last_lines("", 2).is_empty());
    }

    #[test]
    fn long_text_keeps_its_end() {
        assert_eq!(end_of("abcdef", 4), "…def");
        assert_eq!(end_of("abcd", 4), "abcd");
    }

    proptest! {
        #[test]
        fn wrapping_loses_nothing_but_blanks(text in "[a-z ]{0,200}", width in 1_usize..30) {
            let lines = wrapped(&text, width);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width));
            let dense = |text: &str| text.replace(' ', "");
            prop_assert_eq!(dense(&lines.concat()), dense(&text));
        }
    }
}
