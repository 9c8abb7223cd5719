//! Runs the experiments of a campaign that are still to be done, on several threads.

use super::{
    Campaign,
    executor::Executor,
    journal::{Journal, JournalError},
    queue::Queue,
    record::Record,
};
use crate::scenario::RunError;
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
};
use thiserror::Error;

/// How often an experiment is tried whose machine fails.
const TRIES: u32 = 3;

/// Why a campaign stopped before its end. What is in the record file stays good.
#[derive(Debug, Error)]
pub enum WorkError {
    /// The record file cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A machine failed again and again.
    #[error(
        "experiment {id} cannot be run: {error} (tried {TRIES} times); the records so far are kept, and the \
         same command goes on from there"
    )]
    Machine {
        /// Which.
        id: u64,
        /// The last error.
        error: RunError,
    },
    /// A worker came to grief.
    #[error(
        "experiment {id} ended in an error of pagelab itself: {message}; the records so far are kept, and the \
         same command goes on from there"
    )]
    Panicked {
        /// Which.
        id: u64,
        /// What it said.
        message: String,
    },
}

/// Who wants to know how it goes.
pub trait Progress {
    /// A record is in the file.
    fn recorded(&mut self, record: &Record);
}

/// Runs all experiments of the journal's part that have no record yet, on `jobs` threads. `executor` makes
/// each thread one.
///
/// # Errors
/// [`WorkError`]. What was recorded before it stays.
pub fn work(
    campaign: &Campaign,
    journal: &mut Journal,
    jobs: usize,
    executor: impl Fn() -> Result<Box<dyn Executor>, RunError> + Sync,
    progress: &mut dyn Progress,
) -> Result<(), WorkError> {
    let done: BTreeSet<u64> = journal.done().clone();
    let partition = journal.header().partition;
    let is_wanted =
        |id| partition.is_none_or(|partition| partition.contains(id)) && !done.contains(&id);
    let queue = Mutex::new(Queue::new(&campaign.plan, is_wanted));
    let stop = AtomicBool::new(false);
    let take = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.next().filter(|_| !stop.load(Relaxed))
    };
    // A worker waits until its record is taken, so that no more than one for each is ever unwritten.
    let (sender, receiver) = mpsc::sync_channel::<Result<Record, WorkError>>(0);
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let sender = sender.clone();
            let (take, executor) = (&take, &executor);
            scope.spawn(move || {
                let mut machine = None;
                while let Some(id) = take() {
                    let result = experiment(campaign, &mut machine, executor, id);
                    let failed = result.is_err();
                    if sender.send(result).is_err() || failed {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut outcome = Ok(());
        for result in receiver {
            if outcome.is_err() {
                // Others may have ended meanwhile; what cannot be kept is run again later.
                continue;
            }
            let written = result.and_then(|record| {
                journal.append(&record)?;
                progress.recorded(&record);
                Ok(())
            });
            if written.is_err() {
                stop.store(true, Relaxed);
                outcome = written;
            }
        }
        outcome
    })
}

/// Runs one experiment, on a new machine if one fails.
fn experiment(
    campaign: &Campaign,
    machine: &mut Option<Box<dyn Executor>>,
    executor: impl Fn() -> Result<Box<dyn Executor>, RunError>,
    id: u64,
) -> Result<Record, WorkError> {
    let Some(planned) = campaign.plan.get(id) else {
        let message = "the plan has no such experiment".to_owned();
        return Err(WorkError::Panicked { id, message });
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let machine = match machine {
                Some(machine) => machine,
                None => machine.insert(executor()?),
            };
            machine.execute(&planned)
        }));
        match ran {
            Ok(Ok(report)) => {
                let mut record = campaign.record(id, &planned, &report);
                if record.class.is_failure() {
                    record.evidence = campaign.evidence(&planned).ok();
                }
                return Ok(record);
            }
            Ok(Err(error)) if tries >= TRIES => return Err(WorkError::Machine { id, error }),
            Ok(Err(error)) => log::warn!("experiment {id} is tried again: {error}"),
            Err(panic) if tries >= TRIES => {
                let message = panic.downcast_ref::<String>().cloned();
                let text = || panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let message = message.or_else(text).unwrap_or_default();
                return Err(WorkError::Panicked { id, message });
            }
            Err(_) => log::warn!("experiment {id} is tried again after an error of pagelab itself"),
        }
        *machine = None;
    }
}

#[cfg(test)]
mod tests;
