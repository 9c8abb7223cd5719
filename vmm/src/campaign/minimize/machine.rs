//! A smaller machine, and an earlier end.

use super::{MinimizeError, search::Search, variant::Variant};
use crate::{
    campaign::experiment::Experiment, program::ProgramSpec, scenario::RunConfig, size::ByteSize,
};

/// The least memory that a machine has.
const LEAST_MEMORY: u64 = 16 << 20;

/// Takes from an experiment what an option has said.
type Reset = fn(&mut Experiment);

/// Options that a machine and a program can perhaps do without.
const OPTIONS: [(&str, Reset); 10] = [
    ("--swap", |it| it.config.swap = None),
    ("--disk", |it| it.config.disk = None),
    ("--memory-max", |it| it.config.memory_max = None),
    ("--zone-limits", |it| it.config.zone_limits = None),
    ("--zones", |it| {
        it.config.zones = RunConfig::default().zones;
    }),
    ("--transparent-hugepage", |it| {
        it.config.transparent_hugepage = RunConfig::default().transparent_hugepage;
    }),
    ("--slab-debug", |it| it.config.slab_debug = None),
    ("--audit-every", |it| it.config.audit_every = None),
    ("--seed", |it| it.config.seed = RunConfig::default().seed),
    ("--append", |it| it.config.append = None),
];

impl Search<'_> {
    /// Fewer options, variables and files.
    pub(super) fn options(&mut self) -> Result<(), MinimizeError> {
        for (name, reset) in OPTIONS {
            let mut variant = self.best().clone();
            if let Some(value) = variant.remove_option(name) {
                reset(&mut variant.experiment);
                variant.has_same_golden = false;
                self.accept(variant, &format!("without {name} {value}"))?;
            }
        }
        self.of_the_program("--env", |program| &mut program.env)?;
        self.of_the_program("--file", |program| &mut program.files)
    }

    /// Fewer of what the program is given, which stand in the order of the options `name`.
    fn of_the_program<T>(
        &mut self,
        name: &str,
        list: fn(&mut ProgramSpec) -> &mut Vec<T>,
    ) -> Result<(), MinimizeError> {
        let mut kept = 0;
        loop {
            let mut variant = self.best().clone();
            let Some(value) = variant.remove_nth_option(name, kept) else {
                return Ok(());
            };
            if let Some(program) = &mut variant.experiment.program {
                list(&mut program.spec).remove(kept);
            }
            if variant.reload().is_err()
                || !self.accept(variant, &format!("without {name} {value}"))?
            {
                kept += 1;
            }
        }
    }

    /// Half of the memory, as often as that goes.
    pub(super) fn memory(&mut self) -> Result<(), MinimizeError> {
        loop {
            let half = ByteSize(self.best().experiment.config.memory.0 / 2);
            if half.0 < LEAST_MEMORY {
                return Ok(());
            }
            let mut variant = self.best().clone();
            variant.experiment.config.memory = half;
            variant.has_same_golden = false;
            variant.set_option("--memory", &half.to_string());
            if !self.accept(variant, &format!("{half} of memory is enough"))? {
                return Ok(());
            }
        }
    }

    /// The first event at which an audit finds it. Events are not all alike: of one that lies within an
    /// operation fewer audits are made, so what is found is an early one, and perhaps not the first.
    pub(super) fn events(&mut self) -> Result<(), MinimizeError> {
        if !self.signature().has_first_event() {
            return Ok(());
        }
        let (mut low, mut high) = self.events_range();
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let variant = Variant {
                stop_at: Some(middle),
                ..self.best().clone()
            };
            match self.fails_alike(&variant)? {
                true => {
                    high = middle;
                    found = Some(variant);
                }
                false => low = middle + 1,
            }
        }
        if let Some(variant) = found {
            let event = variant.stop_at.unwrap_or_default();
            self.keep(variant, format!("it shows at event {event}"));
        }
        Ok(())
    }
}
