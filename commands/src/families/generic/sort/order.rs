//! What the elements of `SORT` weigh, and their order.

use super::options::Options;
use crate::families::partial_sort::partial_sort;
use crate::model::parse_double;
use std::cmp::Ordering;
use std::ops::Range;

/// Texts, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
}

/// The place of a text among others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    start: usize,
    len: usize,
}

impl Texts {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Text {
        let text = Text { start: self.bytes.len(), len: bytes.len() };
        self.bytes.extend_from_slice(bytes);
        text
    }

    pub(super) fn get(&self, text: Text) -> &[u8] {
        &self.bytes[text.start..text.start + text.len]
    }

    /// The text up to its first zero byte, where C sees its end.
    pub(super) fn until_zero(&self, text: Text) -> Text {
        let len = self.get(text).iter().position(|byte| *byte == 0).unwrap_or(text.len);
        Text { len, ..text }
    }
}

/// An element and what it is sorted by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    text: Text,
    weight: Weight,
}

#[derive(Debug, Clone, Copy)]
enum Weight {
    /// As text it comes before all others, as number it is 0.
    None,
    Number(f64),
    Text(Text),
}

impl Element {
    pub(super) fn new(text: Text) -> Self {
        Element { text, weight: Weight::None }
    }

    pub(super) fn text(&self) -> Text {
        self.text
    }

    pub(super) fn weigh_text(&mut self, text: Text) {
        self.weight = Weight::Text(text);
    }

    pub(super) fn weigh_number(&mut self, number: f64) {
        self.weight = Weight::Number(number);
    }

    fn number(&self) -> f64 {
        if let Weight::Number(number) = self.weight { number } else { 0.0 }
    }

    fn weight_text<'t>(&self, texts: &'t Texts) -> Option<&'t [u8]> {
        if let Weight::Text(text) = self.weight { Some(texts.get(text)) } else { None }
    }
}

/// Sorts elements that were weighed, at least so far that the wanted ones are in their places.
pub(super) fn sort(elements: &mut [Element], wanted: Range<usize>, options: &Options, texts: &Texts) {
    if wanted.is_empty() {
        return;
    }
    let mut compare = |a: &Element, b: &Element| {
        let ascending = if options.alpha {
            a.weight_text(texts).cmp(&b.weight_text(texts))
        } else {
            let by_number = a.number().partial_cmp(&b.number()).unwrap_or(Ordering::Equal);
            by_number.then_with(|| texts.get(a.text).cmp(texts.get(b.text)))
        };
        if options.descending { ascending.reverse() } else { ascending }
    };
    if options.by.is_some() && wanted != (0..elements.len()) {
        partial_sort(elements, wanted, &mut compare);
    } else {
        elements.sort_by(compare);
    }
}

/// A text as C's `strtod` reads it if it uses all of it: blanks in front are passed over, an empty text is 0, the end
/// is at the first zero byte. `None` for what is no number, not a number, or out of range.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let digits = &text[text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len())..];
    let number = parse_double(digits)?;
    let mantissa = digits.split(|byte| byte.eq_ignore_ascii_case(&b'e')).next().unwrap_or_default();
    let is_decimal = !digits.iter().any(|byte| byte.eq_ignore_ascii_case(&b'x'));
    let is_out_of_range = if number.is_infinite() {
        mantissa.iter().any(u8::is_ascii_digit)
    } else {
        // Too small to be told apart from its neighbours.
        is_decimal && !number.is_normal() && mantissa.iter().any(|byte| (b'1'..=b'9').contains(byte))
    };
    (!is_out_of_range).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, expected) in [
            (&b""[..], 0.0),
            (b" \t\n\x0b1.5", 1.5),
            (b"-0", 0.0),
            (b"1\0 2", 1.0),
            (b"0x10", 16.0),
            (b"inf", f64::INFINITY),
            (b"-Infinity", f64::NEG_INFINITY),
            (b"0e-400", 0.0),
            (b"1e308", 1e308),
        ] {
            assert_eq!(number(text), Some(expected), "{}", text.escape_ascii());
        }
        for text in [&b" "[..], b"1 ", b"x", b"nan", b"1e400", b"-1e400", b"1e-400", b"5e-324", b"0x", b"1_0"]
        {
            assert_eq!(number(text), None, "{}", text.escape_ascii());
        }
    }
}
