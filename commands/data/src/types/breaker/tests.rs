use super::*;
use crate::types::native::Native;

const NOW: i64 = 1_700_000_000_000;

fn calls(ok: i64, fail: i64) -> Calls {
    Calls { ok, fail, slow: 0 }
}

fn quick() -> Breaker {
    let mut breaker = Breaker::default();
    assert!(breaker.configure(Settings {
        min_calls: 4,
        open_for_ms: 5000,
        probes: 2,
        ..Settings::default()
    }));
    breaker
}

fn token(breaker: &mut Breaker, now_ms: i64) -> i64 {
    let verdict = breaker.allow(now_ms, || now_ms).0;
    verdict.token.unwrap_or_else(|| panic!("no probe: {verdict:?}"))
}

#[test]
fn it_opens_probes_and_closes() {
    let mut breaker = quick();
    assert_eq!(breaker.report(calls(2, 1), None, NOW), Change::Counted);
    assert_eq!(breaker.report(calls(0, 1), None, NOW), Change::State);
    assert_eq!((breaker.shown(), breaker.retry_ms(NOW), breaker.opens()), (Shown::Open, 5000, 1));
    assert_eq!(breaker.report(calls(9, 9), None, NOW), Change::Nothing);
    let (verdict, change) = breaker.allow(NOW + 4999, || 1);
    assert_eq!((verdict.allowed, verdict.retry_ms, change), (false, 1, Change::Nothing));
    let (first, second) = (token(&mut breaker, NOW + 5000), token(&mut breaker, NOW + 5001));
    let (verdict, change) = breaker.allow(NOW + 5001, || 1);
    assert_eq!((verdict.allowed, verdict.retry_ms, change), (false, 1000, Change::Nothing));
    // Nobody else may report, and no probe twice.
    assert_eq!(breaker.report(calls(0, 5), None, NOW + 5001), Change::Nothing);
    assert_eq!(breaker.report(calls(0, 5), Some(7), NOW + 5001), Change::Nothing);
    assert_eq!(breaker.report(calls(1, 0), Some(first), NOW + 5001), Change::Counted);
    assert_eq!(breaker.report(calls(1, 0), Some(first), NOW + 5001), Change::Nothing);
    assert_eq!(breaker.report(calls(1, 0), Some(second), NOW + 5001), Change::State);
    assert_eq!((breaker.shown(), breaker.opens(), breaker.calls(NOW + 5001).total()), (Shown::Closed, 0, 0));
}

#[test]
fn it_is_open_twice_as_long_each_time() {
    let mut breaker = quick();
    breaker.report(calls(0, 4), None, NOW);
    let mut now_ms = NOW;
    for open_ms in [5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000] {
        assert_eq!(breaker.retry_ms(now_ms), open_ms);
        now_ms += open_ms;
        let probe = token(&mut breaker, now_ms);
        assert_eq!(breaker.report(calls(0, 1), Some(probe), now_ms), Change::State);
    }
    // However often.
    breaker.parts.opens = i64::MAX;
    assert_eq!(breaker.parts.open_ms(), 300_000);
}

#[test]
fn a_permit_returns() {
    let mut breaker = quick();
    breaker.report(calls(0, 4), None, NOW);
    let now_ms = NOW + 5000;
    let first = token(&mut breaker, now_ms);
    let second = token(&mut breaker, now_ms);
    assert_eq!(breaker.retry_ms(now_ms), 1000);
    // One was not made, the other is lost.
    assert_eq!(breaker.report(calls(0, 0), Some(second), now_ms), Change::Counted);
    assert_eq!(breaker.retry_ms(now_ms), 0);
    assert_eq!(breaker.report(calls(1, 0), Some(first), now_ms + PROBE_MS), Change::Nothing);
    let again = [token(&mut breaker, now_ms + PROBE_MS), token(&mut breaker, now_ms + PROBE_MS + 1)];
    assert_eq!(breaker.parts.probes.len(), 2);
    for probe in again {
        breaker.report(calls(1, 0), Some(probe), now_ms + PROBE_MS + 1);
    }
    assert_eq!(breaker.shown(), Shown::Closed);
}

#[test]
fn a_clock_that_was_ahead_holds_nothing_up() {
    let mut breaker = quick();
    breaker.report(calls(0, 4), None, NOW + 1_000_000_000);
    assert_eq!(breaker.retry_ms(NOW), 5000);
    assert_eq!(breaker.allow(NOW, || 1).1, Change::Counted);
    assert_eq!(breaker.allow(NOW + 5000, || 1).1, Change::State);
    let mut breaker = quick();
    breaker.report(calls(3, 0), None, NOW + 1_000_000_000);
    assert_eq!(breaker.calls(NOW).total(), 0);
    breaker.report(calls(1, 0), None, NOW);
    assert_eq!(breaker.calls(NOW).total(), 1);
}

#[test]
fn force_is_stronger() {
    let mut breaker = quick();
    assert_eq!(breaker.set_force(Force::Open), Change::State);
    assert_eq!(breaker.set_force(Force::Open), Change::Nothing);
    assert_eq!(breaker.allow(NOW, || 1).0.retry_ms, -1);
    assert_eq!(breaker.report(calls(0, 9), None, NOW), Change::Nothing);
    assert_eq!(breaker.set_force(Force::Closed), Change::State);
    assert_eq!(breaker.report(calls(0, 9), None, NOW), Change::Counted);
    assert!(breaker.allow(NOW, || 1).0.allowed);
    assert_eq!(breaker.set_force(Force::Auto), Change::State);
    assert_eq!(breaker.report(calls(0, 1), None, NOW), Change::State);
    assert_eq!(breaker.set_force(Force::Closed), Change::State);
    assert_eq!(breaker.set_force(Force::Auto), Change::State);
    assert_eq!(breaker.shown(), Shown::Closed);
}

#[test]
fn slow_calls_and_failures_in_a_row() {
    let mut breaker = Breaker::default();
    breaker.configure(Settings { min_calls: 4, slow_rate: 50, ..Settings::default() });
    assert_eq!(breaker.report(Calls { ok: 4, fail: 0, slow: 2 }, None, NOW), Change::State);
    let mut breaker = Breaker::default();
    breaker.configure(Settings { consecutive: 3, ..Settings::default() });
    assert_eq!(breaker.report(calls(0, 2), None, NOW), Change::Counted);
    assert_eq!(breaker.report(calls(1, 0), None, NOW), Change::Counted);
    assert_eq!(breaker.report(calls(5, 3), None, NOW), Change::State);
}

#[test]
fn sums_have_an_end() {
    let mut breaker = Breaker::default();
    breaker.set_force(Force::Closed);
    for step in 0..40 {
        let many = Calls { ok: 1 << 53, fail: 1 << 53, slow: 1 << 53 };
        breaker.report(many, None, NOW + step * 500);
        breaker.report(Calls { ok: i64::MAX, fail: 0, slow: 0 }, None, NOW + step * 500);
    }
    assert!(breaker.calls(NOW + 20_000).total() > 1 << 53);
    assert_eq!(Breaker::of_numbers(&breaker.numbers()), Some(breaker));
}

#[test]
fn it_is_what_its_numbers_say() {
    let mut breaker = quick();
    breaker.report(calls(3, 2), None, NOW);
    for now_ms in [NOW + 5000, NOW + 5001] {
        breaker.allow(now_ms, || now_ms);
    }
    let mut payload = Vec::new();
    Breaker::save(&breaker, &mut payload);
    let read: Breaker = <Breaker as Native>::load(&payload, 1).unwrap();
    assert_eq!(read, breaker);
    assert_eq!(read.parts.probes, breaker.parts.probes);
    // No bytes make it fail.
    let mut state = 9_u64;
    for _ in 0..20_000 {
        let mut bytes = payload.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = (state >> 25) as u8;
        }
        bytes.truncate(bytes.len() - (state >> 60) as usize / 8 * 8);
        if let Ok(mut read) = <Breaker as Native>::load(&bytes, 1) {
            for now_ms in [0, NOW, NOW + 5000, i64::MAX / 1_000_000] {
                read.allow(now_ms, || 5);
                read.report(calls(1, 1), Some(5), now_ms);
                read.report(calls(1, 1), None, now_ms);
                assert!(read.retry_ms(now_ms) >= -1 && read.calls(now_ms).total() >= 0);
            }
        }
    }
}
