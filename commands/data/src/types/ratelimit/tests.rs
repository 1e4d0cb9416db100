//! Each limiter against a model that remembers every call it let pass and decides by looking at all of them.

mod steps;

use super::*;
use crate::types::ratelimit::{Limiter, Spec, Verdict};

/// A small generator of random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> i64 {
        (self.next() % bound) as i64
    }
}

const START_NS: i64 = 1_700_000_000_000 * MS;

fn calls() -> usize {
    let is_long = std::env::var_os("LONG").is_some_and(|value| !value.is_empty());
    if cfg!(miri) {
        200
    } else if is_long {
        1_000_000
    } else {
        20_000
    }
}

/// All calls that passed: time in nanoseconds and cost.
#[derive(Default)]
struct Passed(Vec<(i64, i64)>);

impl Passed {
    /// Units that passed at `from` or later.
    fn since(&self, from_ns: i64) -> i64 {
        self.0.iter().rev().take_while(|(at_ns, _)| *at_ns >= from_ns).map(|(_, cost)| cost).sum()
    }

    /// Units that passed between two times, the second not included.
    fn between(&self, from_ns: i64, to_ns: i64) -> i64 {
        let later = self.0.iter().rev().skip_while(|(at_ns, _)| *at_ns >= to_ns);
        later.take_while(|(at_ns, _)| *at_ns >= from_ns).map(|(_, cost)| cost).sum()
    }
}

/// Whether a call passes, found by looking at all that passed before.
fn model(spec: &Spec, passed: &Passed, now_ns: i64, cost: i64) -> bool {
    let now_ms = now_ns / MS;
    match *spec {
        Spec::Bucket { capacity, unit_ns } => {
            // Every call empties the bucket by its cost; it fills with time, and never beyond the brim.
            let (mut missing_ns, mut last_ns) = (0, START_NS);
            let recent = passed.0.len().saturating_sub(200);
            for (at_ns, cost) in &passed.0[recent..] {
                missing_ns = (missing_ns - (at_ns - last_ns)).max(0) + cost * unit_ns;
                last_ns = *at_ns;
            }
            (missing_ns - (now_ns - last_ns)).max(0) + cost * unit_ns <= capacity * unit_ns
        }
        Spec::Leaky { capacity, unit_ns, max_delay_ms } => {
            let mut free_ns = 0;
            let recent = passed.0.len().saturating_sub(200);
            for (at_ns, cost) in &passed.0[recent..] {
                free_ns = free_ns.max(*at_ns) + cost * unit_ns;
            }
            let delay_ns = (free_ns - now_ns).max(0);
            let is_soon = max_delay_ms.is_none_or(|max_ms| delay_ns <= max_ms * MS);
            delay_ns <= capacity * unit_ns && is_soon && cost <= capacity + 1
        }
        Spec::Fixed { limit, window_ms, align_ms: Some(offset_ms) } => {
            let begin_ms = (now_ms - offset_ms).div_euclid(window_ms) * window_ms + offset_ms;
            passed.since(begin_ms * MS) + cost <= limit
        }
        Spec::Fixed { limit, window_ms, align_ms: None } => {
            // Windows begin with the first call that passes after the end of the last one.
            let (mut begin_ms, mut count) = (i64::MIN / 2, 0);
            let recent = passed.0.len().saturating_sub(400);
            for (at_ns, cost) in &passed.0[recent..] {
                if at_ns / MS >= begin_ms + window_ms {
                    (begin_ms, count) = (at_ns / MS, 0);
                }
                count += cost;
            }
            (if now_ms >= begin_ms + window_ms { 0 } else { count }) + cost <= limit
        }
        Spec::Sliding { limit, window_ms, buckets } => {
            let bucket_ms = window_ms / buckets;
            let present = now_ms / bucket_ms;
            let whole = passed.since((present - buckets + 1) * bucket_ms * MS);
            let first_ms = (present - buckets) * bucket_ms;
            let part = passed.between(first_ms * MS, (first_ms + bucket_ms) * MS);
            let left_ms = bucket_ms - (now_ms - present * bucket_ms);
            i128::from(whole + cost - limit) * i128::from(bucket_ms) + i128::from(part) * i128::from(left_ms)
                <= 0
        }
        Spec::Log { limit, window_ms } => passed.since((now_ms - window_ms + 1) * MS) + cost <= limit,
        Spec::Concurrent { .. } => unreachable!("leases have a test of their own"),
    }
}

fn at(limiter: &Limiter, spec: &Spec, now_ns: i64) -> Limiter {
    let mut copy = limiter.clone();
    copy.adopt(spec, now_ns).unwrap();
    copy
}

/// What a verdict says about the future comes true.
fn check_future(limiter: &Limiter, spec: &Spec, cost: i64, now_ns: i64, verdict: &Verdict) {
    if !verdict.allowed && verdict.retry_ms > 0 {
        let then_ns = now_ns + verdict.retry_ms * MS;
        assert!(at(limiter, spec, then_ns).judge(cost, then_ns).allowed, "{spec:?} {cost} {verdict:?}");
        let before_ns = then_ns - MS;
        let early = at(limiter, spec, before_ns).judge(cost, before_ns);
        assert!(!early.allowed, "{spec:?} {cost} {verdict:?}: {limiter:?}");
    }
    assert_eq!(verdict.retry_ms == -1, cost > spec.limit());
    let new_ns = now_ns + verdict.reset_ms * MS;
    let later = at(limiter, spec, new_ns).judge(0, new_ns);
    let most = match spec {
        Spec::Leaky { unit_ns, max_delay_ms: Some(ms), .. } => (ms * MS / unit_ns + 1).min(spec.limit()),
        _ => spec.limit(),
    };
    assert_eq!((later.remaining, later.reset_ms), (most, 0), "{spec:?} {verdict:?}");
    // What remains is exactly what would still pass.
    let present = at(limiter, spec, now_ns);
    if !matches!(spec, Spec::Leaky { .. }) {
        assert!(present.judge(verdict.remaining, now_ns).allowed);
        assert!(!present.judge(verdict.remaining + 1, now_ns).allowed);
    }
    assert!(limiter.expires_ms(now_ns) >= now_ns / MS);
}

fn run(spec: Spec, seed: u64, calls: usize) {
    let mut random = Random(seed);
    // There is none before something has passed, as in the keyspace.
    let mut limiter: Option<Limiter> = None;
    let mut passed = Passed::default();
    let mut now_ns = START_NS;
    let window_ns = (spec.window_ms() * MS).max(MS);
    for call in 0..calls {
        now_ns += match random.below(20) {
            0 => window_ns + random.below(MS as u64 * 3),
            1 => random.below(3 * window_ns as u64),
            2 => 0,
            3 => MS,
            _ => random.below(1 + window_ns as u64 / spec.limit().max(1) as u64),
        };
        if let Some(limiter) = limiter.as_ref().filter(|_| random.below(50) == 0) {
            // Of the form in files nothing is lost.
            let mut form = Vec::new();
            limiter.write(&mut form);
            assert_eq!(Limiter::read(&form).unwrap(), *limiter);
            assert_eq!(Limiter::of_image(&form), *limiter);
        }
        let cost = if random.below(4) == 0 { random.below(spec.limit() as u64 + 2) } else { 1 };
        // Only what passed is kept, as in a record.
        let mut asked =
            limiter.as_ref().map_or_else(|| spec.fresh(now_ns), |limiter| at(limiter, &spec, now_ns));
        let before = asked.clone();
        let verdict = asked.take(cost, now_ns);
        let expected =
            cost == 0 && before.judge(0, now_ns).allowed || cost > 0 && model(&spec, &passed, now_ns, cost);
        assert_eq!(verdict.allowed, expected, "{spec:?}, call {call}: {cost} of {before:?} at {now_ns}");
        assert_eq!(verdict.limit, spec.limit());
        if verdict.allowed && cost > 0 {
            passed.0.push((now_ns, cost));
            limiter = Some(asked.clone());
        } else {
            assert_eq!(asked, before, "who is refused changes nothing");
        }
        check_future(&asked, &spec, cost, now_ns, &verdict);
        check_admitted(&spec, &passed, now_ns);
        if passed.0.len() > 2000 {
            passed.0.drain(..1000);
        }
    }
}

/// No window admits more than its limit.
fn check_admitted(spec: &Spec, passed: &Passed, now_ns: i64) {
    match *spec {
        Spec::Log { limit, window_ms } => {
            assert!(passed.since((now_ns / MS - window_ms + 1) * MS) <= limit);
        }
        Spec::Fixed { limit, window_ms, align_ms: Some(offset_ms) } => {
            let begin_ms = (now_ns / MS - offset_ms).div_euclid(window_ms) * window_ms + offset_ms;
            assert!(passed.since(begin_ms * MS) <= limit);
        }
        Spec::Bucket { capacity, unit_ns } => {
            for back in [1, 10, 50] {
                let Some(at) = passed.0.len().checked_sub(back) else { continue };
                let (from_ns, _) = passed.0[at];
                let refilled = (now_ns - from_ns) / unit_ns;
                assert!(passed.since(from_ns) <= capacity + refilled + 1);
            }
        }
        _ => {}
    }
}

#[test]
fn limiters_do_what_the_model_does() {
    let specs = [
        Spec::Bucket { capacity: 5, unit_ns: 200 * MS },
        Spec::Bucket { capacity: 100, unit_ns: 7_777_777 },
        Spec::Bucket { capacity: 1, unit_ns: 1 },
        Spec::Fixed { limit: 5, window_ms: 1000, align_ms: None },
        Spec::Fixed { limit: 7, window_ms: 777, align_ms: Some(0) },
        Spec::Fixed { limit: 7, window_ms: 1000, align_ms: Some(-333) },
        Spec::Sliding { limit: 10, window_ms: 1000, buckets: 1 },
        Spec::Sliding { limit: 13, window_ms: 600, buckets: 6 },
        Spec::Sliding { limit: 100, window_ms: 6000, buckets: 60 },
        Spec::Log { limit: 10, window_ms: 1000 },
        Spec::Log { limit: 40, window_ms: 97 },
        Spec::Leaky { capacity: 3, unit_ns: 100 * MS, max_delay_ms: None },
        Spec::Leaky { capacity: 9, unit_ns: 12_345_678, max_delay_ms: Some(50) },
    ];
    for (seed, spec) in specs.into_iter().enumerate() {
        run(spec, seed as u64, calls() / specs.len() + 1);
    }
}

#[test]
fn limits_near_the_end_of_numbers_do_not_overflow() {
    let year_ms = 365 * 86_400_000;
    for spec in [
        Spec::Bucket { capacity: UNITS_MAX, unit_ns: FILL_MAX_NS / UNITS_MAX },
        Spec::Bucket { capacity: 1, unit_ns: DURATION_MAX_MS * MS },
        Spec::Leaky { capacity: UNITS_MAX - 1, unit_ns: FILL_MAX_NS / UNITS_MAX, max_delay_ms: None },
        Spec::Leaky { capacity: 0, unit_ns: DURATION_MAX_MS * MS, max_delay_ms: Some(1 << 53) },
        Spec::Fixed { limit: UNITS_MAX, window_ms: 10 * year_ms, align_ms: Some(-DURATION_MAX_MS) },
        Spec::Sliding { limit: UNITS_MAX, window_ms: DURATION_MAX_MS, buckets: 1 },
        Spec::Log { limit: UNITS_MAX, window_ms: DURATION_MAX_MS },
    ] {
        assert!(spec.is_in_range());
        let mut limiter = spec.fresh(START_NS);
        for (at, cost) in [UNITS_MAX, 1, 0, UNITS_MAX / 2, UNITS_MAX, UNITS_MAX].into_iter().enumerate() {
            let now_ns = START_NS + at as i64 * year_ms * MS;
            limiter.adopt(&spec, now_ns).unwrap();
            limiter.take(cost, now_ns);
            limiter.reserve(UNITS_MAX.min(spec.limit()), now_ns);
            limiter.adjust(i64::MAX, now_ns);
            limiter.expires_ms(now_ns);
            limiter.adjust(i64::MIN, now_ns);
            limiter.adjust(-1, now_ns);
            limiter.judge(UNITS_MAX, now_ns);
        }
    }
}

#[test]
fn adjusting_keeps_within_the_limit() {
    let mut random = Random(9);
    for spec in [
        Spec::Bucket { capacity: 10, unit_ns: 100 * MS },
        Spec::Fixed { limit: 10, window_ms: 1000, align_ms: None },
        Spec::Sliding { limit: 10, window_ms: 1000, buckets: 4 },
        Spec::Log { limit: 10, window_ms: 1000 },
        Spec::Leaky { capacity: 9, unit_ns: 100 * MS, max_delay_ms: None },
    ] {
        let mut limiter = spec.fresh(START_NS);
        let mut now_ns = START_NS;
        for _ in 0..if cfg!(miri) { 50 } else { 2000 } {
            now_ns += random.below(200 * MS as u64);
            limiter.adopt(&spec, now_ns).unwrap();
            let (before, units) = (limiter.judge(0, now_ns).remaining, random.below(25) - 12);
            limiter.adjust(units, now_ns);
            let after = limiter.judge(0, now_ns).remaining;
            let exact = (before - units).clamp(0, 10);
            assert!((after - exact).abs() <= 1, "{spec:?}: {before} and {units} make {after}");
            assert!((0..=10).contains(&after));
        }
    }
}

#[test]
fn leases_are_those_of_a_list() {
    let (mut random, spec) = (Random(3), Spec::Concurrent { limit: 5 });
    let mut limiter = spec.fresh(START_NS);
    let mut list: Vec<(Vec<u8>, i64, i64)> = Vec::new();
    let mut now_ns = START_NS;
    for _ in 0..calls() / 4 {
        now_ns += random.below(40) * MS;
        let now_ms = now_ns / MS;
        limiter.adopt(&spec, now_ns).unwrap();
        list.retain(|(_, end_ms, _)| *end_ms > now_ms);
        let id = random.below(8).to_string().into_bytes();
        if random.below(3) == 0 {
            let State::Concurrent(leases) = &mut limiter.state else { unreachable!() };
            let was_there = list.iter().any(|(known, ..)| *known == id);
            assert_eq!(leases.remove(&id), was_there);
            list.retain(|(known, ..)| *known != id);
        } else {
            let cost = 1 + random.below(3);
            let others: i64 = list.iter().filter(|(known, ..)| *known != id).map(|(.., cost)| cost).sum();
            let verdict = limiter.acquire(&id, 100, cost, now_ns);
            assert_eq!(verdict.allowed, others + cost <= 5);
            if verdict.allowed {
                list.retain(|(known, ..)| *known != id);
                list.push((id, now_ms + 100, cost));
            } else {
                assert!(verdict.retry_ms > 0);
            }
        }
        let held: i64 = list.iter().map(|(.., cost)| cost).sum();
        assert_eq!(limiter.judge(0, now_ns).remaining, 5 - held);
        let mut form = Vec::new();
        limiter.write(&mut form);
        assert_eq!(Limiter::read(&form).unwrap(), limiter);
    }
}

#[test]
fn damaged_forms_are_refused_or_harmless() {
    let mut random = Random(5);
    for spec in [
        Spec::Bucket { capacity: 10, unit_ns: 100 * MS },
        Spec::Fixed { limit: 10, window_ms: 1000, align_ms: None },
        Spec::Sliding { limit: 10, window_ms: 1000, buckets: 4 },
        Spec::Log { limit: 10, window_ms: 1000 },
        Spec::Leaky { capacity: 9, unit_ns: 100 * MS, max_delay_ms: None },
        Spec::Concurrent { limit: 4 },
    ] {
        let mut limiter = spec.fresh(START_NS);
        limiter.take(2, START_NS);
        limiter.acquire(b"id", 1000, 1, START_NS);
        let mut form = Vec::new();
        limiter.write(&mut form);
        for len in 0..form.len() {
            assert!(Limiter::read(&form[..len]).is_err());
        }
        for _ in 0..if cfg!(miri) { 20 } else { 5000 } {
            let mut bad = form.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bad.len() as u64) as usize;
                bad[at] = random.next() as u8;
            }
            let Ok(mut limiter) = Limiter::read(&bad) else { continue };
            let spec = limiter.spec();
            limiter.adopt(&spec, START_NS).unwrap();
            limiter.take(1, START_NS);
            limiter.reserve(1, START_NS);
            limiter.adjust(3, START_NS);
            limiter.adjust(-3, START_NS);
            limiter.judge(7, START_NS);
            limiter.expires_ms(START_NS);
        }
    }
}

/// Decides on the bytes of a record and by the limiter: the same comes out, whatever the clock and the parameters do.
#[test]
fn the_quick_way_decides_alike() {
    let mut random = Random(77);
    let (mut form, mut now_ns) = (None::<Vec<u8>>, START_NS);
    let (mut quick_ones, mut refused, mut quick) = (0, 0, Quick::default());
    for call in 0..10 * calls() {
        now_ns += match random.below(30) {
            0 => -random.below(3000 * MS as u64),
            1 => random.below(3_000_000 * MS as u64),
            2..10 => 0,
            _ => random.below(300 * MS as u64),
        };
        let limit = [1, 5, 100, UNITS_MAX][random.below(4) as usize];
        let window_ms = [1, 77, 1000, DURATION_MAX_MS][random.below(4) as usize];
        let align_ms = [None, Some(0), Some(-333)][random.below(3) as usize];
        let spec = match call / 64 % 4 {
            0 => Spec::Bucket { capacity: limit, unit_ns: FILL_MAX_NS / UNITS_MAX / window_ms + 1 },
            1 => Spec::Fixed { limit, window_ms, align_ms },
            2 => Spec::Sliding { limit, window_ms, buckets: 1 },
            _ => Spec::Leaky { capacity: limit, unit_ns: 1, max_delay_ms: None },
        };
        let cost = [0, 1, 1, 1, 2, 5, limit, limit + 1][random.below(8) as usize];
        let policy = (random.below(3) == 0).then_some(7);
        let adopted = form.as_deref().map_or_else(
            || Some(spec.fresh(now_ns)),
            |form| {
                let mut limiter = Limiter::of_image(form);
                limiter.adopt(&spec, now_ns).is_ok().then_some(limiter)
            },
        );
        let Some(mut limiter) = adopted else {
            assert!(!spec.quick(form.as_deref(), cost, policy, now_ns, &mut quick));
            form = None;
            continue;
        };
        let is_quick = spec.quick(form.as_deref(), cost, policy, now_ns, &mut quick);
        let verdict = limiter.take(cost, now_ns);
        limiter.policy = policy.unwrap_or(limiter.policy);
        if is_quick {
            quick_ones += 1;
            assert_eq!(quick.verdict, verdict, "{spec:?} {cost} {limiter:?}");
            assert_eq!(quick.taken().is_some(), verdict.allowed && cost > 0);
            if let Some((image, expires_ms)) = quick.taken() {
                assert_eq!(image.bytes(), limiter.image().unwrap().bytes());
                assert_eq!(expires_ms, limiter.expires_ms(now_ns));
            } else {
                refused += 1;
            }
        }
        if verdict.allowed && cost > 0 {
            limiter.unflushed = random.below(2) == 0;
            if random.below(100) == 0 {
                limiter.blocked_ms = now_ns / MS + random.below(100);
            }
            form = Some(limiter.image().unwrap().bytes().to_vec());
        }
    }
    assert!(quick_ones > 2 * calls() && refused > calls() / 4, "{quick_ones} {refused}");
}

/// Threads read the clock once per turn. Whoever has an older reading ends no window sooner than it began to end.
#[test]
fn a_clock_a_moment_behind_admits_no_more() {
    for spec in [
        Spec::Fixed { limit: 3, window_ms: 1000, align_ms: None },
        Spec::Fixed { limit: 3, window_ms: 1000, align_ms: Some(0) },
        Spec::Sliding { limit: 3, window_ms: 1000, buckets: 1 },
        Spec::Log { limit: 3, window_ms: 1000 },
        Spec::Bucket { capacity: 3, unit_ns: 1000 * MS },
    ] {
        let mut limiter = spec.fresh(START_NS + 5 * MS);
        let mut ask = |now_ms: i64| {
            let now_ns = START_NS + now_ms * MS;
            limiter.adopt(&spec, now_ns).unwrap();
            let verdict = limiter.take(1, now_ns);
            assert!(verdict.retry_ms >= 0 && verdict.reset_ms >= 0 && verdict.remaining >= 0, "{verdict:?}");
            verdict.allowed
        };
        let passed = [5, 0, 4, 2, 5, 900].map(&mut ask).into_iter().filter(|passed| *passed).count();
        assert_eq!(passed, 3, "{spec:?}");
        if matches!(spec, Spec::Fixed { align_ms: None, .. }) {
            assert!(!ask(1001) && !ask(1004) && ask(1005));
        }
    }
}
