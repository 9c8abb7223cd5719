//! Numbers, durations and lines as people read them.

use crate::size::ByteSize;

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The noun for a number of things.
pub(super) fn plural(number: u64, noun: &str) -> String {
    format!("{noun}{}", if number == 1 { "" } else { "s" })
}

/// A size to a tenth of a MiB, where it is not a round one.
pub(super) fn mebibytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) {
        return ByteSize(bytes).to_string();
    }
    let tenths = (u128::from(bytes) * 10 + (1 << 19)) >> 20;
    format!("{}.{}M", tenths / 10, tenths % 10)
}

pub(super) fn duration(microseconds: u64) -> String {
    match microseconds {
        0..10_000 => format!("{microseconds} us"),
        10_000..1_000_000 => format!("{} ms", microseconds / 1000),
        _ => format!(
            "{}.{} s",
            microseconds / 1_000_000,
            microseconds / 100_000 % 10
        ),
    }
}

pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width - 1).collect();
    short.push('…');
    short
}

/// Lines of at most `width` characters, broken at spaces where there are any.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let line = lines.last_mut().expect("there is always a line");
            let used = line.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= width {
                if gap > 0 {
                    line.push(' ');
                }
                line.extend(word);
                break;
            }
            if used == 0 {
                line.extend(word.drain(..width));
            }
            lines.push(String::new());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(mebibytes(512 << 20), "512M");
        assert_eq!(mebibytes((512 << 20) + (1 << 19)), "512.5M");
        assert_eq!(duration(900), "900 us");
        assert_eq!(duration(38_200), "38 ms");
        assert_eq!(duration(2_340_000), "2.3 s");
    }

    #[test]
    fn long_lines_are_broken() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("abcdefg h", 3), ["abc", "def", "g h"]);
        assert_eq!(shortened("abcdef", 4), "abc…");
    }
}
