//! What goes, what stays, and what the table knows of itself afterwards.

use super::*;
use crate::keyspace::{Entry, KeyHasher};
use crate::value::StringEncoding;

const NOW_MS: i64 = 1_800_000_000_000;
const KEYS: usize = if cfg!(miri) { 200 } else { 8000 };

fn table() -> Table {
    Table::new(KeyHasher::new(7))
}

fn add(table: &mut Table, number: usize, word: u32, expiry_ms: Option<i64>) {
    let key = format!("key:{number}");
    let hash = table.hasher().hash(key.as_bytes());
    let record = Record::new_bytes(key.as_bytes(), b"a value", StringEncoding::Embstr, expiry_ms);
    record.set_access(word);
    if let Entry::Vacant(entry) = table.entry(hash, key.as_bytes()) {
        entry.insert(record);
    }
}

fn number(record: &Record) -> usize {
    std::str::from_utf8(&record.key()[4..]).unwrap().parse().unwrap()
}

/// Evicts until `wanted` keys went, or nothing is left to go.
fn evict(table: &mut Table, rules: &Eviction, wanted: usize) -> Vec<usize> {
    let mut threshold = Threshold::default();
    let mut gone = Vec::new();
    let mut luck = 1;
    while gone.len() < wanted {
        let (len, bytes) = (table.len(), table.bytes() - table.ghosts_size());
        let before = gone.len();
        let mut freed = 0;
        table.evict(rules, &mut threshold, next(&mut luck), &mut |record| {
            freed += record.heap_size();
            gone.push(number(&record));
        });
        assert_eq!(table.len(), len - (gone.len() - before));
        let trail = table.ghosts_size();
        assert!(table.bytes() - trail <= bytes - freed);
        if table.evictable_len(rules.volatile) == 0 {
            break;
        }
    }
    gone
}

fn rules(order: Order, volatile: bool, access: Access) -> Eviction {
    Eviction { order, volatile, durable: false, access, samples: 5 }
}

#[test]
fn what_was_not_used_for_long_goes_first() {
    let mut table = table();
    for number in 0..KEYS {
        add(&mut table, number, Access::lru(NOW_MS + number as i64 * 10).initial(), None);
    }
    let now = Access::lru(NOW_MS + KEYS as i64 * 10);
    let gone = evict(&mut table, &rules(Order::Idle, false, now), KEYS / 10);
    let mean = gone.iter().sum::<usize>() / gone.len();
    assert!(mean < KEYS / 4, "the mean of the worst of five of {KEYS} is {mean}");
    let more = Eviction { samples: 60, ..rules(Order::Idle, false, now) };
    let gone = evict(&mut table, &more, KEYS / 20);
    let mean = gone.iter().sum::<usize>() / gone.len();
    assert!(mean < KEYS / 7, "the mean of the worst of sixty of {KEYS} is {mean}");
}

#[test]
fn what_is_rarely_used_goes_first() {
    let mut table = table();
    let lfu = |minute| Access::Lfu { minute, luck: 0, log_factor: 10, decay_minutes: 1 };
    for number in 0..KEYS {
        let uses = if number % 10 == 0 { 5 } else { 6 + number as u32 % 200 };
        add(&mut table, number, 100 << 8 | uses, None);
    }
    let gone = evict(&mut table, &rules(Order::Rare, false, lfu(100)), KEYS / 20);
    let rare = gone.iter().filter(|&&number| number % 10 == 0).count();
    assert!(rare * 10 >= gone.len() * 9, "{rare} of {}", gone.len());
}

#[test]
fn what_is_due_soon_goes_first_and_only_what_has_a_deadline() {
    let mut table = table();
    for number in 0..KEYS {
        let expiry_ms = (number % 4 == 0).then_some(NOW_MS + number as i64 * 1000);
        add(&mut table, number, 0, expiry_ms);
    }
    let rules = rules(Order::Due, true, Access::lru(NOW_MS));
    let gone = evict(&mut table, &rules, KEYS / 40);
    assert!(gone.iter().all(|number| number % 4 == 0));
    let mean = gone.iter().sum::<usize>() / gone.len();
    assert!(mean < KEYS / 5, "{mean}");
    let rest = evict(&mut table, &rules, usize::MAX);
    assert_eq!(gone.len() + rest.len(), KEYS.div_ceil(4));
    assert_eq!((table.len(), table.expires_len()), (KEYS - KEYS.div_ceil(4), 0));
    assert_eq!(table.evictable_len(true), 0);
}

#[test]
fn everything_can_go_in_any_order() {
    for order in [Order::Idle, Order::Rare, Order::Any, Order::Due, Order::Fifo] {
        let mut table = table();
        (0..KEYS / 4).for_each(|number| add(&mut table, number, Access::fifo(NOW_MS).initial(), None));
        let access = if order == Order::Fifo { Access::fifo(NOW_MS) } else { Access::lru(NOW_MS) };
        let mut gone = evict(&mut table, &rules(order, false, access), usize::MAX);
        gone.sort_unstable();
        assert!(gone.into_iter().eq(0..KEYS / 4), "{order:?}");
        assert!(table.is_empty());
    }
}

#[test]
fn a_single_key_among_many_that_may_go_is_found() {
    let mut table = table();
    for number in 0..KEYS {
        add(&mut table, number, 0, (number == KEYS / 2).then_some(NOW_MS));
    }
    let gone = evict(&mut table, &rules(Order::Idle, true, Access::lru(NOW_MS)), 1);
    assert_eq!(gone, [KEYS / 2]);
}

#[test]
fn a_scan_does_not_push_out_what_is_used() {
    let mut table = table();
    let hot = KEYS / 2;
    let mut now_ms = NOW_MS;
    for number in 0..hot {
        let access = Access::fifo(now_ms);
        add(&mut table, number, access.seen(access.initial()), None);
    }
    for number in hot..hot + 3 * KEYS {
        now_ms += 10;
        let access = Access::fifo(now_ms);
        add(&mut table, number, access.initial(), None);
        if table.len() > KEYS {
            let mut threshold = Threshold::default();
            table.evict(&rules(Order::Fifo, false, access), &mut threshold, 0, &mut |_| {});
        }
    }
    let kept = table.records().filter(|record| number(record) < hot).count();
    assert!(kept * 10 >= hot * 9, "{kept} of {hot}");
}

#[test]
fn what_comes_back_is_kept() {
    let mut table = table();
    let access = Access::fifo(NOW_MS);
    (0..KEYS).for_each(|number| add(&mut table, number, access.initial(), None));
    let gone = evict(&mut table, &rules(Order::Fifo, false, access), KEYS / 8);
    for &number in &gone {
        add(&mut table, number, access.initial(), None);
    }
    let back = table.records().filter(|record| fifo_is_main(record.access())).count();
    assert!(back * 4 >= gone.len() * 3, "{back} of {}", gone.len());
    assert!(table.trail_mut().is_some_and(|trail| trail.ghosts.is_some()));
    evict(&mut table, &rules(Order::Idle, false, Access::lru(NOW_MS)), 1);
    assert!(table.trail_mut().is_some_and(|trail| trail.ghosts.is_none()), "other policies do not want them");
}

#[test]
fn every_record_ages() {
    let mut table = table();
    let then = Access::lru(NOW_MS);
    (0..KEYS).for_each(|number| add(&mut table, number, then.initial(), None));
    let now = Access::lru(NOW_MS + 10_000_000);
    let mut prefix = 0;
    loop {
        prefix = table.age(prefix, 3, now);
        if prefix == 0 {
            break;
        }
    }
    let later = Access::lru(NOW_MS + 20_000_000);
    assert!(table.records().all(|record| later.idle_s(record.access()) == 20_000));
}
