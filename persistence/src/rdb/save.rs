//! Writing an RDB file: beside the old one, synced, and then in its place.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_data::Taken;
use tidegate_data::rdb::{Checksum, Output, Writer};

use super::chunk::{Chunk, put_entry};
use super::opcode;
use crate::disk::{Disk, DiskFile, directory_of};

/// Version 10: Redis 7.0.
const VERSION_MIN: u32 = 10;
/// Bytes gathered before they are written.
const CHUNK: usize = 64 * 1024;
/// The file is synced so often while it grows, that the disk need not take it all at once.
const SYNC_EVERY: usize = 2 << 20;

/// How to write, and what goes before the keys.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Names and values of auxiliary fields.
    pub aux: Vec<(&'static str, String)>,
    /// Compress long strings.
    pub compress: bool,
    /// Sum the file up.
    pub checksum: bool,
    /// Sync while the file grows.
    pub sync_often: bool,
}

/// Why nothing was saved. The old file is as it was.
#[derive(Debug)]
pub struct SaveError {
    /// What was being done.
    pub step: &'static str,
    /// What the disk said.
    pub error: io::Error,
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Write error saving DB on disk({}): {}", self.step, self.error)
    }
}

impl std::error::Error for SaveError {}

/// Where a file is written before it takes its place.
pub fn temporary(path: &Path) -> PathBuf {
    directory_of(path).join(format!("temp-{}.rdb", std::process::id()))
}

/// Where in the file the version is.
const VERSION_AT: u64 = 5;

/// Saves what `fill` gives to the [`Saver`] as `path`. Returns the size of the file in bytes.
///
/// The file is written under another name in the same directory, synced, renamed, and the directory synced: whenever the
/// power fails there is either the old file or the new one.
pub fn save(
    disk: &dyn Disk,
    path: &Path,
    header: &Header,
    fill: &mut dyn FnMut(&mut Saver),
) -> Result<u64, SaveError> {
    let temporary = temporary(path);
    let result = Saver::create(disk, &temporary, header).and_then(|mut saver| {
        fill(&mut saver);
        let size = saver.finish()?;
        put_in_place(disk, &temporary, path)?;
        Ok(size)
    });
    if result.is_err() {
        // It may not even have come into being.
        let _ = disk.remove(&temporary);
    }
    result
}

/// Gives a finished file its name, in the place of the old one: whenever the power fails there is either one or the other.
pub fn put_in_place(disk: &dyn Disk, temporary: &Path, path: &Path) -> Result<(), SaveError> {
    let step = |step| move |error| SaveError { step, error };
    disk.rename(temporary, path).map_err(step("rename"))?;
    disk.sync_dir(&directory_of(path)).map_err(step("fsyncFileDir"))
}

/// Receives what is to be saved: databases one after the other, and in each its keys.
#[derive(Debug)]
pub struct Saver {
    writer: Writer<FileOutput>,
    version_needed: u32,
    /// The database of what comes next.
    db: Option<usize>,
}

impl Saver {
    /// Begins a file.
    pub fn create(disk: &dyn Disk, path: &Path, header: &Header) -> Result<Self, SaveError> {
        let file = disk.create(path).map_err(|error| SaveError { step: "fopen", error })?;
        let output = FileOutput {
            file,
            buffer: Vec::with_capacity(CHUNK),
            checksum: header.checksum.then(Checksum::default),
            written: 0,
            unsynced: 0,
            sync_often: header.sync_often,
            failure: None,
        };
        let mut writer = Writer::new(output, header.compress);
        writer.raw(format!("REDIS{VERSION_MIN:04}").as_bytes());
        for (name, value) in &header.aux {
            writer.byte(opcode::AUX);
            writer.string(name.as_bytes());
            writer.string(value.as_bytes());
        }
        Ok(Saver { writer, version_needed: VERSION_MIN, db: None })
    }

    /// True when writing has failed: what follows is lost as well.
    pub fn is_failed(&self) -> bool {
        self.writer.output().failure.is_some()
    }

    /// A library of functions, by its text. They come before all databases.
    pub fn library(&mut self, code: &[u8]) {
        self.writer.byte(opcode::FUNCTION_2);
        self.writer.string(code);
    }

    /// Begins with a database of `keys` keys, of which `deadlines` have one.
    pub fn database(&mut self, db: usize, keys: usize, deadlines: usize) {
        self.writer.byte(opcode::SELECT_DB);
        self.writer.number(db as u64);
        self.db = Some(db);
        self.writer.byte(opcode::RESIZE_DB);
        self.writer.number(keys as u64);
        self.writer.number(deadlines as u64);
    }

    /// A key of the present database, used `idle_s` seconds ago or with this LFU counter where that is known.
    pub fn entry(&mut self, taken: &Taken<'_>, idle_s: Option<u64>, frequency: Option<u8>) {
        let version = put_entry(&mut self.writer, taken, idle_s, frequency);
        self.version_needed = self.version_needed.max(version);
    }

    /// Keys that were written before, of any database.
    pub fn chunk(&mut self, chunk: &Chunk) {
        self.select(chunk.db);
        self.version_needed = self.version_needed.max(chunk.version);
        let (bytes, mut done) = (&chunk.buffer.bytes, 0);
        for &(start, len) in &chunk.buffer.plain {
            // The length precedes the string.
            let end = start + number_len(len) + len;
            self.writer.raw(&bytes[done..start]);
            self.writer.blob(&bytes[end - len..end]);
            done = end;
        }
        self.writer.raw(&bytes[done..]);
    }

    /// Goes on with database `db`.
    pub fn select(&mut self, db: usize) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.writer.byte(opcode::SELECT_DB);
            self.writer.number(db as u64);
        }
    }

    /// A part of a key that is too large for a chunk: all of them together make one of the present database.
    pub fn part(&mut self, bytes: &[u8]) {
        self.writer.raw(bytes);
    }

    /// What was added needs at least this RDB version.
    pub fn needs_version(&mut self, version: u32) {
        self.version_needed = self.version_needed.max(version);
    }

    /// Why writing has failed, if it has.
    pub fn failure(&mut self) -> Option<SaveError> {
        self.writer.output_mut().failure.take()
    }

    /// Ends the file; returns its size in bytes. It survives a power failure then, but for its name.
    pub fn finish(mut self) -> Result<u64, SaveError> {
        self.writer.byte(opcode::EOF);
        let output = self.writer.output_mut();
        output.flush();
        // Without a checksum it is 0.
        let mut sum = output.checksum.take().map_or(0, |checksum| checksum.value());
        // That a value needs a later version is seen when the version has long been written.
        let [least, needed] = [VERSION_MIN, self.version_needed].map(|version| format!("{version:04}"));
        if needed != least && sum != 0 {
            let difference: Vec<u8> = least.bytes().zip(needed.bytes()).map(|(a, b)| a ^ b).collect();
            let behind = output.written - VERSION_AT - needed.len() as u64;
            sum ^= Checksum::append_zeros(Checksum::of(&difference), behind);
        }
        self.writer.raw(&sum.to_le_bytes());
        let mut output = self.writer.into_output();
        output.flush();
        if let Some(failure) = output.failure {
            return Err(failure);
        }
        if needed != least {
            let rewritten = output.file.rewrite(VERSION_AT, needed.as_bytes());
            rewritten.map_err(|error| SaveError { step: "write", error })?;
        }
        output.file.sync().map_err(|error| SaveError { step: "fsync", error })?;
        Ok(output.written)
    }
}

/// Bytes that [`Writer::number`] takes for a number below 2^32.
fn number_len(number: usize) -> usize {
    match number {
        ..0x40 => 1,
        0x40..0x4000 => 2,
        _ => 5,
    }
}

/// A file, buffered and summed up. The first failure is kept, and what follows it is thrown away.
struct FileOutput {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    checksum: Option<Checksum>,
    written: u64,
    unsynced: usize,
    sync_often: bool,
    failure: Option<SaveError>,
}

impl fmt::Debug for FileOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileOutput").field("written", &self.written).finish_non_exhaustive()
    }
}

impl FileOutput {
    fn flush(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failure.is_some() || bytes.is_empty() {
            return;
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
        let mut result = self.file.write_all(bytes).map_err(|error| SaveError { step: "write", error });
        self.written += bytes.len() as u64;
        self.unsynced += bytes.len();
        if self.sync_often && self.unsynced >= SYNC_EVERY && result.is_ok() {
            self.unsynced = 0;
            result = self.file.sync().map_err(|error| SaveError { step: "fsync", error });
        }
        self.failure = result.err();
    }
}

impl Output for FileOutput {
    fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > CHUNK {
            self.flush();
        }
        if bytes.len() >= CHUNK {
            self.write(bytes);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }
}
