//! Knobs as they are written: `name,knob=value,…`, each once, with the values still text.

use super::FaultError;
use crate::nearest::nearest;

/// The knobs of one fault.
pub(super) struct Written<'t> {
    known: &'static [&'static str],
    values: Vec<Option<&'t str>>,
}

impl<'t> Written<'t> {
    /// Reads what follows the fault's name.
    pub(super) fn read(
        text: &'t str,
        fault: &'static str,
        known: &'static [&'static str],
    ) -> Result<Self, FaultError> {
        let mut values = vec![None; known.len()];
        for part in text.split(',').skip(1).map(str::trim) {
            let (word, value) = part
                .split_once('=')
                .ok_or_else(|| FaultError::NoValue(part.to_owned()))?;
            let word = word.trim();
            let index = known.iter().position(|knob| *knob == word);
            let index = index.ok_or_else(|| FaultError::UnknownKnob {
                fault,
                knob: word.to_owned(),
                nearest: nearest(word, known.iter().copied()),
                known: known.join(", "),
            })?;
            if values[index].replace(value.trim()).is_some() {
                return Err(FaultError::Twice(known[index]));
            }
        }
        Ok(Self { known, values })
    }

    /// Takes a knob's value.
    pub(super) fn take(&mut self, knob: &'static str) -> Option<&'t str> {
        let index = self.known.iter().position(|known| *known == knob)?;
        self.values[index].take()
    }

    /// Takes the value of a knob that has to be there.
    pub(super) fn need(
        &mut self,
        knob: &'static str,
        allowed: &'static str,
    ) -> Result<&'t str, FaultError> {
        self.take(knob).ok_or(FaultError::Missing { knob, allowed })
    }

    /// Takes a number that has to be there.
    pub(super) fn number(
        &mut self,
        knob: &'static str,
        allowed: &'static str,
    ) -> Result<u64, FaultError> {
        number(knob, self.need(knob, allowed)?, allowed)
    }

    /// Takes a number of 32 bits that has to be there.
    pub(super) fn small(
        &mut self,
        knob: &'static str,
        allowed: &'static str,
    ) -> Result<u32, FaultError> {
        let number = self.number(knob, allowed)?;
        u32::try_from(number).map_err(|_| bad(knob, &number.to_string(), allowed))
    }

    /// Takes a number that may be there.
    pub(super) fn optional(
        &mut self,
        knob: &'static str,
        allowed: &'static str,
    ) -> Result<Option<u64>, FaultError> {
        self.take(knob)
            .map(|value| number(knob, value, allowed))
            .transpose()
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), FaultError> {
        match self.values.iter().position(Option::is_some) {
            Some(index) => Err(FaultError::InVain(self.known[index])),
            None => Ok(()),
        }
    }
}

/// The error for a value that a knob cannot take.
pub(super) fn bad(knob: &'static str, value: &str, allowed: &'static str) -> FaultError {
    FaultError::BadValue {
        knob,
        value: value.to_owned(),
        allowed,
    }
}

/// A number in decimal, or in hexadecimal after 0x.
pub(super) fn number(
    knob: &'static str,
    value: &str,
    allowed: &'static str,
) -> Result<u64, FaultError> {
    let parsed = match value.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => value.parse(),
    };
    parsed.map_err(|_| bad(knob, value, allowed))
}
