//! Numbers and strings as they stand in JSON.

use super::super::output::Output;
use tidegate_commands::model::parse_bound;
use tidegate_lua::Fault;

/// Writes C's `%.{digits}g`, of at most 14 digits.
pub(super) fn push_number(out: &mut Output, number: f64, digits: i32) -> Result<(), Fault> {
    if !number.is_finite() {
        // Signs of NaN are the caller's business.
        return out.push(if number > 0.0 { b"inf" } else { b"-inf" });
    }
    let digits = digits.clamp(1, 14);
    let integer = number as i64;
    // Most numbers are counts and identifiers: their digits are at hand. Zero may have a sign.
    if integer as f64 == number && integer != 0 && integer.unsigned_abs() < 10_u64.pow(digits as u32) {
        return push_integer(out, integer);
    }
    let scientific = format!("{number:.*e}", digits as usize - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if exponent < -4 || exponent >= digits {
        let sign = if exponent < 0 { '-' } else { '+' };
        let text = format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
        return out.push(text.as_bytes());
    }
    // The digits are those of the mantissa: exactly rounded once, in one form as in the other.
    let text = format!("{number:.*}", (digits - 1 - exponent) as usize);
    out.push(trimmed(&text).as_bytes())
}

fn push_integer(out: &mut Output, number: i64) -> Result<(), Fault> {
    let mut text = [0; 20];
    let mut at = text.len();
    let mut rest = number.unsigned_abs();
    while rest > 0 {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    if number < 0 {
        at -= 1;
        text[at] = b'-';
    }
    out.push(&text[at..])
}

/// Without zeros at the end of a fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Writes a string in quotes. Bytes above 127 pass as they are.
pub(super) fn push_string(out: &mut Output, text: &[u8]) -> Result<(), Fault> {
    out.push(b"\"")?;
    let mut plain = 0;
    for (at, &byte) in text.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'/' => b'/',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0..=0x1f | 0x7f => 0,
            _ => continue,
        };
        out.push(&text[plain..at])?;
        if short == 0 {
            out.push(format!("\\u{byte:04x}").as_bytes())?;
        } else {
            out.push(&[b'\\', short])?;
        }
        plain = at + 1;
    }
    out.push(&text[plain..])?;
    out.push(b"\"")
}

/// The number at the front of `text` as C's `strtod` reads it, with its length: decimal, hexadecimal, infinities, NaN.
pub(super) fn read_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let (text, whole) = (&text[sign..], text);
    let is_negative = whole.first() == Some(&b'-');
    let has = |name: &[u8]| text.get(..name.len()).is_some_and(|front| front.eq_ignore_ascii_case(name));
    if has(b"nan") {
        let nan = if is_negative { -f64::NAN } else { f64::NAN };
        return Some((nan, sign + 3 + nan_payload(&text[3..])));
    }
    let len = if has(b"infinity") {
        8
    } else if has(b"inf") {
        3
    } else if has(b"0x") && hexadecimal(&text[2..]) > 0 {
        2 + hexadecimal(&text[2..])
    } else {
        digits(text, u8::is_ascii_digit, b'e')
    };
    if len == 0 {
        return None;
    }
    Some((parse_bound(&whole[..sign + len])?, sign + len))
}

fn hexadecimal(text: &[u8]) -> usize {
    digits(text, u8::is_ascii_hexdigit, b'p')
}

/// The length of digits with a point among them and an exponent behind them, or 0 without any digit.
fn digits(text: &[u8], is_digit: fn(&u8) -> bool, exponent: u8) -> usize {
    let run = |from: usize, is: fn(&u8) -> bool| text[from..].iter().take_while(|byte| is(byte)).count();
    let mut at = run(0, is_digit);
    let mut count = at;
    if text.get(at) == Some(&b'.') {
        let fraction = run(at + 1, is_digit);
        count += fraction;
        at += 1 + fraction;
    }
    if count == 0 {
        return 0;
    }
    if text.get(at).is_some_and(|byte| byte.to_ascii_lowercase() == exponent) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let size = run(at + 1 + sign, u8::is_ascii_digit);
        if size > 0 {
            at += 1 + sign + size;
        }
    }
    at
}

/// NaN may have a payload in parentheses, which does not matter.
fn nan_payload(text: &[u8]) -> usize {
    if text.first() != Some(&b'(') {
        return 0;
    }
    let payload = text[1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if text.get(1 + payload) == Some(&b')') { payload + 2 } else { 0 }
}
