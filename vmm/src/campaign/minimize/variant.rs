//! A variant of an experiment.

use crate::{
    campaign::{command_line, experiment::Experiment, plan::Armed},
    program::{Program, ProgramError},
};
use std::ffi::OsString;

/// An experiment with less of it.
#[derive(Clone)]
pub(super) struct Variant {
    pub(super) experiment: Experiment,
    pub(super) armed: Vec<Armed>,
    /// The event at which the run ends.
    pub(super) stop_at: Option<u64>,
    /// Whether the run without faults is that of the campaign.
    pub(super) has_same_golden: bool,
}

impl Variant {
    /// The command that runs it.
    pub(super) fn command(&self) -> String {
        let faults = self.armed.iter().flat_map(Armed::options);
        let stop = self
            .stop_at
            .map(|event| ["--stop-at".to_owned(), event.to_string()]);
        let all = faults.chain(stop.into_iter().flatten());
        command_line(&self.experiment, &self.experiment.options, all)
    }

    /// Where the name of the option `name` is that comes as the `nth`, from 0.
    fn option(&self, name: &str, nth: usize) -> Option<usize> {
        let names = self.experiment.options.iter().enumerate().step_by(2);
        let mut found = names.filter(|(_, option)| *option == name);
        found.nth(nth).map(|(at, _)| at)
    }

    /// Gives an option of `pagelab run` another value.
    pub(super) fn set_option(&mut self, name: &str, value: &str) {
        if let Some(at) = self.option(name, 0) {
            value.clone_into(&mut self.experiment.options[at + 1]);
        }
    }

    /// Takes an option away with its value, which is returned; none if it is not there.
    pub(super) fn remove_option(&mut self, name: &str) -> Option<String> {
        self.remove_nth_option(name, 0)
    }

    /// As [`Self::remove_option`], of one that may come several times.
    pub(super) fn remove_nth_option(&mut self, name: &str, nth: usize) -> Option<String> {
        let at = self.option(name, nth)?;
        let mut removed = self.experiment.options.drain(at..at + 2);
        removed.nth(1)
    }

    /// The program's name and arguments; none without a program.
    pub(super) fn words(&self) -> Vec<String> {
        let program = self.experiment.program.as_ref();
        program.map_or_else(Vec::new, |program| program.command.clone())
    }

    /// Gives the program other arguments. False if it cannot have them.
    pub(super) fn set_words(&mut self, words: Vec<String>) -> bool {
        if let Some(program) = &mut self.experiment.program {
            program.spec.command = words.iter().map(OsString::from).collect();
            program.command = words;
        }
        self.reload().is_ok()
    }

    /// Packs the program again, with the arguments, variables and files that it has now.
    pub(super) fn reload(&mut self) -> Result<(), ProgramError> {
        self.has_same_golden = false;
        if let Some(program) = &self.experiment.program {
            let loaded = Program::load_from(&program.path, &program.spec)?;
            self.experiment.config.program = Some(loaded);
        }
        Ok(())
    }
}
