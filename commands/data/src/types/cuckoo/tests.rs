use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::types::fields::HeaderError;
use crate::types::native::Native;

const MAX: u64 = u64::MAX;
const MANY: usize = 65_536;

fn filter(capacity: u64, bucket_size: u8, expansion: u16) -> Cuckoo {
    Cuckoo::new(&Settings { capacity, bucket_size, iterations_max: 20, expansion }, MAX).unwrap()
}

fn name(number: u64) -> Hash {
    Hash::of(format!("element-{number}").as_bytes())
}

fn of(text: &str) -> Hash {
    Hash::of(text.as_bytes())
}

/// RedisBloom's own test of a small filter.
#[test]
fn a_small_filter() {
    let mut cuckoo = filter(9, 2, 0);
    for element in ["3", "4", "9", "4", "5", "6"] {
        assert_eq!(cuckoo.add(of(element), MANY, MAX), Ok(()), "{element}");
    }
    assert!(cuckoo.remove(of("3")));
    assert!(!cuckoo.remove(of("3")));
    assert_eq!(cuckoo.count(of("4")), 2);
    assert_eq!((cuckoo.told_size(), cuckoo.buckets(), cuckoo.items(), cuckoo.deletes()), (64, 4, 5, 1));
}

#[test]
fn it_grows_or_is_full() {
    let mut cuckoo = filter(4, 1, 0);
    let refused = (0..100).find_map(|number| cuckoo.add(name(number), MANY, MAX).err());
    assert_eq!(refused, Some(Refused::Full));
    let mut cuckoo = filter(4, 1, 1);
    let refused = (0..100).find_map(|number| cuckoo.add(name(number), 3, MAX).err());
    assert_eq!((refused, cuckoo.layers_len()), (Some(Refused::LayersMax), 3));
    let mut cuckoo = filter(4, 2, 3);
    assert_eq!(cuckoo.expansion(), 4);
    (0..5000).for_each(|number| assert_eq!(cuckoo.add(name(number), MANY, MAX), Ok(())));
    assert!((0..5000).all(|number| cuckoo.contains(name(number))));
    assert_eq!(cuckoo.items(), 5000);
    let mut cuckoo = filter(1 << 30, 255, 32_768);
    cuckoo.parts.layers[0].slots.fill(1);
    assert_eq!(cuckoo.add(name(1), MANY, MAX), Err(Refused::TooLarge));
    assert!(
        Cuckoo::new(&Settings { capacity: u64::MAX, bucket_size: 1, iterations_max: 1, expansion: 0 }, MAX)
            .is_none()
    );
}

/// Two slots in each of two buckets, one in 255 each.
#[test]
fn false_positives_are_as_few_as_fingerprints_allow() {
    let mut cuckoo = filter(16_384, 2, 0);
    let mut number = 0;
    while cuckoo.add(name(number), MANY, MAX).is_ok() {
        number += 1;
    }
    assert!(number > 16_384 * 6 / 10, "{number}");
    let wrong = (0..200_000).filter(|other| cuckoo.contains(name(1_000_000_000 + other))).count();
    assert!((wrong as f64) < 200_000.0 * 4.0 / 255.0 * 1.1, "{wrong}");
}

#[test]
fn it_shrinks_again() {
    let mut cuckoo = filter(8, 2, 1);
    (0..200).for_each(|number| assert_eq!(cuckoo.add(name(number), MANY, MAX), Ok(())));
    let before = cuckoo.layers_len();
    assert!(before > 10);
    (0..180).for_each(|number| assert!(cuckoo.remove(name(number))));
    assert!(cuckoo.layers_len() < before);
    assert!((180..200).all(|number| cuckoo.contains(name(number))));
    cuckoo.compact();
    assert_eq!((cuckoo.items(), cuckoo.deletes()), (20, 0));
    assert!((180..200).all(|number| cuckoo.contains(name(number))));
}

#[test]
fn pieces_that_do_not_fit_are_refused() {
    let mut cuckoo = filter(8, 2, 2);
    (0..30).for_each(|number| assert_eq!(cuckoo.add(name(number), MANY, MAX), Ok(())));
    let header = cuckoo.header();
    for len in 0..header.len() {
        assert_eq!(Cuckoo::of_header(&header[..len], MAX), Err(HeaderError::Malformed));
    }
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = header.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        Cuckoo::of_header(&bad, MAX).err()
    };
    assert_eq!(with(0, &u64::MAX.to_le_bytes()), Some(HeaderError::Malformed), "items");
    assert_eq!(with(8, &3_u64.to_le_bytes()), Some(HeaderError::Malformed), "buckets");
    assert_eq!(with(8, &(1_u64 << 62).to_le_bytes()), Some(HeaderError::Malformed), "buckets");
    assert_eq!(with(24, &u64::MAX.to_le_bytes()), Some(HeaderError::Malformed), "layers");
    assert_eq!(with(24, &60_u64.to_le_bytes()), Some(HeaderError::Malformed), "layers");
    assert_eq!(with(32, &[0, 0]), Some(HeaderError::Malformed), "bucket size");
    assert_eq!(with(34, &[0, 0]), Some(HeaderError::Malformed), "iterations");
    assert_eq!(with(36, &[3, 0]), Some(HeaderError::Malformed), "expansion");
    for end in [0, 3, 10_000, u64::MAX] {
        assert_eq!(cuckoo.put_chunk(end, b"four"), Err(ChunkError));
    }
    assert_eq!(cuckoo.put_chunk(10, b"four"), Err(ChunkError), "over the end of a layer");
    assert_eq!(cuckoo.put_chunk(8, b"four"), Ok(()));
    assert_eq!(cuckoo.chunk(u64::MAX), None);
}

#[derive(Clone, Debug)]
enum Action {
    Add(u8),
    Remove(u8),
    Compact,
}

proptest! {
    /// Against exact counts: what is there is never missing, and never counted less often.
    #[test]
    fn it_knows_what_is_there(
        actions in prop::collection::vec(
            prop_oneof![
                8 => any::<u8>().prop_map(Action::Add),
                4 => any::<u8>().prop_map(Action::Remove),
                1 => Just(Action::Compact),
            ],
            0..400,
        ),
        bucket_size in 1_u8..5,
        expansion in 0_u16..4,
    ) {
        let mut cuckoo = filter(32, bucket_size, expansion);
        let mut counts: BTreeMap<u8, u64> = BTreeMap::new();
        for action in actions {
            match action {
                Action::Add(number) => match cuckoo.add(name(number.into()), MANY, MAX) {
                    Ok(()) => *counts.entry(number).or_default() += 1,
                    Err(refused) => prop_assert_eq!(refused, Refused::Full),
                },
                // Removing what was never added may remove something else.
                Action::Remove(number) => if let Some(count) = counts.get_mut(&number).filter(|count| **count > 0) {
                    prop_assert!(cuckoo.remove(name(number.into())));
                    *count -= 1;
                },
                Action::Compact => cuckoo.compact(),
            }
        }
        for (number, count) in &counts {
            prop_assert!(cuckoo.count(name((*number).into())) >= *count);
            prop_assert!(*count == 0 || cuckoo.contains(name((*number).into())));
        }
        prop_assert_eq!(cuckoo.items(), counts.values().sum::<u64>());
        let used: usize = cuckoo.parts.layers.iter().map(|layer| layer.slots.iter().filter(|slot| **slot > 0).count()).sum();
        prop_assert_eq!(cuckoo.items(), used as u64);
        let mut copy = Cuckoo::of_header(&cuckoo.header(), MAX).unwrap();
        let mut start = 0;
        while let Some(piece) = cuckoo.chunk(start) {
            start += piece.len() as u64;
            copy.put_chunk(start, piece).unwrap();
        }
        prop_assert_eq!(&copy, &cuckoo);
        let mut payload = Vec::new();
        Cuckoo::save(&cuckoo, &mut payload);
        prop_assert_eq!(&Cuckoo::load(&payload, Cuckoo::VERSION).unwrap(), &cuckoo);
        prop_assert!(Cuckoo::load(&payload[1..], Cuckoo::VERSION).is_err());
    }

    /// Whatever the bytes say, loading ends, and what comes of it can be used.
    #[test]
    fn hostile_payloads(at in 0_usize..38, with: u8, other_at in 0_usize..38, other: u8) {
        let mut payload = Vec::new();
        Cuckoo::save(&filter(8, 2, 2), &mut payload);
        payload[at] = with;
        payload[other_at] = other;
        if let Ok(mut cuckoo) = Cuckoo::load(&payload, Cuckoo::VERSION) {
            let _ = (cuckoo.add(name(1), 3, MAX), cuckoo.remove(name(1)), cuckoo.remove(name(2)), cuckoo.told_size());
            cuckoo.compact();
        }
    }
}
