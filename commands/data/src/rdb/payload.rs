//! What `DUMP` answers and `RESTORE` takes: `<encoding u8> <value> <version u16> <CRC-64>`.

use super::code::{self, Dialect};
use super::load::{Rules, load};
use super::read::Reader;
use super::save::{encoding_of, save};
use super::write::Writer;
use super::{Checksum, Error};
use crate::keyspace::{Record, ValueRef};
use crate::types::encodings::Encodings;

/// The newest version of the format, by Redis' count, whose values are read here.
const VERSION_MAX: u32 = 12;

/// The version of Valkey 9.
const VERSION_VALKEY: u32 = 80;

/// The version that Tidegate says when a value has an encoding of its own. Redis and Valkey refuse it by its number,
/// before they look at anything else: `DUMP payload version or checksum are wrong`, or `Can't handle RDB format version`.
pub const VERSION_OWN: u32 = 9001;

const FOOTER: usize = 2 + 8;

/// The first version in which there is this encoding; at least 10, which is that of Redis 7.0.
pub fn version_of(code: u8) -> u32 {
    match code {
        ..=code::STREAM_LISTPACKS_2 => 10,
        code::SET_LISTPACK | code::STREAM_LISTPACKS_3 => 11,
        code::HASH_22..=code::HASH_LISTPACK_EX => 12,
        _ => VERSION_OWN,
    }
}

/// True for versions whose values are read here.
pub fn is_known_version(version: u32) -> bool {
    version <= VERSION_MAX || version == VERSION_VALKEY || version == VERSION_OWN
}

/// Why there is nothing to restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadError {
    /// Too short, of an unknown version, or damaged.
    Footer,
    /// What it holds is no value.
    Value(Error),
}

/// The payload of a value; long strings are compressed if `compress`. O(size).
pub fn dump(value: ValueRef<'_>, compress: bool) -> Vec<u8> {
    let code = encoding_of(value);
    let mut writer = Writer::new(Vec::new(), compress);
    writer.byte(code);
    save(value, &mut writer);
    let mut payload = writer.into_output();
    payload.extend_from_slice(&(version_of(code) as u16).to_le_bytes());
    payload.extend_from_slice(&Checksum::of(&payload).to_le_bytes());
    payload
}

/// The value of a payload, under `key`. Its checksum counts only if `verify`. O(size).
pub fn restore(
    payload: &[u8],
    key: &[u8],
    expiry_ms: Option<i64>,
    encodings: Encodings,
    verify: bool,
) -> Result<Record, PayloadError> {
    let (version, bytes) = split_footer(payload, verify).ok_or(PayloadError::Footer)?;
    let rules = Rules { dialect: Dialect::of_version(version), encodings };
    let mut reader = Reader::new(bytes);
    let record = reader.byte().and_then(|code| load(code, &mut reader, key, expiry_ms, &rules));
    let record = record.map_err(PayloadError::Value)?;
    if reader.source().is_empty() {
        Ok(record)
    } else {
        Err(PayloadError::Value(Error::Corrupt("more than one value")))
    }
}

/// The version of a payload, and what is before its footer.
fn split_footer(payload: &[u8], verify: bool) -> Option<(u32, &[u8])> {
    let (summed, sum) = payload.split_last_chunk::<8>()?;
    let (bytes, version) = summed.split_last_chunk::<2>()?;
    let version = u32::from(u16::from_le_bytes(*version));
    if !is_known_version(version) {
        return None;
    }
    (!verify || Checksum::of(summed) == u64::from_le_bytes(*sum)).then_some((version, bytes))
}

const _: () = assert!(VERSION_OWN <= u16::MAX as u32 && VERSION_OWN <= 9999 && FOOTER == 10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::StringEncoding;

    fn bytes(text: &[u8]) -> ValueRef<'_> {
        ValueRef::Bytes { bytes: text, encoding: StringEncoding::Raw }
    }

    fn restored(payload: &[u8]) -> Result<Record, PayloadError> {
        restore(payload, b"key", Some(7), Encodings::default(), true)
    }

    /// The payloads are what `redis-server` 7.0.15 answers.
    #[test]
    fn payloads_are_those_of_redis() {
        let hundred = b"\x00\xc3\x09\x40\x64\x01xx\xe0\x57\x00\x01xx\x0a\x00\x5d\xb7\xf6\x63\xbb\x08\x62\x5f";
        let record = restored(hundred).unwrap();
        assert_eq!(record.key(), b"key");
        assert_eq!(record.expiry_ms(), Some(7));
        assert_eq!(record.value().string(&mut [0; 20]), Some(&[b'x'; 100][..]));
        let five = dump(ValueRef::Int(5), true);
        assert_eq!(five, b"\x00\xc0\x05\x0a\x00\x63\x2f\x5f\x66\x83\x2f\xb3\x51");
    }

    #[test]
    fn a_footer_must_fit() {
        let good = dump(bytes(b"hello"), true);
        assert!(restored(&good).is_ok());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(restored(&bad).map(|_| ()), Err(PayloadError::Footer), "byte {at}");
        }
        assert_eq!(restored(b"").map(|_| ()), Err(PayloadError::Footer));
        let signed = |version: u16, value: &[u8]| {
            let mut payload = value.to_vec();
            payload.extend_from_slice(&version.to_le_bytes());
            payload.extend_from_slice(&Checksum::of(&payload).to_le_bytes());
            restored(&payload).map(|_| ())
        };
        for version in [0, 6, 10, 12, 80, 9001] {
            assert_eq!(signed(version, b"\x00\x01x"), Ok(()));
        }
        for version in [13, 79, 81, u16::MAX] {
            assert_eq!(signed(version, b"\x00\x01x"), Err(PayloadError::Footer));
        }
        assert!(matches!(signed(10, b"\x00\x01xy"), Err(PayloadError::Value(_))));
        assert_eq!(signed(10, b""), Err(PayloadError::Value(Error::Truncated)));
        assert_eq!(signed(10, b"\x63\x01x"), Err(PayloadError::Value(Error::UnknownType(0x63))));
    }
}
