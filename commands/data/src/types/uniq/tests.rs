use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A string of `PFADD`.
fn sketch_of<'a>(items: impl Iterator<Item = &'a [u8]>) -> Sketch {
    let mut sketch = Sketch::default();
    for item in items {
        sketch.add(Mark::of(item), SPARSE_MAX_BYTES).unwrap();
    }
    sketch
}

fn see(uniq: &mut Uniq, items: &[&[u8]], now_ms: i64) -> (bool, Effect) {
    let effect = uniq.add(items.iter().copied(), now_ms);
    let effect = uniq.apply(effect).unwrap();
    let Effect::Add { marks, .. } = &effect else { panic!("an addition stays one") };
    (!marks.is_empty(), effect)
}

fn reread(uniq: &Uniq) -> Uniq {
    let mut bytes = Vec::new();
    uniq.write(&mut bytes);
    let read = Uniq::read(&bytes).unwrap();
    assert_eq!(&read, uniq);
    assert_eq!(
        read.parts.sketches_size,
        read.parts.sketches.iter().map(|(_, sketch)| sketch.heap_size()).sum::<usize>()
    );
    read
}

proptest! {
    #[test]
    fn counts_are_those_of_one_sketch_that_saw_the_window(
        shape in (1..50_i64, 1..30_i64),
        steps in prop::collection::vec((0..4_i64, 0..60_i64, prop::collection::vec(0..5000_u32, 1..20)), 1..60),
        windows in prop::collection::vec(1..400_i64, 1..7),
    ) {
        let shape = Shape { bucket_ms: shape.0, buckets: shape.1 };
        let mut uniq = Uniq::new(shape);
        let mut twin = uniq.clone();
        let mut seen: Vec<(i64, Vec<u8>)> = Vec::new();
        let mut now_ms = 1_000_000;
        for (waits, wait_ms, numbers) in steps {
            if waits == 0 {
                now_ms += wait_ms;
            }
            let items: Vec<Vec<u8>> = numbers.iter().map(|number| number.to_string().into_bytes()).collect();
            let refs: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
            let (changed, effect) = see(&mut uniq, &refs, now_ms);
            if changed {
                twin.apply(effect).unwrap();
            }
            seen.extend(items.into_iter().map(|item| (now_ms, item)));
            prop_assert_eq!(&twin, &uniq);
            // Asked twice: the second time it is known.
            for _ in 0..2 {
                let counts = uniq.counts(&windows, now_ms);
                if windows.iter().any(|window_ms| (window_ms + shape.bucket_ms - 1) / shape.bucket_ms > shape.buckets) {
                    prop_assert_eq!(counts, Err(BeyondRetention));
                    continue;
                }
                let expected = windows.iter().map(|window_ms| {
                    let back = (window_ms + shape.bucket_ms - 1) / shape.bucket_ms * shape.bucket_ms;
                    let start = |at_ms: i64| at_ms - at_ms % shape.bucket_ms;
                    let in_window = seen.iter().filter(|(at_ms, _)| start(*at_ms) > now_ms - back);
                    super::super::hll::count(sketch_of(in_window.map(|(_, item)| item.as_slice())).bytes()).unwrap()
                });
                prop_assert_eq!(counts, Ok(expected.collect::<Vec<_>>()));
            }
        }
        reread(&uniq);
    }

    #[test]
    fn no_bytes_crash_it(bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 0..600_usize, at in 0..600_usize, byte in any::<u8>()) {
        let _ = Uniq::read(&bytes);
        let mut uniq = Uniq::default();
        for item in 0..200_u32 {
            see(&mut uniq, &[&item.to_le_bytes()], 1_700_000_000_000 + i64::from(item) * 1000);
        }
        let mut bytes = Vec::new();
        uniq.write(&mut bytes);
        if cut < bytes.len() {
            assert!(Uniq::read(&bytes[..cut]).is_err());
        }
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = Uniq::read(&bytes) {
            let _ = read.counts(&[1], 1_700_000_000_000);
        }
    }
}

#[test]
fn counts_are_near_the_truth() {
    let mut uniq = Uniq::new(Shape { bucket_ms: 1000, buckets: 10 });
    let mut truth = BTreeSet::new();
    for event in 0..400_000_u64 {
        let item = event.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
        see(&mut uniq, &[&item.to_le_bytes()], 1_000_000 + event as i64 / 50);
        truth.insert(item);
    }
    let count = uniq.counts(&[10_000], 1_007_999).unwrap()[0] as f64;
    let error = (count - truth.len() as f64).abs() / truth.len() as f64;
    // Four standard errors.
    assert!(error < 4.0 * 0.0081, "{error}");
    // Dense sketches of eight buckets.
    assert!((8 * 12_304..9 * 16_384).contains(&uniq.size_behind()), "{}", uniq.size_behind());
}

#[test]
fn another_clock_is_noticed() {
    let mut uniq = Uniq::default();
    see(&mut uniq, &[b"a"], 1_800_000_000_000);
    assert!(uniq.is_ahead(1_700_000_000_000));
    assert_eq!(uniq.counts(&[60_000], 1_700_000_000_000), Ok(vec![0]));
    assert!(!see(&mut uniq, &[b"a"], 1_700_000_000_000).0);
    uniq.apply(Effect::Configure(uniq.shape())).unwrap();
    assert!(see(&mut uniq, &[b"a"], 1_700_000_000_000).0);
    assert!(uniq.apply(Effect::Add { start_ms: -5, marks: vec![Mark::of(b"a")] }).is_err());
}
