//! What is written to a disk after a snapshot: blocks in memory, above the sectors of before.
//!
//! A layer that is no longer written to is shared by all who stand on it, so a disk can go back to a
//! snapshot, and be given to many machines, at a cost that does not depend on its size.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::BLOCK_SIZE;

/// Layers in a stack at most; then they are made one.
const MAX_LAYERS: usize = 8;

/// Bytes of a block.
const LEN: usize = BLOCK_SIZE as usize;

/// A block's bytes.
type Block = Box<[u8; LEN]>;

/// Blocks by their number.
type Layer = BTreeMap<u64, Block>;

/// Layers that nobody writes to, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Frozen(Vec<Arc<Layer>>);

impl Frozen {
    /// Numbers of the blocks in any layer; some may come more than once.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|layer| layer.keys().copied())
    }
}

/// Layers, of which the top one takes what is written.
#[derive(Debug, Default)]
pub(super) struct Layers {
    frozen: Frozen,
    top: Layer,
}

impl Layers {
    /// An empty layer above others.
    pub(super) fn above(frozen: Frozen) -> Self {
        Self {
            frozen,
            top: Layer::new(),
        }
    }

    /// Puts an empty layer on top, and returns those below it.
    pub(super) fn freeze(&mut self) -> Frozen {
        if !self.top.is_empty() {
            let top = std::mem::take(&mut self.top);
            self.frozen.0.push(Arc::new(top));
        }
        if self.frozen.0.len() > MAX_LAYERS {
            let mut all = Layer::new();
            for layer in &self.frozen.0 {
                all.extend(layer.iter().map(|(number, block)| (*number, block.clone())));
            }
            self.frozen.0 = vec![Arc::new(all)];
        }
        self.frozen.clone()
    }

    /// The block, if it was written since the first snapshot.
    pub(super) fn get(&self, number: u64) -> Option<&[u8; LEN]> {
        let frozen = self.frozen.0.iter().rev();
        let mut layers = std::iter::once(&self.top).chain(frozen.map(|layer| &**layer));
        layers
            .find_map(|layer| layer.get(&number))
            .map(|block| &**block)
    }

    /// The block, for writing to; `below` gives the bytes of one that is in no layer.
    pub(super) fn get_mut<E>(
        &mut self,
        number: u64,
        below: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<&mut [u8; LEN], E> {
        if !self.top.contains_key(&number) {
            let mut block = Box::new([0; LEN]);
            match self.get(number) {
                Some(bytes) => *block = *bytes,
                None => below(&mut block[..])?,
            }
            self.top.insert(number, block);
        }
        Ok(self.top.entry(number).or_insert_with(|| Box::new([0; LEN])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn write(layers: &mut Layers, number: u64, byte: u8) {
        let below = |bytes: &mut [u8]| {
            bytes.fill(9);
            Ok::<(), Infallible>(())
        };
        layers.get_mut(number, below).unwrap()[0] = byte;
    }

    #[test]
    fn the_newest_layer_that_has_a_block_counts() {
        let mut layers = Layers::default();
        assert_eq!(layers.get(5), None);
        write(&mut layers, 5, 1);
        let first = layers.freeze();
        write(&mut layers, 5, 2);
        write(&mut layers, 6, 3);
        assert_eq!(layers.get(5).unwrap()[..2], [2, 9]);
        assert_eq!(layers.get(6).unwrap()[0], 3);
        let again = Layers::above(first);
        assert_eq!(again.get(5).unwrap()[0], 1);
        assert_eq!(again.get(6), None);
    }

    #[test]
    fn many_snapshots_make_no_tall_stack() {
        let mut layers = Layers::default();
        for step in 0..40 {
            write(&mut layers, u64::from(step % 7), step);
            layers.freeze();
        }
        assert!(layers.frozen.0.len() <= MAX_LAYERS + 1);
        for number in 0..7 {
            let last = (0..40_u8).rev().find(|step| u64::from(step % 7) == number);
            assert_eq!(layers.get(number).map(|block| block[0]), last);
        }
    }
}
