#![expect(clippy::float_cmp, reason = "what is exact is compared")]

use proptest::prelude::*;

use super::*;
use crate::types::native::Native;
use crate::types::sample::tests::numbers;

fn of(compression: u64, numbers: impl IntoIterator<Item = f64>) -> TDigest {
    let mut digest = TDigest::new(compression);
    numbers.into_iter().for_each(|number| digest.add(number).unwrap());
    digest
}

fn range(compression: u64, range: std::ops::Range<i32>) -> TDigest {
    of(compression, range.map(f64::from))
}

/// The figures of RedisBloom's own tests.
#[test]
fn steps_are_those_of_redisbloom() {
    let digest = range(100, 1..10_001);
    let told = (digest.capacity(), digest.merged_nodes(), digest.unmerged_nodes(), digest.compressions());
    assert_eq!(told, (610, 51, 422, 17));
    assert_eq!((digest.merged_weight(), digest.unmerged_weight(), digest.size()), (9578, 422, 10_000));
    assert_eq!(digest.told_size(), 9840);
}

#[test]
fn small_digests_are_exact() {
    let digest = range(100, 1..6);
    assert_eq!(
        [0.0, 0.2, 0.5, 0.8, 1.0].map(|share| digest.ask().quantile(share)),
        [1.0, 2.0, 3.0, 5.0, 5.0]
    );
    let digest = range(500, 0..20);
    let asked = digest.ask();
    assert_eq!([-20.0, 20.0, 9.0].map(|number| asked.rank(number)), [Some(-1), Some(20), Some(9)]);
    assert_eq!([21.0, 0.0, 10.0].map(|number| asked.reverse_rank(number)), [Some(-1), Some(19), Some(9)]);
    let digest = range(100, 1..11);
    let asked = digest.ask();
    assert_eq!([0, 9, 100].map(|rank| asked.by_rank(rank)), [1.0, 10.0, f64::INFINITY]);
    assert_eq!([0, 9, 100].map(|rank| asked.by_reverse_rank(rank)), [10.0, 1.0, f64::NEG_INFINITY]);
    assert_eq!(
        [0.0, 1.0, 5.5, 10.0, 11.0].map(|number| asked.share_below(number)),
        [0.0, 0.05, 0.5, 0.95, 1.0]
    );
    assert_eq!((asked.trimmed_mean(0.1, 0.6), asked.trimmed_mean(0.3, 0.9)), (4.0, 6.5));
    let digest = of(100, [7.0]);
    assert_eq!((digest.ask().quantile(0.3), digest.ask().share_below(7.0)), (7.0, 0.5));
    // Numbers that occur often.
    let digest = of(100, [1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0]);
    let asked = digest.ask();
    let ranks: Vec<_> = (0..16).map(|rank| asked.by_rank(rank)).collect();
    assert_eq!(ranks[..15], [1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0]);
    assert_eq!([0.0, 1.0, 2.0, 5.0, 6.0].map(|number| asked.rank(number)), [-1, 0, 2, 12, 15].map(Some));
}

#[test]
fn an_empty_digest() {
    let mut digest = TDigest::default();
    for _ in 0..2 {
        let asked = digest.ask();
        assert!(
            [asked.quantile(0.5), asked.share_below(1.0), asked.by_rank(0), asked.by_reverse_rank(3)]
                .iter()
                .all(|it| it.is_nan())
        );
        assert!(asked.trimmed_mean(0.1, 0.9).is_nan());
        assert_eq!(
            (asked.rank(1.0), asked.reverse_rank(1.0), digest.min(), digest.max()),
            (None, None, None, None)
        );
        digest = range(100, 0..2000);
        assert_eq!((digest.min(), digest.max()), (Some(0.0), Some(1999.0)));
        digest.reset();
        assert_eq!(digest, TDigest::default());
    }
}

/// Against the sorted numbers, for three distributions: the error in shares is largest in the middle, and small towards the ends.
#[test]
fn quantiles_are_close() {
    let mut random = numbers(5);
    let mut uniform = move || (random() >> 11) as f64 / (1_u64 << 53) as f64;
    let distributions: [fn(f64) -> f64; 3] = [|x| x, |x| -(1.0 - x).ln(), |x| x * x * x];
    for distribution in distributions {
        let mut all: Vec<f64> = (0..100_000).map(|_| distribution(uniform())).collect();
        let digest = of(100, all.iter().copied());
        all.sort_by(f64::total_cmp);
        let asked = digest.ask();
        for (share, error) in [
            (0.0001, 0.0003),
            (0.01, 0.003),
            (0.1, 0.01),
            (0.5, 0.02),
            (0.9, 0.01),
            (0.99, 0.003),
            (0.9999, 0.0003),
        ] {
            let told = asked.quantile(share);
            let real = all.partition_point(|number| *number < told) as f64 / all.len() as f64;
            assert!((real - share).abs() < error, "{share}: {told} is at {real}");
            let told = asked.share_below(all[(share * 100_000.0) as usize]);
            assert!((told - share).abs() < error, "{share}: told {told}");
        }
    }
}

#[test]
fn merging() {
    let (left, right) = (range(100, 0..5000), range(200, 5000..10_000));
    let both = TDigest::merged(300, &[&left, &right]).unwrap();
    assert_eq!(
        (both.size(), both.compression(), both.min(), both.max()),
        (10_000, 300, Some(0.0), Some(9999.0))
    );
    assert!((both.ask().quantile(0.5) - 5000.0).abs() < 100.0);
    // Twice as much each time.
    let mut digest = range(100, 0..10);
    let result = (0..80).try_for_each(|_| {
        digest = TDigest::merged(100, &[&digest, &digest])?;
        Ok(())
    });
    assert_eq!(result, Err(Overflow));
    assert!(digest.size() > 1 << 60);
}

proptest! {
    /// Answers lie within the numbers, rise with the question, and are the same after a file.
    #[test]
    fn answers_are_in_order(
        numbers in prop::collection::vec(-1000.0..1000.0, 1..400),
        compression in 1_u64..30,
        mut shares in prop::collection::vec(0.0..=1.0, 1..20),
    ) {
        let digest = of(compression, numbers.iter().copied());
        let (min, max) = (digest.min().unwrap(), digest.max().unwrap());
        prop_assert_eq!(min, numbers.iter().copied().fold(f64::INFINITY, f64::min));
        shares.sort_by(f64::total_cmp);
        let asked = digest.ask();
        prop_assert!(shares.iter().all(|share| (min..=max).contains(&asked.quantile(*share))));
        let mut points = numbers.clone();
        points.sort_by(f64::total_cmp);
        let told: Vec<_> = points.iter().map(|point| asked.share_below(*point)).collect();
        prop_assert!(told.iter().all(|share| (0.0..=1.0).contains(share)));
        prop_assert!(digest.merged_nodes() + digest.unmerged_nodes() < digest.capacity() as usize);
        prop_assert_eq!(digest.size(), numbers.len() as u64);
        let mut payload = Vec::new();
        TDigest::save(&digest, &mut payload);
        prop_assert_eq!(&TDigest::load(&payload, TDigest::VERSION).unwrap(), &digest);
        prop_assert!(TDigest::load(&payload[..payload.len() - 1], TDigest::VERSION).is_err());
    }

    #[test]
    fn hostile_payloads(at in 0_usize..400, with: u8) {
        let mut payload = Vec::new();
        TDigest::save(&range(2, 0..40), &mut payload);
        let len = payload.len();
        payload[at % len] = with;
        if let Ok(mut digest) = TDigest::load(&payload, TDigest::VERSION) {
            (0..50).for_each(|_| assert!(digest.add(3.5).is_ok() || digest.size() > 1 << 60));
            let asked = digest.ask();
            let _ = (asked.quantile(0.5), asked.share_below(3.0), asked.rank(4.0), asked.by_rank(3), asked.trimmed_mean(0.1, 0.9));
            let _ = TDigest::merged(3, &[&digest, &digest]);
        }
    }
}
