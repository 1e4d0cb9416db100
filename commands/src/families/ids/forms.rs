//! How names are written and read.

use super::generator::{NODE_BITS, SEQ_BITS, ULID_RANDOM_BITS};
use crate::model::parse_i64;

/// Douglas Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ULID_LEN: usize = 26;
const UUID_LEN: usize = 36;
/// Where the hyphens of a UUID are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

pub(super) fn snowflake_text(id: u64) -> String {
    id.to_string()
}

pub(super) fn ulid_text(id: u128) -> [u8; ULID_LEN] {
    let mut text = [0; ULID_LEN];
    for (at, digit) in text.iter_mut().rev().enumerate() {
        *digit = DIGITS[(id >> (5 * at)) as usize & 31];
    }
    text
}

pub(super) fn uuid_text(id: u128) -> [u8; UUID_LEN] {
    let mut text = [b'-'; UUID_LEN];
    let places = (0..UUID_LEN).rev().filter(|place| !HYPHENS.contains(place));
    for (at, place) in places.enumerate() {
        text[place] = b"0123456789abcdef"[(id >> (4 * at)) as usize & 15];
    }
    text
}

/// What a name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) kind: &'static str,
    /// When it was made, Unix ms.
    pub(super) ms: i64,
    /// The server that made it.
    pub(super) node: Option<i64>,
    pub(super) seq: Option<i64>,
}

impl Parsed {
    /// `epoch_ms`: the time from which snowflakes count.
    pub(super) fn of(text: &[u8], epoch_ms: i64) -> Option<Self> {
        match text.len() {
            ULID_LEN => Self::of_ulid(text),
            UUID_LEN => Self::of_uuid(text),
            _ => Self::of_snowflake(text, epoch_ms),
        }
    }

    fn of_snowflake(text: &[u8], epoch_ms: i64) -> Option<Self> {
        let id = parse_i64(text).filter(|id| *id >= 0)?;
        let ms = (id >> (NODE_BITS + SEQ_BITS)).checked_add(epoch_ms)?;
        let node = id >> SEQ_BITS & ((1 << NODE_BITS) - 1);
        Some(Parsed { kind: "snowflake", ms, node: Some(node), seq: Some(id & ((1 << SEQ_BITS) - 1)) })
    }

    fn of_ulid(text: &[u8]) -> Option<Self> {
        let mut id = 0_u128;
        for (at, byte) in text.iter().enumerate() {
            // What looks alike is the same.
            let byte = match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                byte => byte,
            };
            let digit = DIGITS.iter().position(|digit| *digit == byte)?;
            // 26 digits have two bits too many.
            if at == 0 && digit > 7 {
                return None;
            }
            id = id << 5 | digit as u128;
        }
        Some(Parsed { kind: "ulid", ms: (id >> ULID_RANDOM_BITS) as i64, node: None, seq: None })
    }

    fn of_uuid(text: &[u8]) -> Option<Self> {
        let mut id = 0_u128;
        for (place, byte) in text.iter().enumerate() {
            if HYPHENS.contains(&place) {
                if *byte != b'-' {
                    return None;
                }
                continue;
            }
            id = id << 4 | u128::from(char::from(*byte).to_digit(16)?);
        }
        let (version, variant) = (id >> 76 & 15, id >> 62 & 3);
        if version != 7 || variant != 0b10 {
            return None;
        }
        let seq = (id >> 64) as i64 & ((1 << SEQ_BITS) - 1);
        Some(Parsed { kind: "uuid7", ms: (id >> 80) as i64, node: None, seq: Some(seq) })
    }
}
