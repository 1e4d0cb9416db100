//! Numbers as Redis reads and prints them.

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

/// The shortest text that reads back as the same double, in C's `%g` style.
pub fn format_double(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    general(&format!("{value:e}"), 17)
}

/// C's `%.17g`: what Redis 7 answers for doubles.
pub fn format_double_17(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    general(&format!("{value:.16e}"), 17)
}

/// Turns Rust's scientific notation (`-1.25e-7`) into `%g`: trailing zeros dropped, fixed notation while the
/// exponent is in `-4..precision`.
fn general(scientific: &str, precision: i32) -> String {
    let (mantissa, exponent) = scientific.split_once('e').expect("Rust's {:e} always prints an exponent");
    let exponent: i32 = exponent.parse().expect("Rust's {:e} prints a decimal exponent");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    if !(-4..precision).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign_of_exponent = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{sign_of_exponent}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        format!("{sign}{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
    }
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
        ] {
            assert_eq!(format_double_17(value), text);
        }
        assert_eq!(format_double(0.1), "0.1");
    }

    #[test]
    fn doubles_are_read_like_strtod() {
        assert_eq!(parse_double(b"0x10p1"), Some(32.0));
        assert_eq!(parse_double(b"-inf"), Some(f64::NEG_INFINITY));
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
