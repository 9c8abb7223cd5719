//! A disk's state.

use serde::{Deserialize, Serialize};

use super::backing::Sectors;
use super::delay::Delay;
use super::{Block, Counters};
use crate::devices::state::{StateError, Stateful};
use crate::fault::Injector;

/// What a disk has counted, what is to fail, what it holds back, and its sectors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockState {
    features: u64,
    counters: Counters,
    injector: Injector,
    delay: Delay,
    /// The sectors. In a saved snapshot they stand apart, so none here leaves those of the disk.
    #[serde(skip)]
    pub(crate) sectors: Option<Sectors>,
}

impl Stateful for Block {
    type State = BlockState;

    fn state(&mut self) -> BlockState {
        BlockState {
            features: self.features,
            counters: self.counters,
            injector: self.injector.clone(),
            delay: self.delay.clone(),
            sectors: Some(self.backing.freeze()),
        }
    }

    fn restore(&mut self, state: &BlockState) -> Result<(), StateError> {
        self.features = state.features;
        self.counters = state.counters;
        self.injector = state.injector.clone();
        self.delay = state.delay.clone();
        if let Some(sectors) = &state.sectors {
            self.backing.restore(sectors);
        }
        Ok(())
    }
}
