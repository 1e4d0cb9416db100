//! Moving fingerprints to older layers, so that the youngest may go.

use super::{EMPTY, Hash, Layer, Parts};

impl Parts {
    /// Empties layers, the youngest first, as long as that succeeds.
    pub(super) fn compact(&mut self) {
        while self.layers.len() > 1 && self.empty_layer(self.layers.len() - 1) {}
        self.deletes = 0;
    }

    /// Tries it with every layer.
    pub(super) fn compact_all(&mut self) {
        for index in (1..self.layers.len()).rev() {
            self.empty_layer(index);
        }
        self.deletes = 0;
    }

    /// Moves what a layer holds to older ones, as far as there is room. Gives the layer up, and says so, if it is the last one
    /// and nothing is left in it.
    fn empty_layer(&mut self, index: usize) -> bool {
        let is_last = index + 1 == self.layers.len();
        let (older, younger) = self.layers.split_at_mut(index);
        let layer = &mut younger[0];
        let mut is_empty = true;
        for at in 0..layer.slots.len() {
            if layer.slots[at] != EMPTY {
                // Older layers have no more buckets, so the lower bits of where it would go there are known.
                let place = (at / layer.bucket_size) as u64;
                let hash = Hash { fingerprint: layer.slots[at], first: place };
                if older.iter_mut().any(|layer| take(layer, hash)) {
                    layer.slots[at] = EMPTY;
                } else {
                    is_empty = false;
                }
            }
        }
        let goes = is_empty && is_last;
        if goes {
            self.slots_len -= self.layers[index].slots.len();
            self.layers.pop();
        }
        goes
    }
}

/// Puts a fingerprint into an empty slot of its two buckets; false if there is none.
fn take(layer: &mut Layer, hash: Hash) -> bool {
    let Some(at) = layer.find_either(EMPTY, hash) else { return false };
    layer.slots[at] = hash.fingerprint;
    true
}
