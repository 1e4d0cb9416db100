//! Finding where a value ends without looking into it: so that whoever reads a file can leave decoding to others.

use super::read::{Reader, Source};
use super::{Error, code, module};

/// Skips a value in the encoding `code`, taking exactly the bytes that [`load`](super::load) would take if it accepted
/// them. False, somewhere within the value, for encodings that are too involved. O(elements), and O(1) for packed ones.
pub fn skip<S: Source>(code: u8, reader: &mut Reader<S>) -> Result<bool, Error> {
    match code {
        code::STRING
        | code::HASH_ZIPMAP
        | code::LIST_ZIPLIST
        | code::SET_INTSET
        | code::ZSET_ZIPLIST
        | code::HASH_ZIPLIST
        | code::HASH_LISTPACK
        | code::ZSET_LISTPACK
        | code::SET_LISTPACK => reader.skip_string()?,
        code::LIST | code::SET | code::LIST_QUICKLIST => {
            for _ in 0..reader.count(1)? {
                reader.skip_string()?;
            }
        }
        code::HASH => {
            for _ in 0..reader.count(2)? {
                reader.skip_string()?;
                reader.skip_string()?;
            }
        }
        code::LIST_QUICKLIST_2 => {
            for _ in 0..reader.count(2)? {
                reader.number()?;
                reader.skip_string()?;
            }
        }
        code::ZSET_2 => {
            for _ in 0..reader.count(1 + 8)? {
                reader.skip_string()?;
                reader.take(8)?;
            }
        }
        code::ZSET => {
            for _ in 0..reader.count(1 + 1)? {
                reader.skip_string()?;
                match reader.byte()? {
                    // Not a number, and the two infinities.
                    253..=255 => {}
                    len => drop(reader.take(len.into())?),
                }
            }
        }
        code::MODULE_2 => drop(module::skip(reader)?),
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::{Dialect, Rules, load};
    use crate::types::encodings::Encodings;

    /// What is left after skipping; `None` if it cannot be skipped.
    fn rest(code: u8, bytes: &[u8]) -> Result<Option<usize>, Error> {
        let mut reader = Reader::new(bytes);
        Ok(skip(code, &mut reader)?.then(|| reader.source().len()))
    }

    #[test]
    fn what_is_skipped_is_what_loading_takes() {
        let values: [(u8, &[u8]); 12] = [
            (code::STRING, b"\x03abc"),
            (code::STRING, b"\xc0\x05"),
            (code::STRING, b"\xc1\x05\x01"),
            (code::STRING, b"\xc2\x05\x01\x01\x01"),
            (code::STRING, b"\xc3\x06\x0b\x01xx\xe0\x00\x01"),
            (code::LIST, b"\x02\x01a\xc0\x07"),
            (code::SET, b"\x01\x01a"),
            (code::HASH, b"\x02\x01a\x01b\x01c\xc0\x01"),
            (code::ZSET_2, b"\x01\x01a\0\0\0\0\0\0\xf0\x3f"),
            (code::ZSET, b"\x03\x01a\x031.5\x01b\xfe\x01c\xff"),
            (code::LIST_QUICKLIST_2, b"\x01\x01\x02xy"),
            (code::SET_INTSET, b"\x0a\x02\0\0\0\x01\0\0\0\x05\0"),
        ];
        let rules = Rules { dialect: Dialect::Redis, encodings: Encodings::default() };
        for (code, value) in values {
            let bytes = [value, b"rest"].concat();
            assert_eq!(rest(code, &bytes), Ok(Some(4)), "{code}");
            let mut reader = Reader::new(&bytes[..]);
            load(code, &mut reader, b"k", None, &rules).unwrap();
            assert_eq!(reader.source().len(), 4, "{code}");
            for end in 0..value.len() {
                assert!(rest(code, &value[..end]).is_err(), "{code} cut at {end}");
            }
        }
    }

    #[test]
    fn lengths_beyond_the_input_are_no_work() {
        let huge = [0x81, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2];
        for code in [code::STRING, code::LIST, code::HASH, code::ZSET, code::ZSET_2, code::LIST_QUICKLIST_2] {
            assert_eq!(rest(code, &huge), Err(Error::Truncated), "{code}");
        }
        assert_eq!(rest(code::STREAM_LISTPACKS_3, b"\x01"), Ok(None));
        assert_eq!(rest(code::MODULE_2, b"\x01"), Err(Error::Truncated));
        assert_eq!(rest(code::MODULE_2, b"\x01\x05\x02xx\x00rest"), Ok(Some(4)));
    }
}
