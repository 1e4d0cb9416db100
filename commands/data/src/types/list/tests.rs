//! Lists against `Vec<Vec<u8>>`, with nodes so small that every change meets their limits.

use proptest::prelude::*;

use super::{Form, List, NodeLimit};
use crate::types::{collection::Collection, packed::Item};

fn cases(native: u32) -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { native },
        failure_persistence: None,
        ..Default::default()
    }
}

/// Few distinct items, so that many are equal, and some that fill a node.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(b'a'..=b'b', 0..2),
        2 => (0i64..3).prop_map(|value| value.to_string().into_bytes()),
        2 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        2 => (1usize..40).prop_map(|len| vec![b'x'; len]),
        1 => (60usize..700).prop_map(|len| vec![b'y'; len]),
    ]
}

fn any_limit() -> impl Strategy<Value = NodeLimit> {
    let size = prop_oneof![Just(16usize), Just(64), Just(512), Just(8192)];
    let count = prop_oneof![Just(1usize), Just(3), Just(100)];
    let alone_len = prop_oneof![Just(1usize), Just(30), Just(NodeLimit::ALONE_LEN)];
    (size, count, alone_len).prop_map(|(size, count, alone_len)| NodeLimit { size, count, alone_len })
}

#[derive(Clone, Debug)]
enum Change {
    PushFront(Vec<Vec<u8>>),
    PushBack(Vec<Vec<u8>>),
    Insert(prop::sample::Index, Vec<u8>),
    Set(prop::sample::Index, Vec<u8>),
    RemoveFront(usize),
    RemoveBack(usize),
    RemoveEqual(prop::sample::Index, usize, bool),
    RemoveAt(prop::sample::Index),
    /// What a write through the keyspace does to a small list.
    Inline,
}

fn any_change() -> impl Strategy<Value = Change> {
    let index = || any::<prop::sample::Index>();
    let several = || prop::collection::vec(any_bytes(), 1..20);
    let count = || prop_oneof![4 => 0usize..4, 1 => 0usize..60];
    prop_oneof![
        2 => several().prop_map(Change::PushFront),
        2 => several().prop_map(Change::PushBack),
        4 => (index(), any_bytes()).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        3 => (index(), any_bytes()).prop_map(|(at, bytes)| Change::Set(at, bytes)),
        2 => count().prop_map(Change::RemoveFront),
        2 => count().prop_map(Change::RemoveBack),
        2 => (index(), prop_oneof![Just(1usize), 1usize..8, Just(usize::MAX)], any::<bool>())
            .prop_map(|(at, count, from_back)| Change::RemoveEqual(at, count, from_back)),
        2 => index().prop_map(Change::RemoveAt),
        1 => Just(Change::Inline),
    ]
}

fn make(list: &mut List, model: &mut Vec<Vec<u8>>, change: &Change, limit: NodeLimit) {
    match change {
        Change::PushFront(items) => {
            for item in items {
                list.push_front(item, limit);
                model.insert(0, item.clone());
            }
        }
        Change::PushBack(items) => {
            for item in items {
                list.push_back(item, limit);
                model.push(item.clone());
            }
        }
        Change::Insert(at, bytes) => {
            let index = at.index(model.len() + 1);
            assert!(list.insert(index, bytes, limit));
            model.insert(index, bytes.clone());
            assert!(!list.insert(model.len() + 1, bytes, limit));
        }
        Change::Set(at, bytes) => {
            assert!(!list.set(model.len(), bytes, limit));
            if !model.is_empty() {
                let index = at.index(model.len());
                assert!(list.set(index, bytes, limit));
                model[index].clone_from(bytes);
            }
        }
        Change::RemoveFront(count) => {
            list.remove_front(*count);
            model.drain(..model.len().min(*count));
        }
        Change::RemoveBack(count) => {
            list.remove_back(*count);
            model.truncate(model.len().saturating_sub(*count));
        }
        Change::RemoveEqual(at, count, from_back) => {
            let needle = if model.is_empty() { vec![] } else { model[at.index(model.len())].clone() };
            let removed = list.remove_equal(&needle, *count, *from_back, limit);
            assert_eq!(removed, remove_equal(model, &needle, *count, *from_back));
        }
        Change::RemoveAt(at) => {
            assert!(!list.remove_at(model.len(), limit));
            if !model.is_empty() {
                let index = at.index(model.len());
                assert_eq!(
                    list.view().find_last(&model[index]),
                    model.iter().rposition(|item| *item == model[index])
                );
                assert!(list.remove_at(index, limit));
                model.remove(index);
            }
        }
        Change::Inline => {
            *list = match std::mem::take(list).into_inline() {
                Ok(bytes) => List::from_inline(bytes),
                Err(list) => list,
            };
        }
    }
}

fn remove_equal(model: &mut Vec<Vec<u8>>, needle: &[u8], count: usize, from_back: bool) -> usize {
    if from_back {
        model.reverse();
    }
    let mut removed = 0;
    model.retain(|item| {
        let goes = item == needle && removed < count;
        removed += usize::from(goes);
        !goes
    });
    if from_back {
        model.reverse();
    }
    removed
}

fn compare(list: &List, model: &[Vec<u8>]) {
    let view = list.view();
    assert_eq!(view.len(), model.len());
    assert_eq!(view.is_empty(), model.is_empty());
    assert!(view.iter().map(Item::to_vec).eq(model.iter().cloned()));
    assert!(view.iter().rev().map(Item::to_vec).eq(model.iter().rev().cloned()));
    let mut folded = Vec::new();
    view.iter().for_each(|item| folded.push(item.to_vec()));
    assert_eq!(folded, model);
    for (index, bytes) in model.iter().enumerate() {
        assert_eq!(view.get(index), Some(Item::from(bytes)));
        assert_eq!(view.find(bytes), model.iter().position(|other| other == bytes));
    }
    assert_eq!(view.get(model.len()), None);
    if let Form::Chunked(chunks) = &list.0 {
        assert!(list.heap_size() >= model.iter().map(|bytes| bytes.len().min(2)).sum());
        assert_eq!(chunks.len(), model.len());
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn behaves_like_a_vec(changes in prop::collection::vec(any_change(), 0..40), limit in any_limit()) {
        let (mut list, mut model) = (List::default(), Vec::new());
        for change in &changes {
            make(&mut list, &mut model, change, limit);
            if let Form::Chunked(chunks) = &list.0 {
                chunks.check(limit);
            }
            prop_assert_eq!(list.view().len(), model.len());
        }
        compare(&list, &model);
        let copy = list.clone();
        prop_assert!(copy == list);
        if let Form::Chunked(chunks) = &copy.0 {
            chunks.check(limit);
        }
    }

    /// The directive may change while a list is in use.
    #[test]
    fn outlives_changes_of_the_limit(
        changes in prop::collection::vec((any_change(), any_limit()), 0..40),
    ) {
        let (mut list, mut model) = (List::default(), Vec::new());
        for (change, limit) in &changes {
            make(&mut list, &mut model, change, *limit);
        }
        compare(&list, &model);
    }

    #[test]
    fn ranges_are_those_of_a_vec(
        model in prop::collection::vec(any_bytes(), 0..60),
        limit in any_limit(),
        index in 0usize..70,
        count in prop_oneof![0usize..70, Just(usize::MAX)],
    ) {
        let mut list = List::default();
        for bytes in &model {
            list.push_back(bytes, limit);
        }
        let expected: Vec<_> = model.iter().skip(index).take(count).cloned().collect();
        let range = list.view().range(index, count);
        prop_assert_eq!(range.len(), expected.len());
        prop_assert!(range.clone().map(Item::to_vec).eq(expected.iter().cloned()));
        prop_assert!(range.clone().rev().map(Item::to_vec).eq(expected.iter().rev().cloned()));
        // From both ends at once.
        let (mut front, mut back, mut range) = (Vec::new(), Vec::new(), range);
        while let Some(item) = range.next() {
            front.push(item.to_vec());
            back.extend(range.next_back().map(Item::to_vec));
        }
        back.reverse();
        front.extend(back);
        prop_assert_eq!(front, expected);
    }
}

#[test]
fn the_directive_is_read_as_redis_reads_it() {
    let sizes =
        [(-1, 4096), (-2, 8192), (-3, 16384), (-4, 32768), (-5, 65536), (-6, 65536), (i32::MIN, 65536)];
    for (value, size) in sizes {
        assert_eq!(NodeLimit::of_directive(value).size, size, "{value}");
    }
    for (value, count) in [(0, 1), (1, 1), (128, 128), (32767, 32767), (32768, 32767), (i32::MAX, 32767)] {
        let limit = NodeLimit::of_directive(value);
        assert_eq!((limit.size, limit.count), (8192, count), "{value}");
    }
    assert_eq!(NodeLimit::default(), NodeLimit::of_directive(-2));
}

#[test]
fn memory_follows_the_content() {
    let limit = NodeLimit::default();
    let count = if cfg!(miri) { 2_000 } else { 1_000_000 };
    for from_back in [true, false] {
        let mut list = List::default();
        for number in 0..count {
            let item = format!("value:{number:010}");
            if from_back {
                list.push_back(item.as_bytes(), limit);
            } else {
                list.push_front(item.as_bytes(), limit);
            }
        }
        let per_item = list.heap_size() as f64 / f64::from(count);
        assert!(per_item < if cfg!(miri) { 30.0 } else { 18.5 }, "{per_item} bytes per item of 16");
        // A queue that moves on does not grow, wherever its ends are.
        let full = list.heap_size();
        for number in 0..count {
            list.push_back(format!("value:{number:010}").as_bytes(), limit);
            list.remove_front(1);
        }
        assert!(list.heap_size() <= full + 32 * 1024, "{} after {full}", list.heap_size());
        let len = list.view().len();
        if from_back {
            list.remove_back(len - 3);
        } else {
            list.remove_front(len - 3);
        }
        assert!(list.heap_size() < 2048, "{} bytes for three items", list.heap_size());
        compare(&list, &list.view().iter().map(Item::to_vec).collect::<Vec<_>>());
    }
}

#[test]
fn removing_from_the_middle_gives_memory_back() {
    let limit = NodeLimit::default();
    let count = if cfg!(miri) { 2_000 } else { 100_000 };
    let mut list = List::default();
    for number in 0..count {
        let item = if number % 50 == 0 { format!("stays:{number:010}") } else { "goes-0123456789".into() };
        list.push_back(item.as_bytes(), limit);
    }
    let full = list.heap_size();
    assert_eq!(list.remove_equal(b"goes-0123456789", 1_000, true, limit), 1_000);
    assert_eq!(list.remove_equal(b"goes-0123456789", usize::MAX, true, limit), count - count / 50 - 1_000);
    assert_eq!(list.view().len(), count / 50);
    assert!(list.heap_size() < full / 20, "{} of {full} bytes", list.heap_size());
    let Form::Chunked(chunks) = &list.0 else { panic!("it was long") };
    chunks.check(limit);
    assert!(chunks.nodes().len() <= 1 + 2 * count / 50 * 20 / 8192, "{} nodes", chunks.nodes().len());
}
