//! How often a guest may ring: each look at it costs time and memory, and a hostile guest could ring for
//! ever.

use pagelab_abi::{platform::Doorbell, view::ViewKind};
use serde::{Deserialize, Serialize};

/// Bells that were rung, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Turns {
    ready: u32,
    phase: u32,
    view: u32,
    done: u32,
}

impl Turns {
    /// Whether the guest has said that its workload is over.
    pub(super) const fn is_done(&self) -> bool {
        self.done > 0
    }

    /// Notes a bell. If the guest has now rung it more often than any honest guest does, says so.
    pub(super) fn note(&mut self, bell: Doorbell) -> Result<(), String> {
        let (count, most, name) = match bell {
            Doorbell::Ready => (&mut self.ready, 1, "ready"),
            Doorbell::Phase => (&mut self.phase, 4, "phase"),
            Doorbell::View => (&mut self.view, ViewKind::ALL.len() as u32, "view"),
            Doorbell::Done => (&mut self.done, 1, "done"),
            // These cost little, and the machine ends a guest that does nothing else.
            Doorbell::Stop
            | Doorbell::Idle
            | Doorbell::Batch
            | Doorbell::Log
            | Doorbell::Candidate => return Ok(()),
        };
        *count += 1;
        if *count <= most {
            return Ok(());
        }
        let times = if most == 1 { "once" } else { "so often" };
        Err(format!(
            "the guest rang the bell '{name}' {count} times, and may do so only {times}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_guest_may_ring_all_its_bells() {
        let mut turns = Turns::default();
        turns.note(Doorbell::Ready).unwrap();
        for _ in 0..4 {
            turns.note(Doorbell::Phase).unwrap();
        }
        for _ in ViewKind::ALL {
            turns.note(Doorbell::View).unwrap();
        }
        for _ in 0..10_000 {
            turns.note(Doorbell::Stop).unwrap();
            turns.note(Doorbell::Batch).unwrap();
        }
        assert!(!turns.is_done());
        turns.note(Doorbell::Done).unwrap();
        assert!(turns.is_done());
    }

    #[test]
    fn a_bell_too_many_is_named() {
        for (bell, name) in [
            (Doorbell::Ready, "ready"),
            (Doorbell::Phase, "phase"),
            (Doorbell::View, "view"),
            (Doorbell::Done, "done"),
        ] {
            let mut turns = Turns::default();
            let error = (0..100).find_map(|_| turns.note(bell).err()).unwrap();
            assert!(error.contains(name), "{error}");
        }
    }
}
