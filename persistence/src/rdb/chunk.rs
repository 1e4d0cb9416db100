//! Keys written apart from the file they will be part of: what snapshots gather while somebody else uses the shard.
//!
//! A chunk only copies. Long strings are noted, and compressed by whoever puts the chunk into a file.

use std::ops::Range;

use tidegate_data::Taken;
use tidegate_data::rdb::{self, Output, Writer, version_of};

use super::opcode;

/// Keys of one database, ready to be put into a file.
#[derive(Debug)]
pub struct Chunk {
    pub(super) db: usize,
    /// How many keys there are.
    pub keys: u64,
    /// The RDB version they need.
    pub(super) version: u32,
    pub(super) buffer: Buffer,
}

impl Chunk {
    /// Bytes of memory it occupies.
    pub fn size(&self) -> usize {
        self.buffer.bytes.capacity() + self.buffer.plain.capacity() * size_of::<Range<usize>>()
    }
}

/// Bytes, and where in them are strings that were not compressed yet.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    /// Where the length of such a string begins, and its length.
    pub(super) plain: Vec<(usize, usize)>,
}

impl Output for Buffer {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn note_plain(&mut self, len: usize) {
        self.plain.push((self.bytes.len(), len));
    }
}

/// Writes keys of one database into chunks.
#[derive(Debug)]
pub struct ChunkWriter {
    writer: Writer<Buffer>,
    keys: u64,
    version: u32,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        ChunkWriter { writer: Writer::new(Buffer::default(), false), keys: 0, version: 0 }
    }
}

impl ChunkWriter {
    /// Adds a key, used `idle_s` seconds ago or with this LFU counter where that is known.
    pub fn entry(&mut self, taken: &Taken<'_>, idle_s: Option<u64>, frequency: Option<u8>) {
        self.version = self.version.max(put_entry(&mut self.writer, taken, idle_s, frequency));
        self.keys += 1;
    }

    /// Bytes gathered so far.
    pub fn len(&self) -> usize {
        self.writer.output().bytes.len()
    }

    /// True when there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// What was gathered, as keys of database `db`. What is gathered next is as large: `spare` may have room for it.
    pub fn chunk(&mut self, db: usize, spare: Option<Chunk>) -> Chunk {
        let output = self.writer.output();
        let next = match spare {
            Some(Chunk { buffer: Buffer { mut bytes, mut plain }, .. }) => {
                bytes.clear();
                plain.clear();
                Buffer { bytes, plain }
            }
            // Growing step by step would copy it several times, while a shard is held.
            None => Buffer {
                bytes: Vec::with_capacity(output.bytes.len().next_multiple_of(4096)),
                plain: Vec::with_capacity(output.plain.len() + 8),
            },
        };
        self.replace(db, next)
    }

    /// The same, if nothing comes after it.
    pub fn last_chunk(&mut self, db: usize) -> Chunk {
        self.replace(db, Buffer::default())
    }

    fn replace(&mut self, db: usize, next: Buffer) -> Chunk {
        let buffer = std::mem::replace(self.writer.output_mut(), next);
        Chunk { db, keys: std::mem::take(&mut self.keys), version: self.version, buffer }
    }
}

/// Writes a key with what belongs to it; returns the RDB version that needs.
pub(super) fn put_entry<O: Output>(
    writer: &mut Writer<O>,
    taken: &Taken<'_>,
    idle_s: Option<u64>,
    frequency: Option<u8>,
) -> u32 {
    if let Some(expiry_ms) = taken.expiry_ms {
        writer.byte(opcode::EXPIRE_TIME_MS);
        writer.millis(expiry_ms);
    }
    if let Some(idle_s) = idle_s {
        writer.byte(opcode::IDLE);
        writer.number(idle_s);
    }
    if let Some(frequency) = frequency {
        writer.raw(&[opcode::FREQ, frequency]);
    }
    let code = rdb::encoding_of(taken.value);
    writer.byte(code);
    writer.string(taken.key);
    rdb::save(taken.value, writer);
    version_of(code)
}

/// A key whose value is too large for a chunk: written in parts of about [`PART`] bytes, which go to `put` one by one.
/// Returns the RDB version it needs, so only after the last part.
pub fn put_large(
    taken: &Taken<'_>,
    idle_s: Option<u64>,
    frequency: Option<u8>,
    compress: bool,
    put: &mut dyn FnMut(Vec<u8>),
) -> u32 {
    let mut writer = Writer::new(Parts { buffer: Vec::new(), put }, compress);
    let version = put_entry(&mut writer, taken, idle_s, frequency);
    let Parts { buffer, put } = writer.into_output();
    if !buffer.is_empty() {
        put(buffer);
    }
    version
}

/// Bytes of a part.
const PART: usize = 128 * 1024;

struct Parts<'p> {
    buffer: Vec<u8>,
    put: &'p mut dyn FnMut(Vec<u8>),
}

impl Output for Parts<'_> {
    fn put(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PART) {
            if self.buffer.len() + piece.len() > PART && !self.buffer.is_empty() {
                (self.put)(std::mem::take(&mut self.buffer));
            }
            self.buffer.extend_from_slice(piece);
        }
    }
}
