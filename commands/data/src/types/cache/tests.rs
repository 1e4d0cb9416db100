use super::*;
use crate::types::native::Native;

const NOW: i64 = 1_700_000_000_000;

fn tag_hash(name: &[u8]) -> u64 {
    name.iter().fold(7, |hash: u64, byte| hash.wrapping_mul(1_000_003) ^ u64::from(*byte))
}

fn tagged(book: &TagBook, names: &[&[u8]]) -> Cache {
    let tags = names.iter().map(|name| book.tag(tag_hash(name))).collect();
    Cache::new(b"value", false, 0, 0, tags)
}

#[test]
fn it_is_fresh_and_then_stale() {
    let cache = Cache::new(b"v", false, NOW + 2000, 2000, Vec::new());
    assert_eq!((cache.freshness(NOW), cache.freshness(NOW + 1999)), (Freshness::Fresh, Freshness::Fresh));
    assert_eq!(cache.freshness(NOW + 2000), Freshness::Stale);
    // By a clock that is behind the one it was put by.
    assert_eq!(cache.freshness(NOW - 1), Freshness::Stale);
    assert_eq!(Cache::new(b"v", false, 0, 0, Vec::new()).freshness(i64::MAX), Freshness::Fresh);
    assert_eq!(Cache::new(b"v", true, 0, 0, Vec::new()).value(), None);
}

#[test]
fn a_tag_invalidates_all_that_have_it() {
    let book = TagBook::default();
    let (both, one) = (tagged(&book, &[b"user:7", b"org:1"]), tagged(&book, &[b"org:1"]));
    assert!(!book.invalidate(tag_hash(b"user:8"), 5));
    assert!(book.invalidate(tag_hash(b"user:7"), 6));
    assert_eq!((both.freshness(NOW), one.freshness(NOW)), (Freshness::Dead, Freshness::Fresh));
    let later = tagged(&book, &[b"user:7"]);
    assert_eq!(later.freshness(NOW), Freshness::Fresh);
    drop((both, later));
    assert!(!book.invalidate(tag_hash(b"user:7"), 7));
    assert!(book.was_invalidated_since(tag_hash(b"user:7"), 7));
    assert!(!book.was_invalidated_since(tag_hash(b"user:7"), 8));
    assert!(!book.was_invalidated_since(tag_hash(b"org:1"), 1));
}

#[test]
fn tags_go_when_nobody_has_them() {
    let book = TagBook::default();
    let kept: Vec<Cache> = (0..100_u32).map(|n| tagged(&book, &[&n.to_le_bytes()])).collect();
    for n in 0..100_000_u32 {
        drop(tagged(&book, &[&(n + 1000).to_le_bytes()]));
    }
    assert!(book.len() <= SWEPT_MAX, "{}", book.len());
    assert!(kept.iter().all(|cache| cache.freshness(NOW) == Freshness::Fresh));
    for n in 0..200_000_u64 {
        book.invalidate(n, 10 + n as i64);
    }
    assert!(book.was_invalidated_since(3, 100), "what is forgotten may have been");
    assert!(!book.was_invalidated_since(3, 300_000));
}

/// Counters that may be in memory with few in use.
const SWEPT_MAX: usize = 2048;

#[test]
fn it_is_what_its_form_says() {
    let book = TagBook::default();
    let cache = Cache::new(b"some value", false, NOW, 500, vec![book.tag(1), book.tag(2)]);
    let mut form = Vec::new();
    Cache::save(&cache, &mut form);
    let mut read = <Cache as Native>::load(&form, 1).unwrap();
    read.link(&book);
    assert_eq!(read, cache);
    assert_eq!(read.freshness(NOW - 1), Freshness::Fresh);
    book.invalidate(2, 5);
    assert_eq!((read.freshness(NOW - 1), &read), (Freshness::Dead, &cache));
    let mut dead = Vec::new();
    Cache::save(&read, &mut dead);
    assert_eq!(dead, [2]);
    assert_eq!(<Cache as Native>::load(&dead, 1).unwrap().freshness(NOW), Freshness::Dead);
    for len in 0..form.len() - b"some value".len() {
        assert!(<Cache as Native>::load(&form[..len], 1).is_err(), "{len}");
    }
    for bytes in [&[3][..], &[2, 0], &[]] {
        assert!(<Cache as Native>::load(bytes, 1).is_err());
    }
    form[0] = 1;
    assert!(<Cache as Native>::load(&form, 1).is_err());
    form[0] = 0;
    form[17] = 65;
    assert!(<Cache as Native>::load(&form, 1).is_err());
}
