use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::types::fields::HeaderError;
use crate::types::native::Native;

const MAX: u64 = u64::MAX;

fn scaling(error_rate: f64, capacity: u64, expansion: u32) -> Bloom {
    Bloom::new(&Settings { error_rate, capacity, expansion: Some(expansion) }, MAX).unwrap()
}

fn fixed(error_rate: f64, capacity: u64) -> Bloom {
    Bloom::new(&Settings { error_rate, capacity, expansion: None }, MAX).unwrap()
}

fn name(number: u64) -> Hash {
    Hash::of(format!("element-{number}").as_bytes())
}

fn lines(filter: &Bloom) -> Vec<(usize, u64, u32, u64, u64, f64)> {
    let links = filter.links().iter();
    links
        .map(|link| (link.bytes(), link.bits_len, link.hashes, link.capacity, link.size, link.error_rate))
        .collect()
}

/// What RedisBloom's own tests expect of BF.DEBUG and BF.INFO.
#[test]
fn sizes_are_those_of_redisbloom() {
    assert_eq!(scaling(0.01, 100, 2).told_size(), 240);
    assert_eq!(scaling(0.001, 100, 2).told_size(), 296);
    let mut filter = scaling(0.01, 10, 2);
    for number in 0..100 {
        let _ = filter.add(Hash::of(number.to_string().as_bytes()), MAX);
    }
    assert_eq!(filter.size(), 99);
    let expected = [
        (16, 128, 8, 10, 10, 0.005),
        (32, 256, 9, 20, 20, 0.0025),
        (72, 576, 10, 40, 40, 0.00125),
        (160, 1280, 11, 80, 29, 0.000_625),
    ];
    assert_eq!(lines(&filter), expected);
    assert_eq!(lines(&scaling(0.001, 50_000, 2)), [(98880, 791_040, 11, 50_000, 0, 0.0005)]);
    assert_eq!(scaling(0.9, 10, 2), scaling(0.25, 10, 2));
}

/// At most 10 % more false positives than asked for, in a full filter of one link.
#[test]
fn false_positives_are_as_many_as_asked_for() {
    const ELEMENTS: u64 = 20_000;
    const ASKED: u64 = 400_000;
    for error_rate in [0.1, 0.01, 0.001] {
        let mut filter = fixed(error_rate, ELEMENTS);
        let mut number = 0;
        while filter.size() < ELEMENTS {
            let _ = filter.add(name(number), MAX);
            number += 1;
        }
        let wrong = (0..ASKED).filter(|other| filter.contains(name(1_000_000_000 + other))).count();
        let rate = wrong as f64 / ASKED as f64;
        let deviation = 3.0 * (error_rate / ASKED as f64).sqrt();
        assert!(rate < error_rate * 1.1 + deviation, "{rate} instead of {error_rate}");
        assert!(rate > error_rate * 0.8 - deviation, "{rate} instead of {error_rate}");
    }
}

#[test]
fn links_together_stay_below_the_rate() {
    let mut filter = scaling(0.02, 500, 2);
    (0..30_000).for_each(|number| assert!(filter.add(name(number), MAX).is_ok()));
    assert!(filter.links().len() > 4);
    let wrong = (0..200_000).filter(|other| filter.contains(name(1_000_000_000 + other))).count();
    assert!((wrong as f64) < 0.022 * 200_000.0, "{wrong}");
    assert!((0..30_000).all(|number| filter.contains(name(number))));
}

#[test]
fn a_filter_that_does_not_scale_is_full() {
    let mut filter = fixed(0.01, 3);
    (0..3).for_each(|number| assert_eq!(filter.add(name(number), MAX), Ok(true)));
    assert_eq!(filter.add(name(9), MAX), Err(Refused::Full));
    assert_eq!(filter.add(name(1), MAX), Ok(false));
    assert_eq!((filter.size(), filter.capacity(), filter.expansion()), (3, 3, None));
}

#[test]
fn sizes_have_an_end() {
    let too_large = Settings { error_rate: 0.000_000_1, capacity: 1 << 30, expansion: Some(2) };
    assert_eq!(Bloom::new(&too_large, MAX), None);
    let no_error = Settings { error_rate: f64::MIN_POSITIVE / 4e15, capacity: 1, expansion: Some(2) };
    assert!(Bloom::new(&no_error, MAX).is_none());
    assert!(scaling(1e-300, 1, 1).links()[0].hashes < HASHES_MAX);
    // The error rate of the last link ends it.
    let mut filter = scaling(1e-300, 1, 1);
    let refused = (0..1000).find_map(|number| filter.add(name(number), MAX).err());
    assert_eq!(refused, Some(Refused::TooLarge));
    // And so does the room there is for it.
    let mut filter = scaling(0.01, 1, 32_768);
    assert_eq!(filter.add(name(1), 0), Ok(true));
    assert_eq!(filter.add(name(2), 1000), Err(Refused::TooLarge));
    assert_eq!(filter.add(name(2), 100_000), Ok(true));
}

fn copy_by_chunks(filter: &Bloom) -> Bloom {
    let mut copy = Bloom::of_header(&filter.header(), MAX).unwrap();
    let mut start = 0;
    while let Some(piece) = filter.chunk(start) {
        start += piece.len() as u64;
        copy.put_chunk(start, piece).unwrap();
    }
    copy
}

#[test]
fn pieces_that_do_not_fit_are_refused() {
    let mut filter = scaling(0.01, 10, 2);
    (0..40).for_each(|number| assert!(filter.add(name(number), MAX).is_ok()));
    let header = filter.header();
    assert_eq!(header.len(), 20 + 3 * LINK_BYTES);
    for len in 0..header.len() {
        assert_eq!(Bloom::of_header(&header[..len], MAX), Err(HeaderError::Malformed));
    }
    assert_eq!(Bloom::of_header(&[&header[..], b"x"].concat(), MAX), Err(HeaderError::Malformed));
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = header.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        Bloom::of_header(&bad, MAX).err()
    };
    let first = 20;
    assert_eq!(with(8, &u32::MAX.to_le_bytes()), Some(HeaderError::Malformed), "links");
    assert_eq!(with(12, &1_u32.to_le_bytes()), Some(HeaderError::Malformed), "hashes of 32 bits");
    assert_eq!(with(first, &u64::MAX.to_le_bytes()), Some(HeaderError::Malformed), "bytes");
    assert_eq!(with(first + 8, &0_u64.to_le_bytes()), Some(HeaderError::Malformed), "bits");
    assert_eq!(with(first + 8, &129_u64.to_le_bytes()), Some(HeaderError::Malformed), "bits");
    assert_eq!(with(first + 16, &u64::MAX.to_le_bytes()), Some(HeaderError::Malformed), "size");
    assert_eq!(with(first + 24, &f64::NAN.to_le_bytes()), Some(HeaderError::Malformed), "error rate");
    assert_eq!(with(first + 40, &u32::MAX.to_le_bytes()), Some(HeaderError::Malformed), "hashes");
    assert_eq!(Bloom::of_header(&header, 119).err(), Some(HeaderError::TooLarge));
    assert!(Bloom::of_header(&header, 120).is_ok());
    assert_eq!(filter.put_chunk(3, b"four"), Err(ChunkError::NoLink));
    assert_eq!(filter.put_chunk(18, b"four"), Err(ChunkError::TooLong));
    assert_eq!(filter.put_chunk(10_000, b"four"), Err(ChunkError::NoLink));
    assert_eq!(filter.put_chunk(u64::MAX, b"four"), Err(ChunkError::NoLink));
    assert_eq!(filter.chunk(u64::MAX), None);
    assert_eq!(filter.put_chunk(16, &[0xff; 16]), Ok(()));
}

const LINK_BYTES: usize = 53;

proptest! {
    /// Nothing that was added is ever missing, and a copy in either form is the same.
    #[test]
    fn a_filter_and_its_copies(
        added in prop::collection::vec(0_u16..400, 0..300),
        capacity in 1_u64..50,
        expansion in prop::option::of(1_u32..4),
        rate in 0.0001..0.9,
    ) {
        let mut filter = Bloom::new(&Settings { error_rate: rate, capacity, expansion }, MAX).unwrap();
        let mut there = HashSet::new();
        for number in added {
            match filter.add(name(number.into()), MAX) {
                Ok(is_new) => {
                    prop_assert!(!(is_new && there.contains(&number)));
                    there.insert(number);
                }
                Err(refused) => prop_assert_eq!(refused, Refused::Full),
            }
        }
        prop_assert!(there.iter().all(|number| filter.contains(name((*number).into()))));
        let bits: usize = filter.links().iter().map(Link::bytes).sum();
        prop_assert_eq!(filter.told_size(), 32 + 64 * filter.links().len() as u64 + bits as u64);
        prop_assert_eq!(&copy_by_chunks(&filter), &filter);
        let mut payload = Vec::new();
        Bloom::save(&filter, &mut payload);
        prop_assert_eq!(&Bloom::load(&payload, Bloom::VERSION).unwrap(), &filter);
        prop_assert!(Bloom::load(&payload[..payload.len() - 1], Bloom::VERSION).is_err());
    }

    /// Whatever the bytes say, loading ends, and what comes of it can be used.
    #[test]
    fn hostile_payloads(mut payload in prop::collection::vec(any::<u8>(), 0..200), links in 0_u32..4, at in 0_usize..300, with: u8) {
        let _ = Bloom::load(&payload, Bloom::VERSION);
        if payload.len() >= 20 {
            payload[8..12].copy_from_slice(&links.to_le_bytes());
            let _ = Bloom::load(&payload, Bloom::VERSION);
        }
        let mut payload = Vec::new();
        Bloom::save(&scaling(0.01, 20, 2), &mut payload);
        let len = payload.len();
        payload[at % len] = with;
        if let Ok(mut filter) = Bloom::load(&payload, Bloom::VERSION) {
            let _ = (filter.add(name(1), MAX), filter.capacity(), filter.told_size());
        }
    }
}
