//! Packed sequences against `Vec<Vec<u8>>`, and against what Redis writes.

use proptest::prelude::*;

use super::{INLINE_PACKED_MAX, Item, Malformed, PACKED_HEADER, PACKED_LEN_MAX, Packed, PackedRef};

fn cases(native: u32) -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { native },
        failure_persistence: None,
        ..Default::default()
    }
}

/// Items of all kinds and sizes, small ones most often, few enough distinct ones that some are found.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(b'a'..=b'c', 0..4),
        3 => (-130i64..130).prop_map(|value| value.to_string().into_bytes()),
        2 => any::<i64>().prop_flat_map(|value| (0u32..64).prop_map(move |shift| (value >> shift).to_string().into_bytes())),
        1 => prop::collection::vec(any::<u8>(), 0..70),
        1 => (0usize..3, 0usize..3).prop_map(|(base, more)| vec![b'x'; [62, 124, 4090][base] + more * 2]),
        1 => prop::sample::select(&["-0", "007", "+1", " 1", "9223372036854775808"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Insert(prop::sample::Index, Vec<u8>),
    PushFront(Vec<u8>),
    PushBack(Vec<u8>),
    Replace(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
}

fn any_change() -> impl Strategy<Value = Change> {
    let index = || any::<prop::sample::Index>();
    prop_oneof![
        2 => (index(), any_bytes()).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => any_bytes().prop_map(Change::PushFront),
        2 => any_bytes().prop_map(Change::PushBack),
        2 => (index(), any_bytes()).prop_map(|(at, bytes)| Change::Replace(at, bytes)),
        2 => (index(), 0usize..5).prop_map(|(at, count)| Change::Remove(at, count)),
    ]
}

fn make<const PREFIX: usize>(packed: &mut Packed<PREFIX>, model: &mut Vec<Vec<u8>>, change: &Change) {
    match change {
        Change::Insert(at, bytes) => {
            let index = at.index(model.len() + 1);
            packed.insert(packed.view().position(index).unwrap(), bytes);
            model.insert(index, bytes.clone());
        }
        Change::PushFront(bytes) => {
            packed.push_front(bytes);
            model.insert(0, bytes.clone());
        }
        Change::PushBack(bytes) => {
            packed.push_back(bytes);
            model.push(bytes.clone());
        }
        Change::Replace(at, bytes) if !model.is_empty() => {
            let index = at.index(model.len());
            packed.replace(packed.view().position(index).unwrap(), bytes);
            model[index].clone_from(bytes);
        }
        Change::Replace(..) => {}
        Change::Remove(at, count) => {
            let index = at.index(model.len() + 1);
            let end = model.len().min(index + count);
            assert_eq!(packed.remove(packed.view().position(index).unwrap(), *count), end - index);
            model.drain(index..end);
        }
    }
}

fn compare(view: PackedRef<'_>, model: &[Vec<u8>]) {
    assert_eq!(view.len(), model.len());
    assert_eq!(view.iter().len(), model.len());
    assert!(view.iter().map(Item::to_vec).eq(model.iter().cloned()));
    assert!(view.iter().rev().map(Item::to_vec).eq(model.iter().rev().cloned()));
    let mut pos = view.first();
    for (index, bytes) in model.iter().enumerate() {
        let here = pos.expect("as many positions as items");
        assert_eq!(view.position(index), Some(here));
        assert_eq!(view.get(index), Some(Item::from(bytes)));
        assert_eq!(view.item(here).text_len(), bytes.len());
        assert_eq!(view.after(here) - here, Item::from(bytes).entry_size());
        pos = view.next(here);
        assert_eq!(view.prev(pos.unwrap_or(view.end())), Some(here));
    }
    assert_eq!(pos, None);
    assert_eq!(view.last(), model.len().checked_sub(1).map(|last| view.position(last).unwrap()));
    assert_eq!(view.prev(0), None);
    assert_eq!(view.position(model.len()), Some(view.end()));
    assert_eq!(view.position(model.len() + 1), None);
    assert_eq!(view.get(model.len()), None);
}

fn compare_find(view: PackedRef<'_>, model: &[Vec<u8>], needle: &Vec<u8>) {
    for skip in 0..3 {
        let expected = model.iter().step_by(skip + 1).position(|bytes| bytes == needle);
        let found = view.find(needle, skip);
        assert_eq!(found, expected.map(|nth| view.position(nth * (skip + 1)).unwrap()), "skip {skip}");
    }
}

fn check_changes<const PREFIX: usize>(changes: &[Change], needle: &Vec<u8>) {
    let mut packed = Packed::<PREFIX>::from_bytes(Vec::new());
    let mut model = Vec::new();
    for change in changes {
        make(&mut packed, &mut model, change);
        assert!(packed.heap_size() >= packed.as_bytes().len());
        assert!(packed.heap_size() <= INLINE_PACKED_MAX.max(3 * packed.as_bytes().len()), "{packed:?}");
    }
    compare(packed.view(), &model);
    compare_find(packed.view(), &model, needle);
    for bytes in &model {
        compare_find(packed.view(), &model, bytes);
    }
    let bytes = packed.as_bytes().get(PREFIX..).unwrap_or_default();
    assert_eq!(PackedRef::validate(bytes), Ok(packed.view()));
    let again: Packed<PREFIX> = model.iter().collect();
    assert_eq!(again.view(), packed.view());
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn behaves_like_a_vec(changes in prop::collection::vec(any_change(), 0..40), needle in any_bytes()) {
        check_changes::<0>(&changes, &needle);
        check_changes::<1>(&changes, &needle);
    }

    #[test]
    fn ranges_are_those_of_a_vec(
        model in prop::collection::vec(any_bytes(), 0..20),
        index in 0usize..25,
        count in prop_oneof![0usize..25, Just(usize::MAX)],
    ) {
        let packed: Packed = model.iter().collect();
        let expected = || model.iter().skip(index).take(count).cloned();
        prop_assert!(packed.view().range(index, count).map(Item::to_vec).eq(expected()));
        let backwards: Vec<_> = packed.view().range(index, count).rev().map(Item::to_vec).collect();
        prop_assert!(backwards.into_iter().rev().eq(expected()));
        prop_assert_eq!(packed.view().range(index, count).len(), expected().count());
    }

    /// Whatever passes validation can be read in both directions without a panic.
    #[test]
    fn validation_lets_only_sequences_pass(
        model in prop::collection::vec(any_bytes(), 0..8),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = model.iter().collect::<Packed>().into_bytes();
        for (at, byte) in &damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len() + 1)]] {
            if let Ok(view) = PackedRef::validate(bytes) {
                let items: Vec<_> = view.iter().map(Item::to_vec).collect();
                compare(view, &items);
                let again: Packed = items.iter().collect();
                prop_assert_eq!(again.view(), view);
            }
        }
    }

    #[test]
    fn validation_survives_noise(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(view) = PackedRef::validate(&bytes) {
            prop_assert!(view.iter().eq(view.iter().rev().collect::<Vec<_>>().into_iter().rev()));
        }
    }
}

/// Entries as Redis 7.0.15 writes them (from DUMP of lists with these items).
#[test]
fn entries_are_those_of_a_listpack() {
    let cases: [(&[u8], &[u8]); 14] = [
        (b"0", &[0, 1]),
        (b"127", &[127, 1]),
        (b"128", &[0xc0, 0x80, 2]),
        (b"-1", &[0xdf, 0xff, 2]),
        (b"4095", &[0xcf, 0xff, 2]),
        (b"-4096", &[0xd0, 0, 2]),
        (b"4096", &[0xf1, 0, 0x10, 3]),
        (b"-32768", &[0xf1, 0, 0x80, 3]),
        (b"32768", &[0xf2, 0, 0x80, 0, 4]),
        (b"-8388609", &[0xf3, 0xff, 0xff, 0x7f, 0xff, 5]),
        (b"2147483648", &[0xf4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]),
        (b"", &[0x80, 1]),
        (b"a", &[0x81, b'a', 2]),
        (b"01", &[0x82, b'0', b'1', 3]),
    ];
    for (item, entry) in cases {
        let packed: Packed = [item].into_iter().collect();
        assert_eq!(packed.as_bytes()[PACKED_HEADER..], *entry, "{item:?}");
    }
    for (len, head, back) in [
        (63, &[0xbf][..], &[64][..]),
        (64, &[0xe0, 64], &[66]),
        (126, &[0xe0, 126], &[1, 0x80]),
        (4095, &[0xef, 0xff], &[32, 0x81]),
        (4096, &[0xf0, 0, 0x10, 0, 0], &[32, 0x85]),
        (16_377, &[0xf0, 0xf9, 0x3f, 0, 0], &[127, 0xfe]),
        (16_378, &[0xf0, 0xfa, 0x3f, 0, 0], &[0, 0xff, 0xff]),
    ] {
        let item = vec![b'x'; len];
        let packed: Packed = [&item].into_iter().collect();
        let entry = &packed.as_bytes()[PACKED_HEADER..];
        assert_eq!(entry[..head.len()], *head, "{len}");
        assert_eq!(entry[head.len() + len..], *back, "{len}");
        compare(packed.view(), &[item]);
    }
}

#[test]
fn big_items_are_walked_in_both_directions() {
    let model: Vec<Vec<u8>> = [2_097_145, 2_097_146, 2_097_147, 5_000_000]
        .map(|len| vec![b'x'; if cfg!(miri) { 70 } else { len }])
        .into();
    let packed: Packed = model.iter().collect();
    compare(packed.view(), &model);
    assert!(PackedRef::validate(packed.as_bytes()).is_ok());
}

#[test]
fn validation_refuses_wrong_counts_and_longer_forms() {
    assert!(PackedRef::validate(&[]).is_ok());
    assert!(PackedRef::validate(&[0, 0]).is_ok());
    for (bytes, at) in [
        (&[0][..], 0),                          // half a count
        (&[1, 0], 0),                           // an item is missing
        (&[1, 0, 5, 1, 6, 1], 2),               // one too many
        (&[1, 0, 5, 2], 0),                     // wrong size at the end
        (&[1, 0, 0xc0, 5, 2], 0),               // 5 fits in the first byte
        (&[1, 0, 0x81, b'5', 2], 0),            // a string that is an integer
        (&[1, 0, 0xe0, 1, b'a', 3], 0),         // a short string with a long head
        (&[1, 0, 0xf0, 255, 255, 255, 255], 0), // far beyond the end
        (&[1, 0, 0xf4, 1], 0),                  // head cut off
        (&[1, 0, 0xff, 1], 0),                  // the end mark of a listpack
    ] {
        assert_eq!(PackedRef::validate(bytes), Err(Malformed { at }), "{bytes:?}");
    }
}

#[test]
fn the_prefix_belongs_to_the_user() {
    let mut packed = Packed::<1>::default();
    assert_eq!(packed.prefix(), [0]);
    packed.push_back(b"a");
    packed.set_prefix([7]);
    packed.push_front(12);
    packed.remove(0, 1);
    assert_eq!(packed.prefix(), [7]);
    assert_eq!(packed.as_bytes(), [7, 1, 0, 0x81, b'a', 2]);
}

#[test]
fn holds_as_many_items_as_its_count_can_say() {
    let count = if cfg!(miri) { 300 } else { PACKED_LEN_MAX };
    let mut packed = Packed::new();
    for _ in 0..count {
        packed.push_back(1);
    }
    assert!(PackedRef::validate(packed.as_bytes()).is_ok());
    assert_eq!(packed.remove(0, usize::MAX), count);
    assert!(packed.is_empty());
}
