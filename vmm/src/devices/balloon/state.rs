//! The balloon's state.

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::held::HeldPages;
use super::{Balloon, Counters, Stats};
use crate::devices::state::{StateError, Stateful};

/// What the balloon holds, was asked for and has counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BalloonState {
    config: Config,
    features: u64,
    held: HeldPages,
    stats: Vec<(u16, u64)>,
    stats_chain: Option<u16>,
    counters: Counters,
}

impl Stateful for Balloon {
    type State = BalloonState;

    fn state(&mut self) -> BalloonState {
        BalloonState {
            config: self.config,
            features: self.features,
            held: self.held.clone(),
            stats: self.stats.entries(),
            stats_chain: self.stats_chain,
            counters: self.counters,
        }
    }

    fn restore(&mut self, state: &BalloonState) -> Result<(), StateError> {
        self.config = state.config;
        self.features = state.features;
        self.held.clone_from(&state.held);
        self.stats = Stats::from_entries(&state.stats);
        self.stats_chain = state.stats_chain;
        self.counters = state.counters;
        Ok(())
    }
}
