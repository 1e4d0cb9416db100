//! What one connection is subscribed to.

use hashbrown::HashMap;
use std::sync::Arc;

/// Names of channels or patterns, in the order in which they were added. All operations are O(1) but those that say
/// otherwise.
#[derive(Debug, Default)]
pub struct Names {
    /// With the number each was given.
    by_name: HashMap<Arc<[u8]>, u64, foldhash::fast::RandomState>,
    last: u64,
}

impl Names {
    /// Adds a name; false when it is there already.
    pub fn insert(&mut self, name: &Arc<[u8]>) -> bool {
        if self.by_name.contains_key(name) {
            return false;
        }
        self.last += 1;
        self.by_name.insert(Arc::clone(name), self.last);
        true
    }

    /// Removes a name; false when it was not there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        self.by_name.remove(name).is_some()
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// All names in their order. O(N log N).
    pub fn in_order(&self) -> Vec<Arc<[u8]>> {
        let mut all: Vec<_> = self.by_name.iter().collect();
        all.sort_unstable_by_key(|(_, number)| **number);
        all.into_iter().map(|(name, _)| Arc::clone(name)).collect()
    }
}

/// What one connection is subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// `SUBSCRIBE`
    pub channels: Names,
    /// `PSUBSCRIBE`
    pub patterns: Names,
    /// `SSUBSCRIBE`
    pub shard_channels: Names,
}

impl Subscriptions {
    /// True when it is nothing.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shard_channels.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_order() {
        let mut names = Names::default();
        for name in ["b", "a", "c", "a"] {
            assert_eq!(names.insert(&name.as_bytes().into()), name != "a" || names.len() < 3);
        }
        assert!(names.remove(b"b"));
        assert!(!names.remove(b"b"));
        names.insert(&b"b"[..].into());
        let texts: Vec<_> =
            names.in_order().iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(texts, ["a", "c", "b"]);
    }
}
