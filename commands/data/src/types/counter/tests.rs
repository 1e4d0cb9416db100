use proptest::prelude::*;

use super::*;

/// All events, and sums by going through them.
struct Model {
    tiers: Tiers,
    events: Vec<(i64, i64)>,
}

impl Model {
    fn bucket_sum(&self, tier: Tier, number: i64) -> i128 {
        let in_it = self.events.iter().filter(|(at_ms, _)| at_ms.div_euclid(tier.bucket_ms) == number);
        in_it.map(|(_, n)| i128::from(*n)).sum()
    }

    fn sum(&self, window_ms: i64, now_ms: i64) -> Result<i64, BeyondRetention> {
        let tier = self.tiers.iter().find(|tier| tier.bucket_ms * (tier.buckets - 1) >= window_ms);
        let tier = tier.ok_or(BeyondRetention)?;
        let left_ms = now_ms - window_ms;
        let start = |at_ms: i64| at_ms - at_ms.rem_euclid(tier.bucket_ms);
        let whole = self.events.iter().filter(|(at_ms, _)| start(*at_ms) > left_ms);
        let whole: i128 = whole.map(|(_, n)| i128::from(*n)).sum();
        let cut = start(left_ms);
        let share = i128::from(cut + tier.bucket_ms - left_ms);
        let cut = self.bucket_sum(tier, left_ms.div_euclid(tier.bucket_ms)) * share;
        Ok((whole + cut.div_euclid(tier.bucket_ms.into())) as i64)
    }

    fn rows(&self, from_ms: i64, to_ms: i64, width_ms: Option<i64>, now_ms: i64) -> Option<Vec<Row>> {
        let oldest = |tier: &Tier| (now_ms / tier.bucket_ms - tier.buckets + 1) * tier.bucket_ms;
        let fits = |tier: &Tier| width_ms.is_none_or(|width_ms| width_ms % tier.bucket_ms == 0);
        let tiers: Vec<Tier> = self.tiers.iter().filter(fits).collect();
        let covers = |tier: &&Tier| from_ms - from_ms.rem_euclid(tier.bucket_ms) >= oldest(tier);
        let tier = tiers.iter().find(covers).or(tiers.last())?;
        let width_ms = width_ms.unwrap_or(tier.bucket_ms);
        let mut rows = std::collections::BTreeMap::<i64, i64>::new();
        for (at_ms, n) in &self.events {
            let start_ms = at_ms - at_ms.rem_euclid(width_ms);
            let kept = at_ms - at_ms.rem_euclid(tier.bucket_ms) >= oldest(tier);
            if kept && (from_ms..to_ms).contains(&start_ms) {
                *rows.entry(start_ms).or_default() += n;
            }
        }
        let rows = rows.into_iter().map(|(start_ms, sum)| Row { start_ms, sum });
        Some(rows.filter(|row| row.sum != 0).collect())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add { n: i64, back_ms: i64 },
    Wait(i64),
    Sum(i64),
    Rows { from_ms: i64, len_ms: i64, width: Option<i64> },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![0..3_i64, 0..500_i64, 0..20_000_i64, 0..2_000_000_i64];
    let back = prop_oneof![Just(0_i64), -1000..0_i64, 0..3000_i64, 0..900_000_i64];
    let window = prop_oneof![1..200_i64, 1..20_000_i64, 1..600_000_i64];
    let width = prop_oneof![
        Just(None),
        (1..20_i64).prop_map(|n| Some(n * 10)),
        (1..9_i64).prop_map(|n| Some(n * 700))
    ];
    let rows = (-600_000..2000_i64, 0..700_000_i64, width);
    let step = prop_oneof![
        4 => (-20..100_i64, back).prop_map(|(n, back_ms)| Step::Add { n, back_ms }),
        2 => wait.prop_map(Step::Wait),
        2 => window.prop_map(Step::Sum),
        1 => rows.prop_map(|(from_ms, len_ms, width)| Step::Rows { from_ms, len_ms, width }),
    ];
    prop::collection::vec(step, 1..150)
}

fn tiers() -> impl Strategy<Value = Tiers> {
    let tiers = |widths: &'static [(i64, i64)]| {
        let tiers =
            widths.iter().map(|(bucket_ms, buckets)| Tier { bucket_ms: *bucket_ms, buckets: *buckets });
        Just(Tiers::new(&tiers.collect::<Vec<_>>()).unwrap())
    };
    prop_oneof![
        Just(Tiers::default()),
        tiers(&[(1, 50)]),
        tiers(&[(10, 20), (100, 30), (700, 5)]),
        tiers(&[(1000, 1)]),
        tiers(&[(50, 7), (5000, 3), (10_000, 60)]),
    ]
}

/// The form in files, both ways.
fn reread(counter: &Counter) -> Counter {
    let mut bytes = Vec::new();
    counter.write(&mut bytes);
    let read = Counter::read(&bytes).unwrap();
    assert_eq!(&read, counter);
    let mut again = Vec::new();
    read.write(&mut again);
    assert_eq!(again, bytes);
    read
}

/// The journal hears of it, and a copy that is made from what it hears.
fn tell(counter: &mut Counter, twin: &mut Counter) {
    for effect in counter.untold() {
        twin.apply(&effect).unwrap();
    }
    // Whoever hears of it twice has the same.
    for effect in counter.untold() {
        twin.apply(&effect).unwrap();
    }
    counter.forget_untold();
}

proptest! {
    #[test]
    fn sums_are_those_of_all_events(tiers in tiers(), steps in steps(), start_ms in 2_000_000..9_000_000_i64) {
        let mut counter = Counter::new(tiers);
        let mut twin = counter.clone();
        let mut model = Model { tiers, events: Vec::new() };
        let mut now_ms = start_ms;
        for step in steps {
            match step {
                Step::Add { n, back_ms } => {
                    let at_ms = now_ms - back_ms;
                    let effect = counter.add(n, at_ms);
                    prop_assert_eq!(counter.apply(&effect), Ok(()));
                    let Effect::Set { start_ms, .. } = effect else { unreachable!() };
                    if !counter.note_untold(start_ms) {
                        tell(&mut counter, &mut twin);
                    }
                    model.events.push((at_ms, n));
                    prop_assert_eq!(counter.total(), model.events.iter().map(|(_, n)| n).sum::<i64>());
                    prop_assert_eq!(counter.last_ms(), model.events.iter().map(|(at_ms, _)| *at_ms).max().unwrap());
                }
                Step::Wait(ms) => {
                    // The journal hears what was added since.
                    tell(&mut counter, &mut twin);
                    prop_assert_eq!(&twin, &counter);
                    counter = reread(&counter);
                    now_ms += ms;
                }
                Step::Sum(window_ms) => {
                    prop_assert_eq!(counter.sum(window_ms, now_ms), model.sum(window_ms, now_ms));
                }
                Step::Rows { from_ms, len_ms, width } => {
                    let from_ms = now_ms + from_ms;
                    let rows = counter.rows(from_ms, from_ms + len_ms, width, now_ms);
                    let expected = model.rows(from_ms, from_ms + len_ms, width, now_ms);
                    let filled = rows.map(|rows| rows.filled().collect::<Vec<_>>());
                    prop_assert_eq!(&filled, &expected);
                    if let Some(rows) = rows && rows.len() < 2000 {
                        let all: Vec<Row> = rows.all().collect();
                        prop_assert!(all.iter().all(|row| (from_ms..from_ms + len_ms).contains(&row.start_ms)));
                        prop_assert_eq!(all.into_iter().filter(|row| row.sum != 0).collect::<Vec<_>>(), expected.unwrap());
                    }
                }
            }
        }
    }

    #[test]
    fn no_bytes_crash_it(mut bytes in prop::collection::vec(any::<u8>(), 0..120), header in any::<bool>()) {
        if header && bytes.len() > 40 {
            bytes[..40].fill(0);
            bytes[24] = 1;
            bytes[25] = 100;
            bytes[33] = 9;
        }
        if let Ok(mut counter) = Counter::read(&bytes) {
            reread(&counter);
            let effect = counter.add(7, 1_700_000_000_000);
            counter.apply(&effect).unwrap();
            let _ = (counter.sum(1, i64::MAX), counter.sum(i64::MAX, 0), counter.is_ahead(0));
            let rows = counter.rows(i64::MIN, i64::MAX, None, 1_700_000_000_000).unwrap();
            assert!(rows.filled().count() <= 10);
        }
    }
}

#[test]
fn the_transcript_of_windows() {
    const T0: i64 = 1_700_000_000_000;
    let mut counter = Counter::default();
    for (n, at_ms) in [(5, T0), (3, T0 + 500), (2, T0 + 1500)] {
        let effect = counter.add(n, at_ms);
        counter.apply(&effect).unwrap();
    }
    let sums = [1000, 2000, 60_000].map(|window_ms| counter.sum(window_ms, T0 + 1500));
    assert_eq!(sums, [Ok(6), Ok(10), Ok(10)]);
    let row = |start_ms, sum| Row { start_ms, sum };
    let rows = |from_ms, to_ms, width| {
        counter.rows(from_ms, to_ms, width, T0 + 1500).unwrap().filled().collect::<Vec<_>>()
    };
    assert_eq!(rows(T0, T0 + 2000, None), [row(T0, 8), row(T0 + 1000, 2)]);
    assert_eq!(rows(T0 - 20_000, T0 + 40_000, Some(60_000)), [row(T0 - 20_000, 10)]);
    let sums = [1000, 180_000].map(|window_ms| counter.sum(window_ms, T0 + 131_500));
    assert_eq!(sums, [Ok(0), Ok(10)]);
    assert_eq!(counter.sum(99_999_999_999_999, T0), Err(BeyondRetention));
    assert_eq!((counter.first_ms(), counter.last_ms()), (T0, T0 + 1500));
}

#[test]
fn sums_stay_in_range() {
    let mut counter = Counter::default();
    for n in [i64::MAX, 5, -7, i64::MIN, i64::MIN, 3] {
        let effect = counter.add(n, 1000);
        counter.apply(&effect).unwrap();
    }
    assert_eq!(counter.total(), i64::MIN + 3);
    assert_eq!(counter.sum(60_000, 2000), Ok(i64::MIN + 3));
}

#[test]
fn it_takes_little_memory_before_it_is_used() {
    let mut counter = Counter::default();
    let empty = counter.size_behind();
    for second in 0..30 {
        let effect = counter.add(1, second * 1000);
        counter.apply(&effect).unwrap();
    }
    assert_eq!(counter.size_behind() - empty, 32 * 8 + 3 * 16);
    // Rare events keep it small: what lies between them has no place.
    for day in 0..10 {
        let effect = counter.add(1, day * 86_400_000);
        counter.apply(&effect).unwrap();
    }
    assert!(counter.size_behind() - empty <= 1040, "{}", counter.size_behind() - empty);
    for second in 0..86_400 * 400 / 600 {
        let effect = counter.add(1, second * 600_000);
        counter.apply(&effect).unwrap();
    }
    for second in 0..86_400 {
        let effect = counter.add(1, 86_400_000 * 400 + second * 1000);
        counter.apply(&effect).unwrap();
    }
    let sums = 121 + 181 + 73 + 401;
    assert!(counter.size_behind() - empty < sums * 8 * 3 / 2, "{}", counter.size_behind() - empty);
}

#[test]
fn another_clock_is_noticed() {
    let mut counter = Counter::default();
    let effect = counter.add(4, 1_800_000_000_000);
    counter.apply(&effect).unwrap();
    assert!(!counter.is_ahead(1_800_000_000_000) && counter.is_ahead(1_700_000_000_000));
    assert_eq!(counter.sum(1000, 1_700_000_000_000), Ok(0));
    counter.apply(&Effect::Configure(counter.tiers())).unwrap();
    let effect = counter.add(1, 1_700_000_000_000);
    counter.apply(&effect).unwrap();
    assert_eq!((counter.sum(1000, 1_700_000_000_000), counter.total()), (Ok(1), 5));
    assert_eq!(
        counter.apply(&Effect::Set { start_ms: -1, sums: [0; 4], total: 1, first_ms: 0, last_ms: 0 }),
        Err(Malformed)
    );
}

#[test]
fn tiers_go_together_or_are_refused() {
    let tier = |bucket_ms, buckets| Tier { bucket_ms, buckets };
    assert!(Tiers::new(&[tier(1000, 10), tier(3000, 1)]).is_ok());
    assert!(Tiers::new(&[]).is_err());
    assert!(Tiers::new(&[tier(1000, 10), tier(1000, 10)]).is_err());
    assert!(Tiers::new(&[tier(1000, 10), tier(1500, 10)]).is_err());
    assert!(Tiers::new(&[tier(0, 10)]).is_err() && Tiers::new(&[tier(1, 0)]).is_err());
    assert!(Tiers::new(&[tier(1, BUCKETS_MAX + 1)]).is_err());
    assert!(Tiers::new(&[tier(DURATION_MAX_MS, 2)]).is_err());
}
