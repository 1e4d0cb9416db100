//! What RESTORE is given: values of every type in the encodings that Redis writes, and what looks like them.

use tidegate_data::Packed;
use tidegate_data::rdb::{Checksum, Writer, blob, code};

use super::generate::Generator;

/// Encodings of Redis 7.0 that are easily made.
const KINDS: &[u8] = &[
    code::STRING,
    code::STRING,
    code::LIST,
    code::SET,
    code::ZSET,
    code::ZSET_2,
    code::HASH,
    code::LIST_QUICKLIST_2,
    code::HASH_LISTPACK,
    code::ZSET_LISTPACK,
    code::SET_INTSET,
];

/// A payload, mostly a good one.
pub fn payload(generator: &mut Generator) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), generator.one_in(2));
    let kind = *generator.random.pick(KINDS);
    let count = if generator.one_in(20) { 0 } else { 1 + generator.random.below(5) };
    writer.byte(kind);
    match kind {
        code::STRING => writer.string(&generator.value()),
        code::SET_INTSET => writer.blob(&intset(generator, count)),
        code::HASH_LISTPACK => writer.blob(&listpack(&pairs(generator, count))),
        code::ZSET_LISTPACK => writer.blob(&listpack(&scores(count))),
        code::LIST_QUICKLIST_2 => {
            writer.number(1);
            writer.number(2);
            writer.blob(&listpack(&(0..count).map(|_| generator.value()).collect::<Vec<_>>()));
        }
        _ => {
            writer.number(count as u64);
            plain(generator, kind, count, &mut writer);
        }
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

/// Elements one after the other. Members may repeat themselves: every Redis refuses that. Fields may not: whether it
/// does depends on the encoding there.
fn plain(generator: &mut Generator, kind: u8, count: usize, writer: &mut Writer<Vec<u8>>) {
    for number in 0..count {
        match kind {
            code::LIST | code::SET => writer.string(&generator.value()),
            code::ZSET => {
                writer.string(&generator.value());
                let score = number.to_string();
                writer.byte(score.len() as u8);
                writer.raw(score.as_bytes());
            }
            code::ZSET_2 => {
                writer.string(&generator.value());
                writer.double(number as f64 / 4.0 - 0.5);
            }
            _ => {
                writer.string(format!("field:{number}").as_bytes());
                writer.string(&generator.value());
            }
        }
    }
}

fn pairs(generator: &mut Generator, count: usize) -> Vec<Vec<u8>> {
    (0..count).flat_map(|number| [number.to_string().into_bytes(), generator.value()]).collect()
}

/// Members in the order of their scores, as Redis packs them.
fn scores(count: usize) -> Vec<Vec<u8>> {
    let pair = |number: usize| [format!("member:{number}"), format!("{}", number as f64 * 1.5)];
    (0..count).flat_map(pair).map(String::into_bytes).collect()
}

fn listpack(items: &[Vec<u8>]) -> Vec<u8> {
    let packed: Packed = items.iter().collect();
    let view = packed.view();
    [&blob::listpack_header(view.size(), view.len())[..], view.entries(), &[0xff]].concat()
}

fn intset(generator: &mut Generator, count: usize) -> Vec<u8> {
    let mut value = generator.random.between(-30_000, 0);
    let mut bytes = blob::IntSet::header(2, count).to_vec();
    for _ in 0..count {
        bytes.extend_from_slice(&(value as i16).to_le_bytes());
        value += generator.random.between(1, 5000);
    }
    bytes
}
