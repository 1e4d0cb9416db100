//! Against rows of booleans.

use proptest::prelude::*;

use super::*;

fn naive(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0)).collect()
}

/// Rows with long runs of equal bytes, as bitmaps have them, longer than a block now and then.
fn row() -> impl Strategy<Value = Vec<u8>> {
    let run = (prop_oneof![Just(0), Just(0xff), any::<u8>()], 1_usize..200);
    let dense = prop::collection::vec(any::<u8>(), 0..70);
    let runs = prop::collection::vec(run, 0..60)
        .prop_map(|runs| runs.into_iter().flat_map(|(byte, len)| std::iter::repeat_n(byte, len)).collect());
    prop_oneof![dense, runs]
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 256 },
        failure_persistence: None,
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn counting_and_finding(row in row(), a: u64, b: u64, bit: bool) {
        let bits = naive(&row);
        prop_assert_eq!(count(&row), bits.iter().filter(|bit| **bit).count() as u64);
        prop_assert_eq!(position(&row, bit), bits.iter().position(|b| *b == bit).map(|at| at as u64));
        if bits.is_empty() {
            return Ok(());
        }
        let len = bits.len() as u64;
        let (first, last) = ((a % len).min(b % len), (a % len).max(b % len));
        let inside = &bits[first as usize..=last as usize];
        prop_assert_eq!(count_in(&row, first..=last), inside.iter().filter(|bit| **bit).count() as u64);
        let found = inside.iter().position(|b| *b == bit).map(|at| first + at as u64);
        prop_assert_eq!(position_in(&row, first..=last, bit), found);
    }

    #[test]
    fn combining(rows in prop::collection::vec(row(), 1..6)) {
        let slices: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        let bits: Vec<Vec<bool>> = rows.iter().map(|row| naive(row)).collect();
        let len = bits.iter().map(Vec::len).max().unwrap_or(0);
        for (operation, wanted) in [
            (Operation::And, (|first, others, all| first && others + 1 == all) as fn(bool, usize, usize) -> bool),
            (Operation::Or, |first, others, _| first || others > 0),
            (Operation::Xor, |first, others, _| first != (others % 2 == 1)),
            (Operation::Not, |first, _, _| !first),
            (Operation::Diff, |first, others, _| first && others == 0),
            (Operation::Diff1, |first, others, _| !first && others > 0),
            (Operation::AndOr, |first, others, _| first && others > 0),
            (Operation::One, |first, others, _| usize::from(first) + others == 1),
        ] {
            let expected: Vec<bool> = (0..len)
                .map(|at| {
                    let is_set = |row: &Vec<bool>| row.get(at).copied().unwrap_or(false);
                    let others = bits[1..].iter().filter(|row| is_set(row)).count();
                    wanted(is_set(&bits[0]), others, bits.len())
                })
                .collect();
            prop_assert_eq!(naive(&combine(operation, &slices)), expected, "{:?}", operation);
        }
    }

    #[test]
    fn fields_are_bits_in_a_row(mut row in prop::collection::vec(any::<u8>(), 0..40), offset in 0_u64..330, width in 1_u32..=64, signed: bool, value: i64) {
        let field = Field { offset, width: if signed { width } else { width.min(63) }, signed };
        let mut bits = naive(&row);
        let end = (offset + u64::from(field.width)) as usize;
        let naive_value = |bits: &[bool]| {
            let mut value = 0_i128;
            for at in offset as usize..end {
                value = value << 1 | i128::from(bits.get(at).copied().unwrap_or(false));
            }
            if signed && value >> (field.width - 1) != 0 { value - (1 << field.width) } else { value }
        };
        prop_assert_eq!(i128::from(field.get(&row)), naive_value(&bits));
        row.resize(row.len().max(end.div_ceil(8)), 0);
        bits.resize(row.len() * 8, false);
        field.set(&mut row, value);
        for (at, bit) in bits[offset as usize..end].iter_mut().rev().enumerate() {
            *bit = value >> at & 1 != 0;
        }
        prop_assert_eq!(naive(&row), bits);
    }

    #[test]
    fn sums_fit_by_rule(old: i64, increment: i64, width in 1_u32..=64, signed: bool) {
        let field = Field { offset: 0, width: if signed { width } else { width.min(63) }, signed };
        let old = field.fit(old, OverflowRule::Wrap).unwrap();
        let mut row = [0; 8];
        field.set(&mut row, old);
        prop_assert_eq!(field.get(&row), old, "what fits is read back");
        let sum = i128::from(old) + i128::from(increment);
        let (min, max) = if signed { (-1_i128 << (width - 1), (1_i128 << (width - 1)) - 1) } else { (0, (1_i128 << field.width) - 1) };
        let fits = (min..=max).contains(&sum);
        prop_assert_eq!(field.add(old, increment, OverflowRule::Fail).is_ok(), fits);
        prop_assert_eq!(field.add(old, increment, OverflowRule::Saturate).map(i128::from), Ok(sum.clamp(min, max)));
        let wrapped = sum - (sum - min).div_euclid(max - min + 1) * (max - min + 1);
        prop_assert_eq!(field.add(old, increment, OverflowRule::Wrap).map(i128::from), Ok(wrapped));
    }
}

#[test]
fn an_unsigned_field_takes_a_negative_value_for_a_large_one() {
    let field = Field { offset: 0, width: 8, signed: false };
    assert_eq!(field.fit(-1, OverflowRule::Wrap), Ok(255));
    assert_eq!(field.fit(-1, OverflowRule::Saturate), Ok(255));
    assert_eq!(field.fit(-1, OverflowRule::Fail), Err(Overflow));
    assert_eq!(field.add(5, -6, OverflowRule::Saturate), Ok(0));
}

#[test]
fn a_value_far_below_a_signed_field_saturates_at_the_top() {
    let field = Field { offset: 0, width: 8, signed: true };
    assert_eq!(field.fit(-129, OverflowRule::Saturate), Ok(-128));
    assert_eq!(field.fit(i64::MIN, OverflowRule::Saturate), Ok(127));
    assert_eq!(field.fit(i64::MIN + 128, OverflowRule::Saturate), Ok(-128));
    assert_eq!(Field { width: 64, ..field }.fit(i64::MIN, OverflowRule::Saturate), Ok(i64::MIN));
}
