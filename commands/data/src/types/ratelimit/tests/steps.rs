//! Clocks that step: threads whose readings are some time apart, and a clock that was far ahead once.

use super::*;

/// What passed, by the latest reading that any call that passed had seen.
fn allows(spec: &Spec, passed: &Passed, now_ns: i64, cost: i64) -> bool {
    let latest_ns = passed.0.last().map_or(now_ns, |(at_ns, _)| now_ns.max(*at_ns));
    model(spec, passed, latest_ns, cost)
}

/// Calls come in the order of time, but what each reads is up to 999 ms old; now and then much time passes.
fn run_apart(spec: Spec, seed: u64, calls: usize) {
    let mut random = Random(seed);
    let mut limiter: Option<Limiter> = None;
    let (mut passed, mut readings) = (Passed::default(), Vec::new());
    let mut true_ns = START_NS;
    let window_ns = spec.window_ms() * MS;
    for call in 0..calls {
        true_ns += match random.below(20) {
            0 => window_ns + random.below(MS as u64 * 3),
            1 => random.below(3 * window_ns as u64),
            _ => random.below(1 + window_ns as u64 / spec.limit() as u64),
        };
        let behind_ns = if random.below(3) == 0 { random.below(999 * MS as u64) } else { 0 };
        let now_ns = true_ns - behind_ns;
        let mut asked =
            limiter.as_ref().map_or_else(|| spec.fresh(now_ns), |limiter| at(limiter, &spec, now_ns));
        let cost = 1 + random.below(4) / 3 * random.below(spec.limit() as u64);
        let before = asked.clone();
        let verdict = asked.take(cost, now_ns);
        assert!(verdict.retry_ms >= -1 && verdict.reset_ms >= 0 && verdict.remaining >= 0, "{verdict:?}");
        if !matches!(spec, Spec::Bucket { .. } | Spec::Sliding { .. }) {
            let expected = allows(&spec, &passed, now_ns, cost);
            assert_eq!(verdict.allowed, expected, "{spec:?}, call {call}: {cost} of {before:?} at {now_ns}");
        }
        if !verdict.allowed {
            assert_eq!(asked, before, "who is refused changes nothing");
            continue;
        }
        limiter = Some(asked);
        let latest_ns = passed.0.last().map_or(now_ns, |(at_ns, _)| now_ns.max(*at_ns));
        passed.0.push((latest_ns, cost));
        readings.push((now_ns, cost));
        check_admitted(&spec, &passed, latest_ns);
        check_readings(&spec, &readings);
        if passed.0.len() > 2000 {
            passed.0.drain(..1000);
            readings.drain(..1000);
        }
    }
    assert!(passed.0.len() > 20, "{spec:?}: hardly anything passed");
}

/// From any call on, no more than a full bucket and what came in by anybody's reading.
fn check_readings(spec: &Spec, readings: &[(i64, i64)]) {
    let Spec::Bucket { capacity, unit_ns } = *spec else { return };
    let (mut units, mut earliest_ns, mut latest_ns) = (0, i64::MAX, i64::MIN);
    for (at_ns, cost) in readings.iter().rev().take(60) {
        units += cost;
        (earliest_ns, latest_ns) = (earliest_ns.min(*at_ns), latest_ns.max(*at_ns));
        assert!(units * unit_ns <= capacity * unit_ns + (latest_ns - earliest_ns), "{spec:?}");
    }
}

#[test]
fn no_exact_form_admits_more_for_clocks_that_are_apart() {
    let specs = [
        Spec::Bucket { capacity: 5, unit_ns: 200 * MS },
        Spec::Bucket { capacity: 100, unit_ns: 7_777_777 },
        Spec::Bucket { capacity: 3, unit_ns: 3 * MS },
        Spec::Fixed { limit: 5, window_ms: 1000, align_ms: None },
        Spec::Fixed { limit: 5, window_ms: 20, align_ms: None },
        Spec::Fixed { limit: 50, window_ms: 60_000, align_ms: None },
        Spec::Log { limit: 10, window_ms: 1000 },
        Spec::Log { limit: 40, window_ms: 97 },
        Spec::Log { limit: 7, window_ms: 30_000 },
        Spec::Fixed { limit: 7, window_ms: 777, align_ms: Some(0) },
        Spec::Fixed { limit: 7, window_ms: 10, align_ms: Some(-333) },
        Spec::Sliding { limit: 10, window_ms: 1000, buckets: 1 },
        Spec::Sliding { limit: 13, window_ms: 600, buckets: 6 },
    ];
    for (seed, spec) in specs.into_iter().enumerate() {
        run_apart(spec, 100 + seed as u64, calls() / specs.len() + 1);
    }
}

/// A clock that steps back refunds nothing; nor does it keep anybody out for longer than a limiter's own length, however far
/// ahead it was.
#[test]
fn a_clock_that_was_ahead_neither_refunds_nor_keeps_out() {
    for spec in [
        Spec::Bucket { capacity: 5, unit_ns: 200 * MS },
        Spec::Fixed { limit: 5, window_ms: 1000, align_ms: None },
        Spec::Fixed { limit: 5, window_ms: 1000, align_ms: Some(0) },
        Spec::Sliding { limit: 5, window_ms: 1000, buckets: 1 },
        Spec::Sliding { limit: 5, window_ms: 1000, buckets: 10 },
        Spec::Log { limit: 5, window_ms: 1000 },
        Spec::Leaky { capacity: 5, unit_ns: 200 * MS, max_delay_ms: None },
    ] {
        let mut full = spec.fresh(START_NS);
        while full.take(1, START_NS).allowed {}
        for step_ms in [1, 500, 999, 1000, 5000, 3_600_000, 100 * 86_400_000] {
            let mut now_ns = START_NS - step_ms * MS;
            let mut limiter = full.clone();
            limiter.adopt(&spec, now_ns).unwrap();
            let refused = limiter.take(1, now_ns);
            assert!(!refused.allowed, "{spec:?}, {step_ms} ms back");
            assert!((1..=4000).contains(&refused.retry_ms), "{spec:?}, {step_ms} ms back: {refused:?}");
            // Of up to a second nobody knows that it is a step.
            now_ns += (refused.retry_ms + step_ms.min(1000)) * MS;
            limiter.adopt(&spec, now_ns).unwrap();
            let allowed = limiter.take(1, now_ns);
            assert!(allowed.allowed, "{spec:?}, {step_ms} ms back: {allowed:?} {limiter:?}");
        }
    }
}
