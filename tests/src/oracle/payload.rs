//! What RESTORE is given: values of every type in the encodings that Redis writes, and what looks like them.

use tidegate_data::rdb::{Checksum, Writer, code};

use super::generate::Generator;

/// A payload, mostly a good one.
pub fn payload(generator: &mut Generator) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), generator.one_in(2));
    let count = if generator.one_in(20) { 0 } else { 1 + generator.random.below(5) };
    let kinds = [code::STRING];
    let kind = *generator.random.pick(&kinds);
    writer.byte(kind);
    match kind {
        code::STRING => writer.string(&generator.value()),
        _ => writer.number(count as u64),
    }
    let mut bytes = writer.into_output();
    let version: u16 = if generator.one_in(15) { 81 } else { 10 };
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&Checksum::of(&bytes).to_le_bytes());
    if generator.one_in(15) {
        let at = generator.random.below(bytes.len());
        bytes[at] ^= 1 << generator.random.below(8);
    }
    if generator.one_in(30) {
        bytes.truncate(generator.random.below(bytes.len()));
    }
    bytes
}
