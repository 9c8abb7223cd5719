//! A `[[fault]]` table: many fault points at once, read by the grammar of `--fault`.

use super::{Numbers, error::Wrong, file::FaultTable};
use crate::{
    fault::{BitflipSpec, FaultKind, FaultSpec, HOST_FAULTS, HostFault},
    nearest::nearest,
    pressure::PressureProfile,
    size::ByteSize,
};

/// What one `[[fault]]` table asks for.
#[derive(Clone, Debug)]
pub enum FaultFamily {
    /// Each of these candidates by itself fails: `nth`.
    Candidates {
        /// Which requests are candidates; its `nth` is a placeholder.
        spec: Box<FaultSpec>,
        /// Their numbers, counted from the end of boot or from `at`.
        nth: Numbers,
    },
    /// One fault point: as many failures as `probability` and the like let come.
    Whole(Box<FaultSpec>),
    /// Each of these bits at each of these events.
    Flips(FlipFamily),
    /// The host does something to the machine itself: each of these things that it is chosen from, or, if
    /// there is nothing to choose, one fault point.
    Host(HostFault, Option<Numbers>),
    /// One fault point: balloon pressure over the run.
    Pressure(PressureProfile),
}

/// Bits that are turned over, one in each experiment.
#[derive(Clone, Debug)]
pub struct FlipFamily {
    /// The place; its bit and event are placeholders.
    pub spec: BitflipSpec,
    /// Bits of the place.
    pub bits: Numbers,
    /// Events of the golden run.
    pub events: Numbers,
}

/// Kinds besides those of [`FaultKind`].
const BITFLIP: &str = "bitflip";
const PRESSURE: &str = "pressure";

/// Reads a table. `memory` is the machine's, of which a profile may want a share.
pub(super) fn family(table: &FaultTable, memory: ByteSize) -> Result<FaultFamily, Wrong> {
    let kind = table.kind.get_ref().as_str();
    match kind {
        PRESSURE => pressure(table, memory),
        BITFLIP => flips(table),
        _ if HOST_FAULTS.contains(&kind) => host(table),
        _ if FaultKind::ALL.iter().any(|known| known.name() == kind) => failures(table),
        _ => {
            let kinds = FaultKind::ALL.map(FaultKind::name);
            let known = || {
                kinds
                    .into_iter()
                    .chain([BITFLIP, PRESSURE])
                    .chain(HOST_FAULTS)
            };
            let hint = nearest(kind, known())
                .map(|name| format!(", did you mean '{name}'?"))
                .unwrap_or_default();
            let known: Vec<&str> = known().collect();
            let known = known.join(", ");
            let message = format!("unknown fault '{kind}'{hint}; known are: {known}");
            Err(Wrong::new(table.kind.span(), message))
        }
    }
}

/// The knobs that are set, but for those in `without`, as behind `--fault`, read one more at a time, so that
/// the first that is wrong is known.
fn words<T, E: std::fmt::Display>(
    table: &FaultTable,
    without: &[&str],
    more: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    is_whole: impl Fn(&E) -> bool,
) -> Result<T, Wrong> {
    let mut text = format!("{}{more}", table.kind.get_ref());
    for (knob, value) in table.knobs() {
        if without.contains(&knob) {
            continue;
        }
        let shown = value.get_ref().to_string();
        if shown.contains(',') {
            let message = format!("{knob} takes one value here, and '{shown}' has commas");
            return Err(Wrong::new(value.span(), message));
        }
        text = format!("{text},{knob}={shown}");
        match parse(&text) {
            Err(error) if !is_whole(&error) => return Err(Wrong::new(value.span(), error)),
            _ => {}
        }
    }
    parse(&text).map_err(|error| Wrong::new(table.kind.span(), error))
}

fn numbers(
    table: &FaultTable,
    knob: &str,
) -> Result<Option<(Numbers, std::ops::Range<usize>)>, Wrong> {
    let found = table.knobs().into_iter().find(|(name, _)| *name == knob);
    let Some((_, value)) = found else {
        return Ok(None);
    };
    let numbers = value.get_ref().to_string().parse();
    let numbers = numbers.map_err(|error| Wrong::new(value.span(), format!("{knob}: {error}")))?;
    Ok(Some((numbers, value.span())))
}

fn failures(table: &FaultTable) -> Result<FaultFamily, Wrong> {
    use crate::fault::FaultError::NeverFires;
    let parse = |text: &str| text.parse::<FaultSpec>();
    let is_whole = |error: &_| matches!(error, NeverFires(_));
    let Some((nth, span)) = numbers(table, "nth")? else {
        let spec = words(table, &[], "", parse, is_whole)?;
        return Ok(FaultFamily::Whole(Box::new(spec)));
    };
    if nth.ends().0 == 0 {
        return Err(Wrong::new(span, "nth counts from 1; write \"1..\" for all"));
    }
    for (knob, value) in table.knobs() {
        if ["probability", "interval", "times", "space"].contains(&knob) {
            let message = format!(
                "{knob} and nth exclude one another: with nth each of these candidates fails, one in \
                 each experiment; leave out one of the two"
            );
            return Err(Wrong::new(value.span(), message));
        }
    }
    let spec = words(table, &["nth"], ",nth=1", parse, is_whole)?;
    Ok(FaultFamily::Candidates {
        spec: Box::new(spec),
        nth,
    })
}

fn flips(table: &FaultTable) -> Result<FaultFamily, Wrong> {
    use crate::fault::FaultError::{InVain, Missing};
    let parse = |text: &str| text.parse::<BitflipSpec>();
    let is_whole = |error: &_| matches!(error, Missing { .. } | InVain(_));
    let bits = numbers(table, "bit")?;
    let Some((events, _)) = numbers(table, "event")? else {
        let message = "bitflip needs event, the golden run's events at which a bit is turned over, \
                       such as event = \"500..600\"";
        return Err(Wrong::new(table.kind.span(), message));
    };
    let spec = words(table, &["bit", "event"], "", parse, is_whole)?;
    let last = u64::from(spec.place.bits()) - 1;
    let (bits, span) = bits.unwrap_or((Numbers::one(0), table.kind.span()));
    if bits.ends().0 > last || (bits.ends().1 > last && bits.ends().1 != u64::MAX) {
        let message = format!("bit: there are bits 0 to {last}, and not '{bits}'");
        return Err(Wrong::new(span, message));
    }
    Ok(FaultFamily::Flips(FlipFamily { spec, bits, events }))
}

fn host(table: &FaultTable) -> Result<FaultFamily, Wrong> {
    use crate::fault::FaultError::{InVain, Missing};
    let parse = |text: &str| text.parse::<HostFault>();
    let is_whole = |error: &_| matches!(error, Missing { .. } | InVain(_));
    // There it is one number, and nothing is chosen by it.
    let chooses = table.kind.get_ref() != "host_latency";
    let Some((nth, span)) = numbers(table, "nth")?.filter(|_| chooses) else {
        let fault = words(table, &[], "", parse, is_whole)?;
        return Ok(FaultFamily::Host(fault, None));
    };
    if nth.ends().0 == 0 {
        return Err(Wrong::new(span, "nth counts from 1; write \"1..\" for all"));
    }
    let fault = words(table, &["nth"], ",nth=1", parse, is_whole)?;
    Ok(FaultFamily::Host(fault, Some(nth)))
}

fn pressure(table: &FaultTable, memory: ByteSize) -> Result<FaultFamily, Wrong> {
    let mut profile = None;
    for (knob, value) in table.knobs() {
        if knob != "profile" {
            let message = format!("unknown knob '{knob}' of pressure; its knobs are: profile");
            return Err(Wrong::new(value.span(), message));
        }
        let text = value.get_ref().to_string();
        let parsed = PressureProfile::parse(&text, memory);
        profile = Some(parsed.map_err(|error| Wrong::new(value.span(), error))?);
    }
    let message = "pressure needs profile, as behind --pressure, such as profile = \"step:8M@100\"";
    let profile = profile.ok_or_else(|| Wrong::new(table.kind.span(), message))?;
    Ok(FaultFamily::Pressure(profile))
}
