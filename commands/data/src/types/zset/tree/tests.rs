//! The tree against a sorted set, with nodes so small that it is deep.

use std::{cmp::Ordering, collections::BTreeSet};

use proptest::prelude::*;

use super::{Entry, Handle, Tree, node::Node};
use crate::keyspace::size_class;

const LEAF: usize = 9;
const INNER: usize = 6;

type Small = Tree<Name, LEAF, INNER>;

/// A member that is its own handle.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Name {
    len: u8,
    bytes: [u8; 15],
    /// Tells handles of the same member apart.
    generation: u32,
}

impl Handle for Name {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

fn name(text: &str) -> Name {
    let mut bytes = [0; 15];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Name { len: text.len() as u8, bytes, generation: 0 }
}

/// Scores repeat, so that the order of members matters.
fn entry(number: u16) -> Entry<Name> {
    Entry { score: f64::from(number % 7) - 3.0, member: name(&format!("{number:x}")) }
}

#[derive(Clone, Debug, PartialEq)]
struct Place(f64, Vec<u8>);

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.partial_cmp(&other.0).unwrap().then_with(|| self.1.cmp(&other.1))
    }
}

fn place(entry: &Entry<Name>) -> Place {
    Place(entry.score, entry.member.bytes().to_vec())
}

/// Checks all that nodes promise; returns height and bytes.
fn check_node(node: &Node<Name, LEAF, INNER>) -> (usize, usize) {
    match node {
        Node::Leaf(entries) => {
            assert!(entries.len() <= LEAF);
            (0, size_class(entries.capacity() * size_of::<Entry<Name>>()))
        }
        Node::Inner(inner) => {
            let width = inner.children.len();
            assert!((1..=INNER).contains(&width));
            assert_eq!((inner.firsts.len(), inner.counts.len()), (width, width));
            let mut bytes = size_class(size_of_val(&**inner))
                + size_class(inner.firsts.capacity() * size_of::<Entry<Name>>())
                + size_class(inner.counts.capacity() * size_of::<usize>())
                + size_class(inner.children.capacity() * size_of::<Node<Name, LEAF, INNER>>());
            let mut heights = Vec::new();
            for (at, child) in inner.children.iter().enumerate() {
                let (height, size) = check_node(child);
                heights.push(height);
                bytes += size;
                let (first, count) = match child {
                    Node::Leaf(entries) => (entries.first(), entries.len()),
                    Node::Inner(child) => (child.firsts.first(), child.counts.iter().sum()),
                };
                let first = first.expect("every child has an entry");
                assert_eq!(place(first), place(&inner.firsts[at]));
                assert_eq!(first.member, inner.firsts[at].member, "also the handle is the same");
                assert_eq!(count, inner.counts[at]);
            }
            assert!(heights.iter().all(|&height| height == heights[0]), "{heights:?}");
            (heights[0] + 1, bytes)
        }
    }
}

fn check(tree: &Small, model: &BTreeSet<Place>) {
    let (_, bytes) = check_node(&tree.root);
    assert_eq!(tree.heap_size(), bytes);
    assert_eq!(tree.len(), model.len());
    assert!(tree.ascending(0..tree.len()).map(place).eq(model.iter().cloned()));
    assert!(tree.descending(0..tree.len()).map(place).eq(model.iter().rev().cloned()));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Remove(u16),
    Change(u16, i8),
    RemoveRange(u16, u16),
    ReplaceHandle(u16),
    Append(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..600u16).prop_map(Step::Insert),
        5 => (0..600u16).prop_map(Step::Remove),
        3 => (0..600u16, -4..8i8).prop_map(|(number, score)| Step::Change(number, score)),
        1 => (any::<u16>(), 0..60u16).prop_map(|(start, len)| Step::RemoveRange(start, len)),
        1 => any::<u16>().prop_map(Step::ReplaceHandle),
        1 => (10..80u16).prop_map(Step::Append),
    ]
}

/// Where a member is now, if anywhere: its score changes.
fn find(model: &BTreeSet<Place>, member: &[u8]) -> Option<Place> {
    model.iter().find(|place| place.1 == member).cloned()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 1 } else { 300 },
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn behaves_like_a_sorted_set(steps in prop::collection::vec(step(), 1..if cfg!(miri) { 30 } else { 400 })) {
        let mut tree = Small::new();
        let mut model = BTreeSet::new();
        let mut appended = 1000;
        for step in steps {
            match step {
                Step::Insert(number) => {
                    let entry = entry(number);
                    if find(&model, entry.member.bytes()).is_none() {
                        tree.insert(entry);
                        model.insert(place(&entry));
                    }
                }
                Step::Remove(number) => {
                    let entry = entry(number);
                    let found = model.take(&place(&entry));
                    prop_assert_eq!(tree.remove(entry.score, entry.member.bytes()), found.is_some());
                }
                Step::Change(number, score) => {
                    let member = entry(number).member;
                    let new = f64::from(score) / 2.0;
                    if let Some(old) = find(&model, member.bytes()) {
                        prop_assert!(tree.change_score(old.0, member.bytes(), new));
                        model.remove(&old);
                        model.insert(Place(new, old.1));
                    } else {
                        prop_assert!(!tree.change_score(0.0, member.bytes(), new));
                    }
                }
                Step::RemoveRange(start, len) => {
                    let start = usize::from(start) % (model.len() + 1);
                    let end = (start + usize::from(len)).min(model.len());
                    let gone: Vec<_> = model.iter().skip(start).take(end - start).cloned().collect();
                    let mut removed = Vec::new();
                    tree.remove_range(start..end, &mut |entry| removed.push(place(&entry)));
                    prop_assert_eq!(&removed, &gone);
                    model.retain(|place| !gone.contains(place));
                }
                Step::ReplaceHandle(index) => {
                    let index = usize::from(index) % (model.len() + 1);
                    if let Some(entry) = tree.at(index) {
                        let handle = Name { generation: entry.member.generation + 1, ..entry.member };
                        tree.replace_handle(index, handle);
                        prop_assert_eq!(tree.at(index).map(|entry| entry.member), Some(handle));
                    }
                }
                Step::Append(count) => {
                    for _ in 0..count {
                        appended += 1;
                        let entry = Entry { score: f64::from(appended), member: name(&format!("{appended}")) };
                        tree.insert(entry);
                        model.insert(place(&entry));
                    }
                }
            }
            check(&tree, &model);
        }

        let all: Vec<_> = model.iter().cloned().collect();
        for (index, expected) in all.iter().enumerate() {
            prop_assert_eq!(tree.rank(expected.0, &expected.1), Some(index));
            prop_assert_eq!(&place(tree.at(index).unwrap()), expected);
            let end = (index + 20).min(all.len());
            prop_assert!(tree.ascending(index..end).map(place).eq(all[index..end].iter().cloned()));
            prop_assert!(tree.descending(index..end).map(place).eq(all[index..end].iter().rev().cloned()));
        }
        prop_assert!(tree.at(all.len()).is_none());
        for score in -8..8 {
            let score = f64::from(score) / 2.0;
            let below = tree.partition(|entry| entry.score < score);
            prop_assert_eq!(below, all.iter().filter(|place| place.0 < score).count());
            let upto = tree.partition(|entry| entry.score <= score);
            prop_assert_eq!(upto, all.iter().filter(|place| place.0 <= score).count());
        }
        tree.remove_range(0..all.len(), &mut |_| {});
        prop_assert_eq!((tree.len(), tree.heap_size()), (0, 0));
    }
}

#[test]
fn equal_scores_are_ordered_by_bytes() {
    let mut tree = Small::new();
    for text in ["b", "", "ab", "a", "aa", "\u{ff}", "B"] {
        tree.insert(Entry { score: if text == "aa" { -0.0 } else { 0.0 }, member: name(text) });
    }
    let order: Vec<_> = tree.ascending(0..7).map(|entry| entry.member.bytes().to_vec()).collect();
    assert_eq!(order, ["", "B", "a", "aa", "ab", "b", "\u{ff}"].map(|text| text.as_bytes().to_vec()));
    assert_eq!(tree.partition(|entry| entry.member.bytes() < &b"aa"[..]), 3);
    assert!(tree.at(3).unwrap().score.is_sign_negative(), "a negative zero stays one");
}

#[test]
#[cfg(not(miri))]
fn a_tree_is_dense_whatever_the_order() {
    let count = 50_000u32;
    let per_member = |number_of: &dyn Fn(u32) -> u32| {
        let mut tree = Tree::<Name>::new();
        for step in 0..count {
            let number = number_of(step);
            tree.insert(Entry { score: f64::from(number), member: name(&format!("{number}")) });
        }
        tree.heap_size() / count as usize
    };
    let entry = size_of::<Entry<Name>>();
    assert_eq!(entry, 32, "the limits below are for this size");
    assert!(per_member(&|step| step) <= entry + entry / 16, "appending leaves full leaves");
    assert!(per_member(&|step| step.wrapping_mul(0x9e37_79b1)) <= entry + entry / 5, "random order");
    assert!(per_member(&|step| count - step) <= entry + entry / 4, "prepending");
}
