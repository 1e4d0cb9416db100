//! Cuckoo filters: which elements were seen, and how often about, where elements can be removed as well (B. Fan and others,
//! "Cuckoo Filter: Practically Better Than Bloom", 2014), with the bytes that RedisBloom keeps.
//!
//! Of an element there is a fingerprint of one byte, in one of two buckets, either of which can be told from the other and the
//! fingerprint. A full filter is followed by a larger one.

mod chunks;
mod compact;
#[cfg(test)]
mod tests;

pub use chunks::ChunkError;

use crate::keyspace::size_class;
use crate::types::collection::AlwaysBoxed;
use crate::types::murmur::murmur64;
use crate::types::zeroed::{SKETCH_SIZE_MAX, zeroed};
use crate::value::TypeCode;

/// A slot without a fingerprint.
const EMPTY: u8 = 0;
/// What RedisBloom counts for a filter without its slots, and for all but the slots of a part.
const FILTER_OVERHEAD: u64 = 40;
const LAYER_OVERHEAD: u64 = 16;

/// The hash of an element: its fingerprint and where that goes. O(len).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    fingerprint: u8,
    first: u64,
}

impl Hash {
    #[inline]
    pub fn of(element: &[u8]) -> Self {
        let first = murmur64(element, 0);
        Hash { fingerprint: (first % 255) as u8 + 1, first }
    }

    fn second(self) -> u64 {
        other_place(self.fingerprint, self.first)
    }
}

/// The other place of a fingerprint: of that, this is the other place.
fn other_place(fingerprint: u8, place: u64) -> u64 {
    place ^ (u64::from(fingerprint) * 0x5bd1_e995)
}

/// What makes a new filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Elements for which there is room, about.
    pub capacity: u64,
    /// Slots of a bucket, at least 1.
    pub bucket_size: u8,
    /// Most fingerprints that are moved to make room for another.
    pub iterations_max: u16,
    /// How many times larger each layer is than the one before, rounded up to a power of two; 0 for one layer only. At most
    /// 32768.
    pub expansion: u16,
}

/// Why an element was not added. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room, and will be none.
    Full,
    /// There are as many layers as are allowed.
    LayersMax,
    /// The next layer would be too large.
    TooLarge,
}

/// A cuckoo filter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cuckoo {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Parts {
    /// Elements that were added and not removed.
    items: u64,
    /// Elements that were removed since the layers were last compacted.
    deletes: u64,
    /// Buckets of the first layer.
    buckets: u64,
    bucket_size: u8,
    iterations_max: u16,
    expansion: u16,
    /// The oldest first.
    layers: Vec<Layer>,
    /// Slots of all layers, one byte each.
    slots_len: usize,
}

/// A plain cuckoo filter.
#[derive(Clone, Debug, PartialEq)]
struct Layer {
    /// A power of two.
    buckets: u64,
    bucket_size: usize,
    slots: Box<[u8]>,
}

impl Layer {
    fn new(buckets: u64, bucket_size: u8, room: u64) -> Option<Self> {
        let slots = zeroed(buckets.checked_mul(bucket_size.into())?, room)?;
        Some(Layer { buckets, bucket_size: bucket_size.into(), slots })
    }

    /// The index of the first slot of a place.
    #[inline]
    fn start(&self, place: u64) -> usize {
        (place & (self.buckets - 1)) as usize * self.bucket_size
    }

    fn find(&self, fingerprint: u8, place: u64) -> Option<usize> {
        let start = self.start(place);
        let bucket = &self.slots[start..start + self.bucket_size];
        bucket.iter().position(|slot| *slot == fingerprint).map(|at| start + at)
    }

    /// A slot with this fingerprint (or an empty one, if that is what is looked for) in either bucket.
    #[inline]
    fn find_either(&self, sought: u8, hash: Hash) -> Option<usize> {
        self.find(sought, hash.first).or_else(|| self.find(sought, hash.second()))
    }

    fn count(&self, hash: Hash) -> usize {
        let (first, second) = (self.start(hash.first), self.start(hash.second()));
        let count_in = |start: usize| {
            let bucket = &self.slots[start..start + self.bucket_size];
            bucket.iter().map(|slot| usize::from(*slot == hash.fingerprint)).sum::<usize>()
        };
        count_in(first) + if first == second { 0 } else { count_in(second) }
    }

    /// Makes room by moving at most `iterations` fingerprints, each to its other bucket; false if that was not enough, and
    /// everything is as it was.
    fn push_out(&mut self, hash: Hash, iterations: u16) -> bool {
        let mut fingerprint = hash.fingerprint;
        let mut place = hash.first;
        let mut victim = 0;
        for _ in 0..iterations {
            let at = self.start(place) + victim;
            std::mem::swap(&mut self.slots[at], &mut fingerprint);
            place = other_place(fingerprint, place);
            if let Some(at) = self.find(EMPTY, place) {
                self.slots[at] = fingerprint;
                return true;
            }
            victim = (victim + 1) % self.bucket_size;
        }
        for _ in 0..iterations {
            victim = (victim + self.bucket_size - 1) % self.bucket_size;
            place = other_place(fingerprint, place);
            let at = self.start(place) + victim;
            std::mem::swap(&mut self.slots[at], &mut fingerprint);
        }
        debug_assert_eq!(fingerprint, hash.fingerprint, "the way back ends where the way began");
        false
    }
}

impl Cuckoo {
    /// An empty filter; `None` if it would take more than `room` bytes, or be too large, or there is no memory for it.
    pub fn new(settings: &Settings, room: u64) -> Option<Self> {
        let buckets =
            (settings.capacity / u64::from(settings.bucket_size)).max(1).checked_next_power_of_two()?;
        let expansion =
            if settings.expansion == 0 { 0 } else { settings.expansion.checked_next_power_of_two()? };
        let mut parts = Parts {
            buckets,
            bucket_size: settings.bucket_size,
            iterations_max: settings.iterations_max,
            expansion,
            ..Parts::default()
        };
        parts.push(Layer::new(buckets, settings.bucket_size, room)?);
        Some(Cuckoo { parts: Box::new(parts) })
    }

    /// Adds an element, once more if it is there already. There will be at most `layers_max` layers, and the
    /// filter may grow by `room` bytes.
    /// O(layers + iterations).
    pub fn add(&mut self, hash: Hash, layers_max: usize, room: u64) -> Result<(), Refused> {
        let parts = &mut *self.parts;
        for layer in parts.layers.iter_mut().rev() {
            if let Some(at) = layer.find_either(EMPTY, hash) {
                layer.slots[at] = hash.fingerprint;
                parts.items += 1;
                return Ok(());
            }
        }
        let made_room =
            parts.layers.last_mut().is_some_and(|layer| layer.push_out(hash, parts.iterations_max));
        if !made_room {
            parts.grow(layers_max, room)?;
            let layer = parts.layers.last_mut().ok_or(Refused::TooLarge)?;
            let at = layer.start(hash.first);
            layer.slots[at] = hash.fingerprint;
        }
        parts.items += 1;
        Ok(())
    }

    /// False if the element is not there. O(layers).
    pub fn contains(&self, hash: Hash) -> bool {
        self.parts.layers.iter().any(|layer| layer.find_either(hash.fingerprint, hash).is_some())
    }

    /// How often the element is there, or more. O(layers).
    pub fn count(&self, hash: Hash) -> u64 {
        self.parts.layers.iter().map(|layer| layer.count(hash) as u64).sum()
    }

    /// Removes an element once; false if it is not there. O(layers), and O(size) when one in eleven elements was removed since
    /// that was last so.
    pub fn remove(&mut self, hash: Hash) -> bool {
        let parts = &mut *self.parts;
        let found = parts.layers.iter_mut().rev().find_map(|layer| {
            let at = layer.find_either(hash.fingerprint, hash)?;
            Some(&mut layer.slots[at])
        });
        let Some(slot) = found else { return false };
        *slot = EMPTY;
        parts.items = parts.items.saturating_sub(1);
        parts.deletes = parts.deletes.saturating_add(1);
        if parts.layers.len() > 1 && parts.deletes as f64 > parts.items as f64 * 0.1 {
            parts.compact();
        }
        true
    }

    /// Moves elements to older layers, and gives up what is empty then. O(size).
    pub fn compact(&mut self) {
        self.parts.compact_all();
    }

    /// Elements that were added and not removed.
    pub fn items(&self) -> u64 {
        self.parts.items
    }

    /// Elements that were removed since layers were last compacted.
    pub fn deletes(&self) -> u64 {
        self.parts.deletes
    }

    /// Buckets of the first layer.
    pub fn buckets(&self) -> u64 {
        self.parts.buckets
    }

    pub fn layers_len(&self) -> usize {
        self.parts.layers.len()
    }

    /// Slots of a bucket.
    pub fn bucket_size(&self) -> u8 {
        self.parts.bucket_size
    }

    /// Most fingerprints that are moved to make room for another.
    pub fn iterations_max(&self) -> u16 {
        self.parts.iterations_max
    }

    /// How many times larger each layer is than the one before; 0 for one layer only.
    pub fn expansion(&self) -> u16 {
        self.parts.expansion
    }

    /// The size in bytes that RedisBloom tells.
    pub fn told_size(&self) -> u64 {
        FILTER_OVERHEAD + LAYER_OVERHEAD * self.parts.layers.len() as u64 + self.parts.slots_len as u64
    }
}

impl Parts {
    fn push(&mut self, layer: Layer) {
        self.slots_len += layer.slots.len();
        self.layers.push(layer);
    }

    /// Buckets of the layer `index`; `None` beyond all sizes.
    fn buckets_of(&self, index: usize) -> Option<u64> {
        let factor = u64::from(self.expansion).checked_pow(u32::try_from(index).ok()?)?;
        self.buckets.checked_mul(factor)
    }

    /// Adds an empty layer.
    #[cold]
    fn grow(&mut self, layers_max: usize, room: u64) -> Result<(), Refused> {
        if self.expansion == 0 {
            return Err(Refused::Full);
        }
        if self.layers.len() >= layers_max {
            return Err(Refused::LayersMax);
        }
        let buckets = self.buckets_of(self.layers.len()).ok_or(Refused::TooLarge)?;
        let slots = buckets.checked_mul(self.bucket_size.into()).ok_or(Refused::TooLarge)?;
        if slots > SKETCH_SIZE_MAX - (self.slots_len as u64).min(SKETCH_SIZE_MAX) {
            return Err(Refused::TooLarge);
        }
        let layer = Layer::new(buckets, self.bucket_size, room).ok_or(Refused::TooLarge)?;
        self.push(layer);
        Ok(())
    }
}

impl AlwaysBoxed for Cuckoo {
    const CODE: TypeCode = TypeCode::Cuckoo;
    const ENCODING: &'static str = "raw";

    fn size_behind(&self) -> usize {
        let layers = size_class(self.parts.layers.capacity() * size_of::<Layer>());
        size_class(size_of::<Parts>()) + layers + self.parts.slots_len
    }
}
