//! Writing: the lengths, strings and numbers all encodings are made of. See `read` for their forms.

use super::lzf::Compressor;
use crate::types::{
    packed::Item,
    string::{INT_LEN_MAX, format_int, parse_int},
};

/// Where bytes go. Failures are the output's to remember: whoever owns it asks when it matters.
pub trait Output {
    /// Takes `bytes`.
    fn put(&mut self, bytes: &[u8]);

    /// Hears that what is put next is a string of `len` bytes with its length, which somebody might want to compress.
    fn note_plain(&mut self, _len: usize) {}
}

impl Output for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Longer strings are compressed if that saves something.
const COMPRESS_ABOVE: usize = 20;
/// What compression must save to be worth it, in bytes.
const SAVED_MIN: usize = 4;
/// Longest text of an integer that is written as one.
const INT_TEXT_MAX: usize = 11;

/// Writes to an output.
#[derive(Debug)]
pub struct Writer<O> {
    output: O,
    /// Present if strings are to be compressed.
    compressor: Option<Compressor>,
    packed: Vec<u8>,
}

impl<O: Output> Writer<O> {
    /// A writer to `output`; long strings are compressed if `compress`.
    pub fn new(output: O, compress: bool) -> Self {
        Writer { output, compressor: compress.then(Compressor::new), packed: Vec::new() }
    }

    /// The output.
    pub fn output(&self) -> &O {
        &self.output
    }

    /// The output, to be written to by other means.
    pub fn output_mut(&mut self) -> &mut O {
        &mut self.output
    }

    /// The output back.
    pub fn into_output(self) -> O {
        self.output
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.output.put(bytes);
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.output.put(&[byte]);
    }

    /// A double in eight bytes.
    pub fn double(&mut self, value: f64) {
        self.output.put(&value.to_le_bytes());
    }

    /// A time in eight bytes: milliseconds.
    pub fn millis(&mut self, value: i64) {
        self.output.put(&value.to_le_bytes());
    }

    /// A number written as a length.
    pub fn number(&mut self, number: u64) {
        if number < 1 << 6 {
            self.output.put(&[number as u8]);
        } else if number < 1 << 14 {
            self.output.put(&[0x40 | (number >> 8) as u8, number as u8]);
        } else if let Ok(number) = u32::try_from(number) {
            self.output.put(&[0x80]);
            self.output.put(&number.to_be_bytes());
        } else {
            self.output.put(&[0x81]);
            self.output.put(&number.to_be_bytes());
        }
    }

    /// A string in its shortest form.
    pub fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= INT_TEXT_MAX
            && let Some(value) = parse_int(bytes).and_then(|value| i32::try_from(value).ok())
        {
            self.small_integer(value);
            return;
        }
        self.blob(bytes);
    }

    /// A string that may be an integer.
    pub fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Int(value) => self.integer(value),
            Item::Bytes(bytes) => self.string(bytes),
        }
    }

    /// The decimal form of an integer, as a string.
    pub fn integer(&mut self, value: i64) {
        match i32::try_from(value) {
            Ok(value) => self.small_integer(value),
            Err(_) => self.blob(format_int(value, &mut [0; INT_LEN_MAX])),
        }
    }

    fn small_integer(&mut self, value: i32) {
        if let Ok(value) = i8::try_from(value) {
            self.output.put(&[0xc0, value as u8]);
        } else if let Ok(value) = i16::try_from(value) {
            self.output.put(&[0xc1]);
            self.output.put(&value.to_le_bytes());
        } else {
            self.output.put(&[0xc2]);
            self.output.put(&value.to_le_bytes());
        }
    }

    /// A string that is no integer: the bytes of a packed structure.
    pub fn blob(&mut self, bytes: &[u8]) {
        if bytes.len() > COMPRESS_ABOVE && self.compress(bytes) {
            return;
        }
        if bytes.len() > COMPRESS_ABOVE {
            self.output.note_plain(bytes.len());
        }
        self.number(bytes.len() as u64);
        self.output.put(bytes);
    }

    fn compress(&mut self, bytes: &[u8]) -> bool {
        let Some(compressor) = &mut self.compressor else { return false };
        self.packed.clear();
        if !compressor.compress(bytes, bytes.len() - SAVED_MIN, &mut self.packed) {
            return false;
        }
        let packed = std::mem::take(&mut self.packed);
        self.output.put(&[0xc3]);
        self.number(packed.len() as u64);
        self.number(bytes.len() as u64);
        self.output.put(&packed);
        self.packed = packed;
        self.packed.shrink_to(PACKED_KEPT);
        true
    }
}

/// Room for compressed strings up to this size is kept.
const PACKED_KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::read::Reader;
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<Vec<u8>>)) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), true);
        write(&mut writer);
        writer.into_output()
    }

    #[test]
    fn strings_take_their_shortest_form() {
        assert_eq!(written(|w| w.string(b"abc")), b"\x03abc");
        assert_eq!(written(|w| w.string(b"-128")), [0xc0, 0x80]);
        assert_eq!(written(|w| w.string(b"128")), [0xc1, 0x80, 0]);
        assert_eq!(written(|w| w.string(b"-2147483648")), [0xc2, 0, 0, 0, 0x80]);
        assert_eq!(written(|w| w.string(b"2147483648")), b"\x0a2147483648");
        assert_eq!(written(|w| w.integer(2_147_483_648)), b"\x0a2147483648");
        assert_eq!(written(|w| w.string(b"007")), b"\x03007");
        assert_eq!(written(|w| w.blob(b"7")), b"\x017");
        assert_eq!(written(|w| w.string(&[b'x'; 21])), [0xc3, 5, 21, 0, b'x', 0xe0, 11, 0]);
        assert_eq!(written(|w| w.string(&[b'x'; 20])).len(), 21);
        let mut plain = Writer::new(Vec::new(), false);
        plain.string(&[b'x'; 21]);
        assert_eq!(plain.into_output().len(), 22);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 256 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_written_is_read(number: u64, value: i64, text in prop::collection::vec(0u8..3, 0..400), double: f64) {
            let bytes = written(|w| {
                w.number(number);
                w.integer(value);
                w.string(&text);
                w.double(double);
                w.millis(value);
            });
            let mut reader = Reader::new(&bytes[..]);
            prop_assert_eq!(reader.number(), Ok(number));
            let digits = value.to_string();
            prop_assert_eq!(reader.bytes(), Ok(digits.as_bytes()));
            prop_assert_eq!(reader.bytes(), Ok(&text[..]));
            prop_assert_eq!(reader.double().map(f64::to_bits), Ok(double.to_bits()));
            prop_assert_eq!(reader.millis(), Ok(value));
            prop_assert!(reader.source().is_empty());
        }
    }
}
