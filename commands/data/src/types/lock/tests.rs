use super::*;
use crate::types::native::Native;

fn holder(owner: &str, token: i64, end_ms: i64) -> Holder {
    Holder { owner: owner.as_bytes().into(), token, end_ms, first_ms: 5, hold_max_ms: 0, holds: 1 }
}

fn granted(mode: Mode, holders: &[Holder]) -> Lock {
    let mut lock = Lock::default();
    for holder in holders {
        lock.apply(&Effect::Grant { holder: holder.clone(), mode, meta: None });
    }
    lock
}

#[test]
fn who_may_have_it() {
    let lock = granted(Mode::Exclusive, &[holder("a", 7, 100)]);
    assert_eq!(lock.ask(b"a", Mode::Exclusive, 99), Answer::Held);
    assert_eq!(lock.ask(b"a", Mode::Shared, 99), Answer::Held);
    assert_eq!(lock.ask(b"b", Mode::Exclusive, 99), Answer::Taken);
    assert_eq!(lock.ask(b"b", Mode::Shared, 99), Answer::Taken);
    assert_eq!(lock.ask(b"a", Mode::Exclusive, 100), Answer::Free);
    assert_eq!((lock.token(99), lock.token(100)), (7, 0));
    let lock = granted(Mode::Shared, &[holder("a", 7, 100), holder("b", 8, 200)]);
    assert_eq!(lock.ask(b"c", Mode::Shared, 99), Answer::Joinable);
    assert_eq!(lock.ask(b"c", Mode::Exclusive, 199), Answer::Taken);
    assert_eq!(lock.ask(b"a", Mode::Exclusive, 99), Answer::Upgrade);
    assert_eq!(lock.ask(b"a", Mode::Exclusive, 100), Answer::Taken);
    assert!(lock.has_token(7, 99) && !lock.has_token(7, 100) && lock.has_token(8, 100));
    assert_eq!(
        (lock.free_at_ms(50), lock.next_timer(50), lock.next_timer(150)),
        (Some(200), Some(100), Some(200))
    );
    assert_eq!((lock.free_at_ms(200), lock.key_deadline_ms()), (None, Some(200 + LINGER_MS)));
}

#[test]
fn a_lease_of_a_wrong_clock_ends_all_the_same() {
    let mut lock = granted(Mode::Exclusive, &[holder("a", 7, 10 * LEASE_MAX_MS)]);
    let overdue = lock.overdue(100);
    assert_eq!(overdue, [Effect::Renew { owner: (*b"a").into(), end_ms: 100 + LEASE_MAX_MS, holds: 1 }]);
    lock.apply(&overdue[0]);
    assert_eq!(lock.free_at_ms(101), Some(100 + LEASE_MAX_MS));
    assert_eq!(lock.overdue(100 + LEASE_MAX_MS), [Effect::Expire { owner: (*b"a").into() }]);
}

#[test]
fn how_long_it_may_be_held() {
    let limited = Holder { hold_max_ms: 1500, first_ms: 0, ..holder("a", 1, 1000) };
    assert_eq!((limited.end_of(1000, 100), limited.end_of(1000, 900)), (1100, 1500));
    assert_eq!(holder("a", 1, 1000).end_of(1000, 900), 1900);
}

#[test]
fn effects_change_it() {
    let mut lock = granted(Mode::Shared, &[holder("b", 7, 100), holder("a", 8, 100)]);
    lock.apply(&Effect::Renew { owner: (*b"a").into(), end_ms: 300, holds: 2 });
    lock.apply(&Effect::Release { owner: (*b"a").into(), holds: 1 });
    assert_eq!(lock.held_by(b"a", 200).map(|held| (held.token, held.end_ms, held.holds)), Some((8, 300, 1)));
    lock.apply(&Effect::Expire { owner: (*b"b").into() });
    lock.apply(&Effect::Release { owner: (*b"a").into(), holds: 0 });
    lock.apply(&Effect::Release { owner: (*b"nobody").into(), holds: 0 });
    assert!(lock.is_over() && lock.parts.owners_len == 0);
}

#[test]
fn files_keep_it() {
    let mut lock = granted(Mode::Shared, &[holder("b", 7, 100), holder("", 8, 200)]);
    lock.apply(&Effect::Grant {
        holder: holder("c", 9, 300),
        mode: Mode::Shared,
        meta: Some((*b"m").into()),
    });
    let mut bytes = Vec::new();
    Lock::save(&lock, &mut bytes);
    assert_eq!(Lock::load(&bytes, 1).as_ref(), Ok(&lock));
    assert_eq!(Lock::token_max(&lock), 9);
    for len in 0..bytes.len() {
        assert!(Lock::load(&bytes[..len], 1).is_err());
    }
    bytes.push(0);
    assert!(Lock::load(&bytes, 1).is_err());
    let two = granted(Mode::Exclusive, &[holder("a", 1, 1), holder("b", 2, 1)]);
    bytes.clear();
    Lock::save(&two, &mut bytes);
    assert!(Lock::load(&bytes, 1).is_err(), "one holds what is exclusive");
}
