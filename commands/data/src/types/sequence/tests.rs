use std::collections::HashMap as StdMap;

use proptest::prelude::*;

use super::*;

/// A sequence as a list of all its numbers, by going from one to the next.
#[derive(Default)]
struct Model {
    settings: Settings,
    last: Option<i128>,
    period_ms: Option<i64>,
    answers: StdMap<Vec<u8>, (i64, Block)>,
}

impl Model {
    fn in_range(&self, number: i128) -> bool {
        number <= i128::from(self.settings.max) && i64::try_from(number).is_ok()
    }

    fn run(&self, first: i128, count: i64) -> Option<Vec<i128>> {
        let numbers: Vec<i128> =
            (0..count).map(|at| first + i128::from(at) * i128::from(self.settings.step)).collect();
        numbers.iter().all(|number| self.in_range(*number)).then_some(numbers)
    }

    /// What is given out, and whether it begins again.
    fn next(&mut self, count: i64, period_ms: Option<i64>) -> Option<(Vec<i128>, bool)> {
        let start = i128::from(self.settings.start);
        let new_period = period_ms.is_some_and(|now| self.period_ms.is_none_or(|last| last < now));
        let fresh = new_period || self.last.is_none();
        let first = self.last.filter(|_| !fresh).map_or(start, |last| last + i128::from(self.settings.step));
        let (numbers, wraps) = match self.run(first, count) {
            Some(numbers) => (numbers, false),
            None if self.settings.cycle && self.last.is_some() => (self.run(start, count)?, true),
            None => return None,
        };
        self.last = numbers.last().copied();
        self.period_ms = period_ms;
        Some((numbers, wraps))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Next { count: i64, id: Option<u8> },
    Wait(i64),
    Set { start: i64, step: i64, max: i64, cycle: bool, retain_ms: i64, period: bool },
    Value(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number =
        || prop_oneof![4 => -20..20_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => Just(i64::MAX - 3)];
    let count = prop_oneof![4 => Just(1_i64), 1 => 1..9_i64];
    let set =
        (number(), prop_oneof![1..4_i64, -3..0_i64], number(), any::<bool>(), 1..400_i64, any::<bool>());
    let step = prop_oneof![
        6 => (count, prop::option::of(0..12_u8)).prop_map(|(count, id)| Step::Next { count, id }),
        2 => (0..200_i64).prop_map(Step::Wait),
        1 => set.prop_map(|(start, step, max, cycle, retain_ms, period)| {
            Step::Set { start, step, max, cycle, retain_ms, period }
        }),
        1 => number().prop_map(Step::Value),
    ];
    prop::collection::vec(step, 1..120)
}

fn reread(sequence: &Sequence) -> Sequence {
    let mut bytes = Vec::new();
    sequence.write(&mut bytes);
    let read = Sequence::read(&bytes).unwrap();
    assert_eq!(&read, sequence);
    read
}

proptest! {
    #[test]
    fn it_gives_out_what_counting_by_hand_does(steps in steps()) {
        let mut sequence = Sequence::default();
        let mut twin = Sequence::default();
        let mut model = Model::default();
        let mut now_ms = 1_000_000;
        for step in steps {
            // A period of 300 ms.
            let period = model.settings.calendar.is_some().then_some(now_ms / 300 * 300);
            let mut effects = Vec::new();
            match step {
                Step::Wait(ms) => now_ms += ms,
                Step::Next { count, id } => {
                    let id: Option<Box<[u8]>> = id.map(|id| vec![id].into());
                    let known = id.as_ref().and_then(|id| model.answers.get(&**id)).filter(|(until_ms, _)| *until_ms > now_ms);
                    let found = id.as_ref().and_then(|id| sequence.find(id, now_ms));
                    prop_assert_eq!(found, known.map(|(_, block)| *block));
                    if found.is_none() {
                        let next = sequence.next(count, period);
                        let expected = model.next(count, period);
                        prop_assert_eq!(next.is_ok(), expected.is_some());
                        if let (Ok(next), Some((numbers, wraps))) = (next, expected) {
                            let block = Block { first: numbers[0] as i64, last: *numbers.last().unwrap() as i64 };
                            prop_assert_eq!((next.block, next.wraps), (block, wraps));
                            let after = model.last.unwrap() + i128::from(model.settings.step);
                            prop_assert_eq!(next.ends, !model.settings.cycle && !model.in_range(after));
                            let until_ms = now_ms + model.settings.retain_ms;
                            if let Some(id) = &id {
                                model.answers.insert(id.to_vec(), (until_ms, block));
                            }
                            let named = id.map(|id| Named { id, until_ms, block });
                            effects.push(Effect::Next { value: Some(block.last), period_ms: period, named });
                        }
                    }
                }
                Step::Set { start, step, max, cycle, retain_ms, period } => {
                    let calendar = period.then(|| Calendar { period: Period::Day, zone: "UTC".into() });
                    model.settings = Settings { start, step, max, cycle, calendar, retain_ms };
                    effects.push(Effect::Configure(model.settings.clone()));
                }
                Step::Value(value) => {
                    model.last = Some(value.into());
                    model.period_ms = period;
                    effects.push(Effect::Next { value: Some(value), period_ms: period, named: None });
                }
            }
            for effect in effects {
                sequence.apply(&effect);
                twin.apply(&effect);
            }
            sequence = reread(&sequence);
            prop_assert_eq!(&sequence, &twin);
            let remembered = model.answers.values().filter(|(until_ms, _)| *until_ms > now_ms).count();
            prop_assert_eq!(sequence.remembered(now_ms), remembered);
        }
    }

    #[test]
    fn no_bytes_crash_it(mut bytes in prop::collection::vec(any::<u8>(), 0..120), plain in any::<bool>()) {
        if plain && bytes.len() > 56 {
            bytes[32..34].fill(0);
            bytes[50..54].copy_from_slice(&[1, 0, 0, 0]);
        }
        if let Ok(sequence) = Sequence::read(&bytes) {
            let sequence = reread(&sequence);
            let _ = (sequence.next(1, Some(7)), sequence.next(1_000_000, None), sequence.before_next());
        }
    }
}

#[test]
fn what_is_out_of_date_goes_away() {
    let mut sequence = Sequence::default();
    let block = Block { first: 1, last: 1 };
    let empty = sequence.size_behind();
    for request in 0..10_000_i64 {
        let named = Named { id: request.to_le_bytes().into(), until_ms: RETAIN_DEFAULT_MS + request, block };
        sequence.apply(&Effect::Next { value: Some(request), period_ms: None, named: Some(named) });
    }
    assert_eq!(sequence.remembered(0), 10_000);
    assert_eq!(sequence.remembered(RETAIN_DEFAULT_MS + 5000), 4999);
    let full = sequence.size_behind() - empty;
    assert!((100 * 10_000..300 * 10_000).contains(&full), "{full}");
    for request in 0..1000_i64 {
        let until_ms = RETAIN_DEFAULT_MS * 2 + request + 20_000;
        let named = Named { id: request.to_be_bytes().into(), until_ms, block };
        sequence.apply(&Effect::Next { value: Some(request), period_ms: None, named: Some(named) });
    }
    assert!(sequence.size_behind() - empty < full / 5);
}

#[test]
fn the_last_numbers() {
    let mut sequence = Sequence::new(Settings { start: i64::MAX - 1, ..Settings::default() });
    let next = sequence.next(1, None).unwrap();
    assert_eq!((next.block.last, next.ends), (i64::MAX - 1, false));
    assert_eq!(sequence.next(3, None), Err(Exhausted));
    sequence.apply(&Effect::Next { value: Some(i64::MAX), period_ms: None, named: None });
    assert_eq!(sequence.next(1, None), Err(Exhausted));
    let cycle = Settings { cycle: true, start: 5, max: 3, ..Settings::default() };
    assert_eq!(Sequence::new(cycle).next(1, None), Err(Exhausted));
}
