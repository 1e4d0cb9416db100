//! The 80-bit numbers of `INCRBYFLOAT` and `HINCRBYFLOAT`.
//!
//! Redis counts in C's `long double` and stores what `printf` makes of it, so its users see 64 bits of precision
//! (`0.1 + 0.2` is `0.3`). Rust has no such type: reading and adding are done by a software float, printing by exact
//! integer arithmetic.

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round, Status};
use std::cmp::Ordering;
use std::fmt::Write as _;

/// Texts of this length and more are not numbers (Redis reads them in a buffer of 5 KiB).
const TEXT_LEN_MAX: usize = 5 * 1024;

/// Digits behind the point that are printed.
const FRACTION_DIGITS: usize = 17;

/// 10 to the power of [`FRACTION_DIGITS`].
const FRACTION_SCALE: u128 = 100_000_000_000_000_000;

/// The exponent of the lowest bit of the mantissa is the stored exponent minus this.
const EXPONENT_BIAS: i32 = 16383 + 63;

/// A number in the x87 extended format: 64 bits of precision, 15 bits of exponent. Never NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Zero.
    pub const ZERO: Self = LongDouble(X87DoubleExtended::ZERO);

    /// The largest finite number.
    pub fn largest() -> Self {
        LongDouble(X87DoubleExtended::largest())
    }

    /// Parses a number as Redis does with `strtold` when the whole text must be used: decimal, hexadecimal, infinities.
    ///
    /// Refused are NaN, an empty text, a leading space, and numbers that are too large, or too small to differ from
    /// zero. O(N^2) in the number of digits, which are at most some 5000.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_LEN_MAX {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let (is_negative, magnitude) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let value = if magnitude.eq_ignore_ascii_case("inf") || magnitude.eq_ignore_ascii_case("infinity") {
            X87DoubleExtended::INFINITY
        } else {
            parse_digits(magnitude)?
        };
        Some(LongDouble(if is_negative { -value } else { value }))
    }

    /// The sum, rounded to 64 bits of precision. `None` for a sum of two opposite infinities.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = self.0.add_r(other.0, Round::NearestTiesToEven).value;
        (!sum.is_nan()).then_some(LongDouble(sum))
    }

    /// The difference, rounded to 64 bits of precision. `None` for a difference of two equal infinities.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(-other)
    }

    /// A thousand times this number, rounded up to an integer; `None` where that does not fit 64 bits.
    pub fn thousandfold_rounded_up(self) -> Option<i64> {
        let thousand = Self::from(1000).0;
        let product = self.0.mul_r(thousand, Round::NearestTiesToEven).value;
        let whole = product.to_i128_r(64, Round::TowardPositive, &mut false);
        (!whole.status.contains(Status::INVALID_OP)).then_some(whole.value as i64)
    }

    /// True for both infinities.
    pub fn is_infinite(self) -> bool {
        self.0.is_infinite()
    }

    /// The decimal text with 17 digits behind the point, zeros at its end dropped, as `printf("%.17Lf")` prints it;
    /// zero has no sign. O(N^2) in the number of digits, which are at most 4933 before the point.
    pub fn to_text(self) -> String {
        let sign = if self.0.is_negative() { "-" } else { "" };
        if self.is_infinite() {
            return format!("{sign}inf");
        }
        let bits = self.0.to_bits();
        let mantissa = u128::from(bits as u64);
        // A denormal has the exponent of the smallest normal number.
        let exponent = (((bits >> 64) as i32 & 0x7fff).max(1)) - EXPONENT_BIAS;
        let (mut text, fraction) = if exponent >= 0 {
            (shifted_digits(mantissa, exponent as u32), 0)
        } else {
            let scaled = shift_right_rounded(mantissa * FRACTION_SCALE, exponent.unsigned_abs());
            ((scaled / FRACTION_SCALE).to_string(), scaled % FRACTION_SCALE)
        };
        if fraction != 0 {
            let digits = format!("{fraction:0FRACTION_DIGITS$}");
            text.push('.');
            text.push_str(digits.trim_end_matches('0'));
        }
        if text != "0" {
            text.insert_str(0, sign);
        }
        text
    }
}

impl From<i64> for LongDouble {
    fn from(value: i64) -> Self {
        // Every i64 fits 64 bits of precision.
        LongDouble(X87DoubleExtended::from_i128(i128::from(value)).value)
    }
}

impl std::ops::Neg for LongDouble {
    type Output = Self;

    fn neg(self) -> Self {
        LongDouble(-self.0)
    }
}

impl PartialOrd for LongDouble {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.0.partial_cmp(&other.0)
    }
}

/// Reads digits without a sign, decimal or after `0x`.
fn parse_digits(text: &str) -> Option<X87DoubleExtended> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, marks) = match hex {
        Some(digits) => (digits, ['p', 'P']),
        None => (text, ['e', 'E']),
    };
    let (mantissa, exponent) = match digits.split_once(marks) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let is_digit = |byte: u8| if hex.is_some() { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let points = mantissa.bytes().filter(|byte| *byte == b'.').count();
    let digits = mantissa.bytes().filter(|byte| is_digit(*byte)).count();
    if points > 1 || digits == 0 || points + digits != mantissa.len() {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
    }
    if !mantissa.bytes().any(|byte| !matches!(byte, b'0' | b'.')) {
        return Some(X87DoubleExtended::ZERO);
    }
    // The software float insists on an exponent of hexadecimal numbers.
    let with_exponent;
    let text = if hex.is_some() && exponent.is_none() {
        with_exponent = format!("{text}p0");
        &with_exponent
    } else {
        text
    };
    let value = X87DoubleExtended::from_str_r(text, Round::NearestTiesToEven).ok()?.value;
    (value.is_finite() && !value.is_zero()).then_some(value)
}

/// `value / 2^shift`, rounded to the nearest integer, ties to even.
fn shift_right_rounded(value: u128, shift: u32) -> u128 {
    let Some(quotient) = value.checked_shr(shift) else { return 0 };
    let rest = value - (quotient << shift);
    match rest.cmp(&(1 << (shift - 1))) {
        Ordering::Less => quotient,
        Ordering::Equal => quotient + (quotient & 1),
        Ordering::Greater => quotient + 1,
    }
}

/// The decimal digits of `value * 2^shift`.
fn shifted_digits(value: u128, shift: u32) -> String {
    /// Nine decimal digits to a limb: a product with 2^31 and a carry fit 64 bits.
    const LIMB: u64 = 1_000_000_000;
    if shift <= value.leading_zeros() {
        return (value << shift).to_string();
    }
    let mut limbs = Vec::new();
    let mut rest = value;
    while rest > 0 {
        limbs.push((rest % u128::from(LIMB)) as u64);
        rest /= u128::from(LIMB);
    }
    let mut left = shift;
    while left > 0 {
        let step = left.min(31);
        let mut carry = 0;
        for limb in &mut limbs {
            let product = (*limb << step) + carry;
            *limb = product % LIMB;
            carry = product / LIMB;
        }
        while carry > 0 {
            limbs.push(carry % LIMB);
            carry /= LIMB;
        }
        left -= step;
    }
    let mut text = limbs.pop().map_or_else(String::new, |first| first.to_string());
    for limb in limbs.iter().rev() {
        write!(text, "{limb:09}").expect("a String takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `redis-server` 7.0.15 answered to `SET k <value>`, `INCRBYFLOAT k <increment>` on x86-64.
    const RECORDED: &[(&str, &str, &str)] = &[
        ("10.5", "0.1", "10.6"),
        ("3", "1.1", "4.1"),
        ("5.0e3", "2.0e2", "5200"),
        ("0.1", "0.2", "0.3"),
        ("1e17", "0.5", "100000000000000000.5"),
        ("123456789012345678901234567890", "0.1", "123456789012345678899921813504"),
        ("-1e-20", "0", "0"),
        ("0x1p3", "0x.8", "8.5"),
        ("0x10", "1", "17"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("-9223372036854775808", "-0.5", "-9223372036854775808"),
        ("1e18", "0.1", "1000000000000000000.125"),
        ("1e-4940", "1e-4940", "0"),
        ("0", "1e-4950", "0"),
        ("99999999999999999999", "1", "100000000000000000000"),
        ("0", "3.645199531882474602528e-4951", "0"),
        ("0", "+5", "5"),
        ("0", ".5", "0.5"),
        ("0", "5.", "5"),
        ("0", "0x1.8", "1.5"),
        ("17179869184", "0.1", "17179869184.09999999962747097"),
        ("1.999999999999999999", "0", "2"),
        ("0.000000000000000005", "0", "0"),
        ("0.000000000000000015", "0", "0.00000000000000002"),
        ("2.5e-17", "0", "0.00000000000000002"),
        ("1e-17", "0", "0.00000000000000001"),
        ("0.7", "0", "0.7"),
        ("1234567.891", "-0.001", "1234567.88999999999998636"),
        ("4.35", "100", "104.35"),
        ("1e20", "1e-5", "100000000000000000000"),
        ("0", "-0", "0"),
        ("-0.0", "0", "0"),
        ("18446744073709551615", "0", "18446744073709551615"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("18446744073709551617", "1", "18446744073709551616"),
        ("36893488147419103233", "0", "36893488147419103232"),
        ("0", "0x1.ffffffffffffffffp0", "2"),
        ("0", "1e+5", "100000"),
        ("0", "1E-2", "0.01"),
        ("1.5", "-1.5", "0"),
        ("0", "0.1e1", "1"),
    ];

    #[test]
    fn sums_are_those_of_redis() {
        for (value, increment, sum) in RECORDED {
            let parse = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
            let text = parse(value).checked_add(parse(increment)).unwrap().to_text();
            assert_eq!(text, *sum, "{value} + {increment}");
        }
    }

    #[test]
    fn refused_texts_are_those_of_redis() {
        let refused = [
            "",
            " 1",
            "1 ",
            "+-5",
            "1e",
            "1e+",
            ".",
            "0x",
            "0xp1",
            "0x.p1",
            "0x1p",
            "nan",
            "-nan",
            "INFI",
            "1e5000",
            "1e99999999999999999999",
            "1e-4951",
            "1e-4970",
            "1_0",
            "1\0",
            "--1",
            "1.2.3",
            "e5",
            "0x1g",
            "1f",
        ];
        for text in refused {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LongDouble::parse("1".repeat(TEXT_LEN_MAX).as_bytes()), None);
        assert!(LongDouble::parse("0".repeat(TEXT_LEN_MAX - 1).as_bytes()).is_some());
        for text in ["inf", "+Inf", "-infinity", "INFINITY"] {
            assert!(LongDouble::parse(text.as_bytes()).unwrap().is_infinite(), "{text}");
        }
        let infinity = LongDouble::parse(b"inf").unwrap();
        assert_eq!(infinity.checked_sub(infinity), None);
        assert_eq!((-infinity).to_text(), "-inf");
    }

    #[test]
    fn huge_numbers_print_all_their_digits() {
        let largest = LongDouble::largest().to_text();
        assert_eq!(largest.len(), 4933);
        assert!(largest.starts_with("1189731495357231765021263853030970205169"));
        assert!(largest.ends_with("604419552086811989770240"));
        assert_eq!(LongDouble::parse(largest.as_bytes()), Some(LongDouble::largest()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Multiples of 2^-16 below 2^46 are exact in 64 bits, and so are their sums: i128 is the model.
        #[test]
        fn exact_sums_agree_with_integers(a in -(1i128 << 61)..1i128 << 61, b in -(1i128 << 61)..1i128 << 61) {
            let read = |n: i128| {
                let scaled = n.unsigned_abs() * 10u128.pow(16) / (1 << 16);
                let sign = if n < 0 { "-" } else { "" };
                let text = format!("{sign}{}.{:016}", scaled / 10u128.pow(16), scaled % 10u128.pow(16));
                LongDouble::parse(text.as_bytes()).unwrap()
            };
            prop_assert_eq!(read(a).checked_add(read(b)), Some(read(a + b)));
        }

        #[test]
        fn integers_print_like_integers(a: i64, b: i64) {
            let sum = LongDouble::from(a).checked_add(LongDouble::from(b)).unwrap();
            if let Some(exact) = a.checked_add(b) {
                prop_assert_eq!(sum.to_text(), exact.to_string());
            }
            prop_assert_eq!(LongDouble::parse(a.to_string().as_bytes()), Some(LongDouble::from(a)));
        }

        /// A number times a power of two is shifted, whatever way its digits are made.
        #[test]
        fn long_digits_agree_with_repeated_doubling(mantissa in 1u64.., shift in 0u32..300) {
            let mut digits: Vec<u8> = mantissa.to_string().bytes().rev().map(|digit| digit - b'0').collect();
            for _ in 0..shift {
                let mut carry = 0;
                for digit in &mut digits {
                    let doubled = *digit * 2 + carry;
                    *digit = doubled % 10;
                    carry = doubled / 10;
                }
                if carry > 0 {
                    digits.push(carry);
                }
            }
            let model: String = digits.iter().rev().map(|digit| char::from(digit + b'0')).collect();
            prop_assert_eq!(shifted_digits(u128::from(mantissa), shift), model);
        }

        /// What was printed and is an integer reads back as the same number.
        #[test]
        fn texts_of_integers_survive(bits: u64, exponent in 0u32..200) {
            let text = shifted_digits(u128::from(bits), exponent);
            let value = LongDouble::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(value.to_text(), text);
        }
    }
}
