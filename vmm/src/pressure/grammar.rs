//! The grammar of `--pressure`.
//!
//! ```text
//! profile  = name | segment { "+" segment }
//! segment  = "step:" AMOUNT "@" EVENT { "," AMOUNT "@" EVENT }
//!          | "ramp:" AMOUNT "-" AMOUNT "@" EVENT ".." EVENT "/" STEPS
//!          | "sawtooth:" PEAK "@" EVENT ".." EVENT "*" TEETH "/" STEPS
//!          | "trace:" FILE        lines of EVENT AMOUNT, # begins a comment
//! amount   = a size (512M), or a share of the machine's memory (50%)
//! ```

use super::{NAMED, PressureError, PressureProfile, Step, error::MAX_STEPS};
use crate::{nearest::nearest, size::ByteSize};
use pagelab_abi::PAGE_SIZE;
use std::{fs, path::PathBuf};

const STEP_FORM: &str = "step:AMOUNT@EVENT,… such as step:512M@1000,0@4000";
const RAMP_FORM: &str = "ramp:FROM-TO@START..END/STEPS such as ramp:0-90%@0..5000/20";
const SAWTOOTH_FORM: &str = "sawtooth:PEAK@START..END*TEETH/STEPS such as sawtooth:80%@0..9000*3/5";

impl PressureProfile {
    /// Reads a profile for a machine with `memory` bytes.
    ///
    /// # Errors
    /// What is wrong with it, by name.
    pub fn parse(text: &str, memory: ByteSize) -> Result<Self, PressureError> {
        if let Some(named) = NAMED.iter().find(|named| named.name == text) {
            return Ok(Self::new(text, steps_of(named.text, memory)?));
        }
        Ok(Self::new(text, steps_of(text, memory)?))
    }
}

fn steps_of(text: &str, memory: ByteSize) -> Result<Vec<Step>, PressureError> {
    let mut steps = Vec::new();
    for segment in text.split('+').map(str::trim) {
        match segment.split_once(':') {
            Some(("step", rest)) => step(segment, rest, memory, &mut steps)?,
            Some(("ramp", rest)) => ramp(segment, rest, memory, &mut steps)?,
            Some(("sawtooth", rest)) => sawtooth(segment, rest, memory, &mut steps)?,
            Some(("trace", rest)) => trace(rest, memory, &mut steps)?,
            _ => {
                let name = segment.split(':').next().unwrap_or_default();
                let names = NAMED.map(|named| named.name);
                let kinds = ["step", "ramp", "sawtooth", "trace"];
                return Err(PressureError::Unknown {
                    name: name.to_owned(),
                    nearest: nearest(name, names.into_iter().chain(kinds)),
                    known: names.join(", "),
                });
            }
        }
        if steps.len() > MAX_STEPS {
            return Err(PressureError::TooLong);
        }
    }
    Ok(steps)
}

/// `512M@1000,0@4000`
fn step(
    segment: &str,
    rest: &str,
    memory: ByteSize,
    steps: &mut Vec<Step>,
) -> Result<(), PressureError> {
    for part in rest.split(',') {
        let (target, event) = split(segment, part, '@', STEP_FORM)?;
        steps.push(Step {
            event: number(event, "events")?,
            target: amount(target, memory)?,
        });
    }
    Ok(())
}

/// `0-90%@0..5000/20`
fn ramp(
    segment: &str,
    rest: &str,
    memory: ByteSize,
    steps: &mut Vec<Step>,
) -> Result<(), PressureError> {
    let (amounts, rest) = split(segment, rest, '@', RAMP_FORM)?;
    let (from, to) = split(segment, amounts, '-', RAMP_FORM)?;
    let (range, count) = split(segment, rest, '/', RAMP_FORM)?;
    let (start, end) = event_range(segment, range, RAMP_FORM)?;
    let count = step_count(count)?;
    rise(
        amount(from, memory)?,
        amount(to, memory)?,
        start,
        end,
        count,
        steps,
    );
    Ok(())
}

/// `80%@0..9000*3/5`
fn sawtooth(
    segment: &str,
    rest: &str,
    memory: ByteSize,
    steps: &mut Vec<Step>,
) -> Result<(), PressureError> {
    let (peak, rest) = split(segment, rest, '@', SAWTOOTH_FORM)?;
    let (range, rest) = split(segment, rest, '*', SAWTOOTH_FORM)?;
    let (teeth, count) = split(segment, rest, '/', SAWTOOTH_FORM)?;
    let (start, end) = event_range(segment, range, SAWTOOTH_FORM)?;
    let (teeth, count) = (step_count(teeth)?, step_count(count)?);
    if teeth.saturating_mul(count) > MAX_STEPS as u64 {
        return Err(PressureError::TooLong);
    }
    let peak = amount(peak, memory)?;
    for tooth in 0..teeth {
        let from = between(start, end, tooth, teeth);
        let to = between(start, end, tooth + 1, teeth);
        // The last step of a tooth is its fall, so that the peak stands for a step's time.
        rise(
            0,
            peak,
            from,
            between(from, to, count, count + 1),
            count,
            steps,
        );
        steps.push(Step {
            event: to,
            target: 0,
        });
    }
    Ok(())
}

/// A file with lines `EVENT AMOUNT`.
fn trace(path: &str, memory: ByteSize, steps: &mut Vec<Step>) -> Result<(), PressureError> {
    let path = PathBuf::from(path);
    let text = fs::read_to_string(&path).map_err(|source| PressureError::Trace {
        path: path.clone(),
        source,
    })?;
    for (index, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        let mut words = content.split_whitespace();
        let (Some(event), Some(target), None) = (words.next(), words.next(), words.next()) else {
            return Err(PressureError::TraceLine {
                path,
                line: index + 1,
                text: line.to_owned(),
            });
        };
        steps.push(Step {
            event: number(event, "events")?,
            target: amount(target, memory)?,
        });
        if steps.len() > MAX_STEPS {
            return Err(PressureError::TooLong);
        }
    }
    Ok(())
}

/// `count` steps from `from` to `to`, of which the first is already above `from`.
fn rise(from: u64, to: u64, start: u64, end: u64, count: u64, steps: &mut Vec<Step>) {
    for index in 1..=count {
        let event = if count == 1 {
            start
        } else {
            between(start, end, index - 1, count - 1)
        };
        let target = between(from, to, index, count) / PAGE_SIZE * PAGE_SIZE;
        steps.push(Step { event, target });
    }
}

/// The point `index / count` of the way from `from` to `to`.
fn between(from: u64, to: u64, index: u64, count: u64) -> u64 {
    let way = i128::from(to) - i128::from(from);
    (i128::from(from) + way * i128::from(index) / i128::from(count.max(1))) as u64
}

fn split<'a>(
    segment: &str,
    text: &'a str,
    at: char,
    form: &'static str,
) -> Result<(&'a str, &'a str), PressureError> {
    text.split_once(at)
        .map(|(left, right)| (left.trim(), right.trim()))
        .ok_or_else(|| PressureError::Form {
            segment: segment.to_owned(),
            form,
        })
}

fn event_range(segment: &str, text: &str, form: &'static str) -> Result<(u64, u64), PressureError> {
    let (start, end) = text.split_once("..").ok_or_else(|| PressureError::Form {
        segment: segment.to_owned(),
        form,
    })?;
    let (start, end) = (number(start, "events")?, number(end, "events")?);
    if start > end {
        return Err(PressureError::Backwards(start, end));
    }
    Ok((start, end))
}

/// Events that a profile may last: far beyond any run, and safe to add to the clock.
const MAX_EVENT: u64 = 1 << 48;

fn number(text: &str, unit: &'static str) -> Result<u64, PressureError> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| *number <= MAX_EVENT)
        .ok_or_else(|| PressureError::Number(text.trim().to_owned(), unit))
}

fn step_count(text: &str) -> Result<u64, PressureError> {
    let count = number(text, "steps, at least 1")?;
    match count {
        0 => Err(PressureError::Number(text.to_owned(), "steps, at least 1")),
        _ if count > MAX_STEPS as u64 => Err(PressureError::TooLong),
        _ => Ok(count),
    }
}

/// `512M` or `50%`, rounded down to pages.
fn amount(text: &str, memory: ByteSize) -> Result<u64, PressureError> {
    let bad = || PressureError::Amount(text.to_owned());
    let bytes = match text.strip_suffix('%') {
        Some(percent) => {
            let percent: u32 = percent.trim().parse().map_err(|_| bad())?;
            (u128::from(memory.0) * u128::from(percent) / 100)
                .try_into()
                .map_err(|_| bad())?
        }
        None => text.parse::<ByteSize>().map_err(|_| bad())?.0,
    };
    if bytes > memory.0 {
        return Err(PressureError::TooMuch {
            amount: text.to_owned(),
            memory,
        });
    }
    Ok(bytes / PAGE_SIZE * PAGE_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEMORY: ByteSize = ByteSize(1 << 30);

    fn steps(text: &str) -> Vec<(u64, u64)> {
        let profile = PressureProfile::parse(text, MEMORY).unwrap();
        profile
            .steps()
            .iter()
            .map(|step| (step.event, step.target >> 20))
            .collect()
    }

    fn error(text: &str) -> String {
        PressureProfile::parse(text, MEMORY)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn reads_every_kind() {
        assert_eq!(steps("step:512M@1000,0@4000"), [(1000, 512), (4000, 0)]);
        assert_eq!(
            steps("ramp:0-100%@0..300/4"),
            [(0, 256), (100, 512), (200, 768), (300, 1024)]
        );
        assert_eq!(
            steps("sawtooth:50%@0..60*2/2"),
            [(0, 256), (20, 512), (30, 0), (30, 256), (50, 512), (60, 0)]
        );
        assert_eq!(steps("step:1M@9+step:2M@3"), [(3, 2), (9, 1)]);
    }

    #[test]
    fn every_named_profile_ends_with_an_empty_balloon() {
        for named in NAMED {
            let profile = PressureProfile::parse(named.name, MEMORY).unwrap();
            assert_eq!(profile.steps().last().unwrap().target, 0, "{}", named.name);
            assert_eq!(profile.text(), named.name);
        }
    }

    #[test]
    fn reads_a_trace() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        fs::write(path, "# event amount\n10 1M\n\n20 50% # half\n").unwrap();
        assert_eq!(steps(&format!("trace:{path}")), [(10, 1), (20, 512)]);
        fs::write(path, "10 1M\n20\n").unwrap();
        assert!(error(&format!("trace:{path}")).starts_with("line 2 of the trace"));
        assert!(error("trace:/does/not/exist").contains("/does/not/exist"));
    }

    #[test]
    fn errors_name_value_and_remedy() {
        assert!(error("squeze").contains("did you mean 'squeeze'?"));
        assert!(error("stp:1M@1").contains("did you mean 'step'?"));
        assert!(error("step:1M").contains("step:AMOUNT@EVENT"));
        assert!(error("step:2G@1").contains("more than the machine's memory of 1G"));
        assert!(error("step:x@1").contains("'x' is no amount"));
        assert!(error("step:101%@1").contains("101% is more than"));
        assert!(error("ramp:0-1M@9..3/2").contains("9..3 runs backwards"));
        assert!(error("ramp:0-1M@0..3/0").contains("'0' is not a number of steps"));
        assert!(error("sawtooth:1M@0..9*99999/99999").contains("more than 100000 steps"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "((step|ramp|sawtooth):)?[0-9@.,*/%+KMG-]{0,40}") {
            let _ = PressureProfile::parse(&text, MEMORY);
        }

        #[test]
        fn targets_are_pages_within_memory(
            from in 0u64..=100, to in 0u64..=100, end in 0u64..10_000, count in 1u64..50,
        ) {
            let text = format!("ramp:{from}%-{to}%@0..{end}/{count}");
            let profile = PressureProfile::parse(&text, MEMORY).unwrap();
            prop_assert_eq!(profile.steps().len() as u64, count);
            for step in profile.steps() {
                prop_assert!(step.target <= MEMORY.0 && step.target.is_multiple_of(PAGE_SIZE));
                prop_assert!(step.event <= end);
            }
            prop_assert_eq!(profile.length(), if count == 1 { 0 } else { end });
        }
    }
}
