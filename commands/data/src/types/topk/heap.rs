//! The elements with the best counts: a binary heap with the least on top, of fixed size from the beginning, whose empty
//! places count 0. The order of equal counts is visible in `TOPK.LIST`, so the heap moves as that of RedisBloom does.

use crate::keyspace::size_class;

/// An element among the most frequent.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    pub count: u32,
    pub element: Box<[u8]>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Heap {
    /// One for each place, apart from the rest so that looking for an element takes little memory.
    fingerprints: Box<[u32]>,
    /// `None` where no element has come yet.
    tops: Box<[Option<Top>]>,
    /// Bytes of all elements, as they are allocated.
    elements_size: usize,
}

impl Heap {
    /// Bytes of a place, without its element.
    pub(super) const PLACE_SIZE: u64 = (size_of::<u32>() + size_of::<Option<Top>>()) as u64;

    /// An empty one; `None` if there is no memory for it.
    pub(super) fn new(k: usize) -> Option<Self> {
        let (mut fingerprints, mut tops) = (Vec::new(), Vec::new());
        fingerprints.try_reserve_exact(k).ok()?;
        tops.try_reserve_exact(k).ok()?;
        fingerprints.resize(k, 0);
        tops.resize(k, None);
        Some(Heap {
            fingerprints: fingerprints.into_boxed_slice(),
            tops: tops.into_boxed_slice(),
            elements_size: 0,
        })
    }

    pub(super) fn k(&self) -> usize {
        self.tops.len()
    }

    fn count_at(&self, at: usize) -> u32 {
        self.tops[at].as_ref().map_or(0, |top| top.count)
    }

    /// The least count, 0 while there are empty places.
    pub(super) fn least(&self) -> u32 {
        self.count_at(0)
    }

    /// Where an element is. O(k).
    pub(super) fn find(&self, element: &[u8], fingerprint: u32) -> Option<usize> {
        let places = self.fingerprints.iter().enumerate();
        let mut places = places.filter(|(_, there)| **there == fingerprint);
        places
            .find(|(at, _)| self.tops[*at].as_ref().is_some_and(|top| *top.element == *element))
            .map(|(at, _)| at)
    }

    /// Takes note of the count of an element, if it is good enough; answers the element that had to go. O(k).
    pub(super) fn update(&mut self, element: &[u8], fingerprint: u32, count: u32) -> Option<Box<[u8]>> {
        if count < self.least() {
            return None;
        }
        if let Some(at) = self.find(element, fingerprint) {
            if let Some(top) = &mut self.tops[at] {
                top.count = count;
            }
            self.move_down(at);
            return None;
        }
        let expelled = self.put(0, fingerprint, Top { count, element: element.into() });
        self.move_down(0);
        expelled
    }

    /// Puts an element at a place, whatever its neighbours, and answers the one that was there.
    pub(super) fn put(&mut self, at: usize, fingerprint: u32, top: Top) -> Option<Box<[u8]>> {
        self.elements_size += size_class(top.element.len());
        self.fingerprints[at] = fingerprint;
        let old = self.tops[at].replace(top)?;
        self.elements_size -= size_class(old.element.len());
        Some(old.element)
    }

    /// Moves an element whose count has grown to where it belongs. One that is equal to the lesser of those below changes
    /// places with it once.
    fn move_down(&mut self, mut at: usize) {
        let moving = self.count_at(at);
        let mut is_first = true;
        while let Some(child) = self.lesser_child(at) {
            let below = self.count_at(child);
            if below > moving || below == moving && !is_first {
                break;
            }
            self.fingerprints.swap(at, child);
            self.tops.swap(at, child);
            at = child;
            is_first = false;
        }
    }

    fn lesser_child(&self, at: usize) -> Option<usize> {
        let left = 2 * at + 1;
        if left >= self.k() {
            return None;
        }
        let right = left + 1;
        let takes_right = right < self.k() && self.count_at(left) > self.count_at(right);
        Some(if takes_right { right } else { left })
    }

    /// The elements in the order of their places.
    pub(super) fn tops(&self) -> impl Iterator<Item = &Top> {
        self.tops.iter().flatten()
    }

    /// All places, with the fingerprints of their elements.
    pub(super) fn places(&self) -> impl Iterator<Item = Option<(u32, &Top)>> {
        let places = self.fingerprints.iter().zip(&self.tops);
        places.map(|(fingerprint, top)| top.as_ref().map(|top| (*fingerprint, top)))
    }

    /// Bytes of all allocations behind it.
    pub(super) fn heap_size(&self) -> usize {
        size_class(size_of_val(&*self.fingerprints))
            + size_class(size_of_val(&*self.tops))
            + self.elements_size
    }
}
