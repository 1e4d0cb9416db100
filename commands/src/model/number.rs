//! Numbers as Redis reads and prints them.

use std::fmt::{self, Write as _};

pub use tidegate_data::types::string::parse_int as parse_i64;

/// Parses a double as Redis reads scores and weights, that is as C's `strtod` when the whole text must be used:
/// decimal, hexadecimal, infinities. Refused are NaN, an empty text, a leading space, and what is too large for a double
/// or so small that it would become zero.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let (value, is_exact) = strtod(text)?;
    is_exact.then_some(value)
}

/// Parses a double as Redis reads the bounds of score ranges: a text ends at its first zero byte, blanks may precede
/// the number, no text at all is 0, and what is too large or too small becomes an infinity or zero.
pub fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !is_blank(byte))?;
    strtod(&text[start..]).map(|(value, _)| value)
}

/// The number that is the whole text, and whether it was within the range of doubles.
fn strtod(text: &[u8]) -> Option<(f64, bool)> {
    let text = std::str::from_utf8(text).ok()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let hexadecimal = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let (value, mantissa) = match hexadecimal {
        Some(digits) => {
            let value = parse_hex(digits)?;
            (if text.starts_with('-') { -value } else { value }, digits.split(['p', 'P']).next())
        }
        None => (text.parse::<f64>().ok()?, unsigned.split(['e', 'E']).next()),
    };
    if value.is_nan() {
        return None;
    }
    let is_named = unsigned.starts_with(['i', 'I']);
    let overflows = value.is_infinite() && !is_named;
    let is_zero = |digits: &str| digits.bytes().all(|digit| matches!(digit, b'0' | b'.'));
    let underflows = value == 0.0 && !mantissa.is_some_and(is_zero);
    Some((value, !overflows && !underflows))
}

/// The digits after `0x`: an optional point, an optional binary exponent after `p`.
fn parse_hex(text: &str) -> Option<f64> {
    /// Beyond this every double is infinite or zero.
    const EXPONENT_MAX: i64 = 1 << 40;
    let (digits, exponent) = match text.split_once(['p', 'P']) {
        Some((digits, exponent)) => {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if unsigned.is_empty() || !unsigned.bytes().all(|digit| digit.is_ascii_digit()) {
                return None;
            }
            let size = unsigned.parse::<i64>().unwrap_or(EXPONENT_MAX).min(EXPONENT_MAX);
            (digits, if exponent.starts_with('-') { -size } else { size })
        }
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut exponent = exponent - 4 * fraction.len() as i64;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u64::from(digit.to_digit(16)?);
        if mantissa < 1 << 59 {
            mantissa = mantissa << 4 | digit;
        } else {
            // More than a double holds: that there was something only decides how the rest is rounded.
            mantissa |= u64::from(digit != 0);
            exponent += 4;
        }
    }
    // In two steps, as neither power of two may leave the range while their product is within.
    let exponent = exponent.clamp(-2200, 2200) as i32;
    let half = exponent / 2;
    Some(mantissa as f64 * f64::from(half).exp2() * f64::from(exponent - half).exp2())
}

/// A short text on the stack.
#[derive(Debug, Clone, Copy)]
pub struct NumberText {
    bytes: [u8; Self::LEN_MAX],
    len: u8,
}

impl NumberText {
    /// Enough for a sign, 17 digits, a point, and four zeros in front of them or an exponent.
    const LEN_MAX: usize = 32;

    const EMPTY: Self = NumberText { bytes: [0; Self::LEN_MAX], len: 0 };

    fn of(text: &str) -> Self {
        let mut this = Self::EMPTY;
        this.push(text.as_bytes());
        this
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + text.len()].copy_from_slice(text);
        self.len += text.len() as u8;
    }
}

impl fmt::Write for NumberText {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// The shortest text that reads back as the same double, in C's `%g` style.
pub fn format_double(value: f64) -> NumberText {
    special(value).unwrap_or_else(|| of_scientific(value, format_args!("{value:e}")))
}

/// C's `%.17g`: what Redis 7 answers for doubles.
#[inline]
pub fn format_double_17(value: f64) -> NumberText {
    if let Some((digits, exponent)) = seventeen_digits(value) {
        let mut text = [b'0'; 17];
        // Two halves, which the processor works on side by side.
        let (high, low) = text.split_at_mut(9);
        for (half, digits) in [(high, digits / 100_000_000), (low, digits % 100_000_000)] {
            let mut rest = digits as u32;
            for place in half.iter_mut().rev() {
                *place = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        return general(value.is_sign_negative(), &text, exponent);
    }
    special(value).unwrap_or_else(|| of_scientific(value, format_args!("{value:.16e}")))
}

/// The first 17 digits of a double of usual size, correctly rounded, and the decimal exponent of the first of them. The
/// library's way to that many digits is three times as slow, as it cannot do without big numbers.
#[inline]
fn seventeen_digits(value: f64) -> Option<(u64, i64)> {
    const FRACTION_BITS: u32 = 52;
    /// 10^0 to 10^22.
    const POWERS: [u128; 23] = {
        let mut powers = [1; 23];
        let mut at = 1;
        while at < powers.len() {
            powers[at] = powers[at - 1] * 10;
            at += 1;
        }
        powers
    };
    // Within these bounds the product below has at most 127 bits.
    if !(1e-5..1e17).contains(&value.abs()) {
        return None;
    }
    let bits = value.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1) | 1 << FRACTION_BITS;
    // The value is the fraction times 2 to the power of `shift`.
    let log2 = (bits >> FRACTION_BITS & 0x7ff) as i64 - 1023;
    let shift = log2 - i64::from(FRACTION_BITS);
    // The decimal exponent, or one less.
    let mut exponent = (log2 * 78_913) >> 18;
    loop {
        let product = u128::from(fraction) * POWERS[(16 - exponent) as usize];
        let digits = if shift >= 0 {
            product << shift
        } else {
            let shift = -shift as u32;
            let (digits, rest) = (product >> shift, product & ((1 << shift) - 1));
            let half = 1 << (shift - 1);
            digits + u128::from(rest > half || rest == half && digits % 2 == 1)
        };
        if digits < POWERS[17] {
            return Some((digits as u64, exponent));
        }
        exponent += 1;
    }
}

fn special(value: f64) -> Option<NumberText> {
    if value.is_nan() {
        // As the C library prints it: on x86 0/0 has a sign.
        Some(NumberText::of(if value.is_sign_negative() { "-nan" } else { "nan" }))
    } else if value.is_infinite() {
        Some(NumberText::of(if value > 0.0 { "inf" } else { "-inf" }))
    } else {
        None
    }
}

/// From Rust's scientific notation of a number, `-1.25e-7`.
fn of_scientific(value: f64, scientific: fmt::Arguments) -> NumberText {
    let mut text = NumberText::EMPTY;
    text.write_fmt(scientific).expect("writing to the stack");
    let mark = text.as_bytes().iter().position(|&byte| byte == b'e');
    let (mantissa, exponent) = text.as_bytes().split_at(mark.expect("Rust always prints an exponent"));
    let exponent = parse_i64(&exponent[1..]).expect("Rust prints a decimal exponent");
    let mut digits = NumberText::EMPTY;
    for digit in mantissa.iter().filter(|byte| byte.is_ascii_digit()) {
        digits.push(&[*digit]);
    }
    general(value.is_sign_negative(), digits.as_bytes(), exponent)
}

/// The digits of a number, of which the first has this decimal exponent, in the style of `%.17g`: without zeros at the
/// end, and in fixed notation while the exponent is in `-4..17`.
fn general(is_negative: bool, digits: &[u8], exponent: i64) -> NumberText {
    let used = digits.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
    let digits = &digits[..used];
    let mut out = NumberText::EMPTY;
    if is_negative {
        out.push(b"-");
    }
    match usize::try_from(exponent) {
        Ok(exponent @ 0..17) => {
            let whole = exponent + 1;
            if digits.len() <= whole {
                out.push(digits);
                out.push(&b"00000000000000000"[..whole - digits.len()]);
            } else {
                out.push(&digits[..whole]);
                out.push(b".");
                out.push(&digits[whole..]);
            }
        }
        Err(_) if exponent >= -4 => {
            out.push(b"0.");
            out.push(&b"000"[..(-exponent - 1) as usize]);
            out.push(digits);
        }
        _ => {
            out.push(&digits[..1]);
            if digits.len() > 1 {
                out.push(b".");
                out.push(&digits[1..]);
            }
            out.push(if exponent < 0 { b"e-" } else { b"e+" });
            let size = exponent.unsigned_abs() as u16;
            if size >= 100 {
                out.push(&[b'0' + (size / 100) as u8]);
            }
            out.push(&[b'0' + (size / 10 % 10) as u8, b'0' + (size % 10) as u8]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_like_printf() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (0.1, "0.10000000000000001"),
            (1e17, "1e+17"),
            (123_456.0, "123456"),
            (1e-5, "1.0000000000000001e-05"),
            (0.0001, "0.0001"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-f64::MIN_POSITIVE, "-2.2250738585072014e-308"),
            (-0.000_123_456_789_012_345_67, "-0.00012345678901234567"),
            (99_999_999_999_999_990.0, "99999999999999984"),
            (1e100, "1e+100"),
            (1.5e-9, "1.5e-09"),
        ] {
            assert_eq!(format_double_17(value).as_bytes(), text.as_bytes(), "{value}");
        }
        assert_eq!(format_double(0.1).as_bytes(), b"0.1");
    }

    #[test]
    fn seventeen_digits_are_those_of_the_library() {
        let mut rng = crate::model::Rng::new(17);
        for round in 0..200_000_u32 {
            let random = rng.next();
            let value = match round % 4 {
                // Any double of the range, numbers with few digits, ties, neighbours of powers of ten.
                0 => f64::from_bits(0x3ee4_f8b5_88e3_68f1 + random % 0x48c_0000_0000_0000),
                1 => (random % 1_000_000) as f64 / [1.0, 10.0, 100.0, 1000.0][(random >> 40) as usize % 4],
                2 => (random >> (random % 53)) as f64 / f64::from(1_u32 << (random >> 59)),
                _ => {
                    let power = 10_f64.powi((random % 23) as i32 - 6);
                    f64::from_bits((power.to_bits() as i64 + (random >> 60) as i64 - 8) as u64)
                }
            };
            let Some((digits, exponent)) = seventeen_digits(value) else {
                assert!(!(1e-5..1e17).contains(&value), "{value:e}");
                continue;
            };
            let library = format!("{value:.16e}");
            let digits = digits.to_string();
            assert_eq!(format!("{}.{}e{exponent}", &digits[..1], &digits[1..]), library);
        }
    }

    #[test]
    fn doubles_are_read_like_strtod() {
        assert_eq!(parse_double(b"0x10p1"), Some(32.0));
        assert_eq!(parse_double(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(format_double_17(f64::NAN).as_bytes(), b"nan");
        assert_eq!(format_double_17(-f64::NAN).as_bytes(), b"-nan");
        assert_eq!(parse_double(b"nan"), None);
        assert_eq!(parse_double(b" 1"), None);
        assert_eq!(parse_double(b""), None);
        for refused in ["1e400", "-1e400", "1e-400", "0x1p5000", "0x1p-5000", "0x", "0x1p", "1x", "1\0", "."]
        {
            assert_eq!(parse_double(refused.as_bytes()), None, "{refused}");
        }
        for (text, value) in [
            ("1e-310", 1e-310),
            ("0e999", 0.0),
            ("0x0p-9999", 0.0),
            ("-0x.8", -0.5),
            ("0X1P+3", 8.0),
            ("0x123456789abcdef012345p0", 1.375_488_932_539_311_4e24),
            ("+inf", f64::INFINITY),
            ("iNfInItY", f64::INFINITY),
            (".5", 0.5),
            ("5.", 5.0),
        ] {
            assert_eq!(parse_double(text.as_bytes()), Some(value), "{text}");
        }
    }

    #[test]
    fn bounds_are_read_without_care() {
        for (text, value) in [("", 0.0), ("\0x", 0.0), (" \t1", 1.0), ("1\0x", 1.0), ("1e400", f64::INFINITY)]
        {
            assert_eq!(parse_bound(text.as_bytes()), Some(value), "{text:?}");
        }
        for refused in [" ", "1 ", "nan", "x"] {
            assert_eq!(parse_bound(refused.as_bytes()), None, "{refused:?}");
        }
    }
}
