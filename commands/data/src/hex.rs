//! Bytes as hexadecimal digits: names in texts that have room for words only.

/// No bytes at all are one digit that is none, so that there is a word.
const NOTHING: &str = "-";

/// Two digits per byte, in lower case. O(N).
pub fn to_hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return NOTHING.to_owned();
    }
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of such digits, in any case; `None` if they are none. O(N).
pub fn of_hex(text: &str) -> Option<Box<[u8]>> {
    if text == NOTHING {
        return Some(Box::default());
    }
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back_as_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(of_hex(&to_hex(&all)).as_deref(), Some(&all[..]));
        assert_eq!(to_hex(b"\x00\xfa"), "00fa");
        assert_eq!(of_hex("00FA").as_deref(), Some(&b"\x00\xfa"[..]));
        assert_eq!(to_hex(b""), "-");
        for nothing in ["", "-"] {
            assert_eq!(of_hex(nothing).as_deref(), Some(&b""[..]));
        }
        for text in ["0", "0g", "+1", "--", "é"] {
            assert_eq!(of_hex(text), None, "{text}");
        }
    }
}
