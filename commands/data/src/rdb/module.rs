//! Values of Redis modules. They say of which type they are, and consist of parts that can be passed over.
//!
//! ```text
//! <id: length> (<kind: length> <part>)* 0
//! id: nine characters of 6 bits, 10 bits of version
//! kind: 1 signed and 2 unsigned <length>, 3 float <4 bytes>, 4 double <8 bytes>, 5 string
//! ```

use super::Error;
use super::read::{Reader, Source};
use super::write::{Output, Writer};
use crate::keyspace::Record;
use crate::types::native::{self, NativeRef};

const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NAME_LEN: usize = 9;
const VERSION_BITS: u32 = 10;

/// The name of the type with this id.
pub fn name(id: u64) -> Box<str> {
    let character = |at: usize| {
        let shift = VERSION_BITS as usize + 6 * (NAME_LEN - 1 - at);
        char::from(CHARACTERS[(id >> shift) as usize & 63])
    };
    (0..NAME_LEN).map(character).collect()
}

/// The id of version `version` of a type.
const fn id(name: [u8; NAME_LEN], version: u32) -> u64 {
    let (mut id, mut at) = (0, 0);
    while at < NAME_LEN {
        let mut digit = 0;
        while CHARACTERS[digit] != name[at] {
            digit += 1;
        }
        id = id << 6 | digit as u64;
        at += 1;
    }
    assert!(version < 1 << VERSION_BITS, "there are ten bits for it");
    id << VERSION_BITS | version as u64
}

/// The kind of part that is a string.
const STRING: u64 = 5;
/// The end of the parts.
const END: u64 = 0;

/// Writes a value of a type of our own: its payload as one string. O(size).
pub fn save<O: Output>(value: NativeRef<'_>, writer: &mut Writer<O>) {
    let mut payload = Vec::new();
    value.save(&mut payload);
    writer.number(id(*value.module(), value.version()));
    writer.number(STRING);
    writer.blob(&payload);
    writer.number(END);
}

/// Reads a value of a type of our own and puts it under `key`. O(size).
///
/// # Errors
/// The module is not one of ours, or the payload is damaged or of a later version.
pub fn load<S: Source>(reader: &mut Reader<S>, key: &[u8], expiry_ms: Option<i64>) -> Result<Record, Error> {
    let id = reader.number()?;
    let (name, version) = (name(id), (id & ((1 << VERSION_BITS) - 1)) as u32);
    let Some(version_max) = native::version_of(&name) else { return Err(Error::Module(name)) };
    if version > version_max || version == 0 {
        return Err(Error::NativeVersion(version));
    }
    if reader.number()? != STRING {
        return Err(Error::Corrupt("a native value is one string"));
    }
    let record = native::load(&name, version, reader.bytes()?, key, expiry_ms)?;
    if reader.number()? != END {
        return Err(Error::Corrupt("a native value is one string"));
    }
    Ok(record)
}

/// Passes over a value, and tells the name of its type.
pub fn skip<S: Source>(reader: &mut Reader<S>) -> Result<Box<str>, Error> {
    let name = name(reader.number()?);
    skip_parts(reader)?;
    Ok(name)
}

/// Passes over the parts of a value, up to its end.
pub fn skip_parts<S: Source>(reader: &mut Reader<S>) -> Result<(), Error> {
    loop {
        match reader.number()? {
            0 => return Ok(()),
            1 | 2 => reader.number().map(|_| ())?,
            3 => reader.take(4).map(|_| ())?,
            4 => reader.take(8).map(|_| ())?,
            5 => reader.bytes().map(|_| ())?,
            _ => return Err(Error::Corrupt("unknown part of a module's value")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parts() {
        // RedisBloom's filter, version 4.
        let digits =
            b"MBbloom--".iter().map(|byte| CHARACTERS.iter().position(|c| c == byte).unwrap() as u64);
        let id = digits.fold(0, |id, digit| id << 6 | digit) << 10 | 4;
        assert_eq!(&*name(id), "MBbloom--");
        let mut bytes = vec![0x81];
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(&[
            2, 5, 1, 0x40, 9, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, b'x', b'y', 0, 77,
        ]);
        let mut reader = Reader::new(&bytes[..]);
        assert_eq!(skip(&mut reader).as_deref(), Ok("MBbloom--"));
        assert_eq!(reader.byte(), Ok(77));
        for len in 0..bytes.len() - 1 {
            assert!(skip(&mut Reader::new(&bytes[..len])).is_err());
        }
    }
}
