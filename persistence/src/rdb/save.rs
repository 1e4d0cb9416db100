//! Writing an RDB file: beside the old one, synced, and then in its place.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_data::Record;
use tidegate_data::rdb::{self, Checksum, Output, Writer, version_of};

use super::opcode;
use crate::disk::{Disk, DiskFile, directory_of};

/// Version 10: Redis 7.0.
const VERSION_MIN: u32 = 10;
/// Bytes gathered before they are written.
const CHUNK: usize = 256 * 1024;
/// The file is synced so often while it grows, that the disk need not take it all at once.
const SYNC_EVERY: usize = 4 << 20;

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

/// Saves what `fill` gives to the [`Saver`] as `path`; the same again if it is called a second time. Returns the size of the
/// file in bytes.
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
    let result = write(disk, &temporary, header, fill).and_then(|size| {
        let step = |step| move |error| SaveError { step, error };
        disk.rename(&temporary, path).map_err(step("rename"))?;
        disk.sync_dir(&directory_of(path)).map_err(step("fsyncFileDir"))?;
        Ok(size)
    });
    if result.is_err() {
        // It may not even have come into being.
        let _ = disk.remove(&temporary);
    }
    result
}

fn write(
    disk: &dyn Disk,
    path: &Path,
    header: &Header,
    fill: &mut dyn FnMut(&mut Saver),
) -> Result<u64, SaveError> {
    let mut version = VERSION_MIN;
    loop {
        let file = disk.create(path).map_err(|error| SaveError { step: "fopen", error })?;
        let mut saver = Saver::new(file, header, version);
        fill(&mut saver);
        // That a value needs a later version is seen when the version has long been written. It is rare: begin again.
        if saver.version_needed > version && !saver.is_failed() {
            version = saver.version_needed;
            continue;
        }
        return saver.finish();
    }
}

/// Receives what is to be saved: databases one after the other, and in each its keys.
#[derive(Debug)]
pub struct Saver {
    writer: Writer<FileOutput>,
    version_needed: u32,
}

impl Saver {
    fn new(file: Box<dyn DiskFile>, header: &Header, version: u32) -> Self {
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
        writer.raw(format!("REDIS{version:04}").as_bytes());
        for (name, value) in &header.aux {
            writer.byte(opcode::AUX);
            writer.string(name.as_bytes());
            writer.string(value.as_bytes());
        }
        Saver { writer, version_needed: version }
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
        self.writer.byte(opcode::RESIZE_DB);
        self.writer.number(keys as u64);
        self.writer.number(deadlines as u64);
    }

    /// A key of the present database, used `idle_s` seconds ago or with this LFU counter where that is known.
    pub fn entry(&mut self, record: &Record, idle_s: Option<u64>, frequency: Option<u8>) {
        let writer = &mut self.writer;
        if let Some(expiry_ms) = record.expiry_ms() {
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
        let code = rdb::encoding_of(record.value());
        self.version_needed = self.version_needed.max(version_of(code));
        writer.byte(code);
        writer.string(record.key());
        rdb::save(record.value(), writer);
    }

    fn finish(mut self) -> Result<u64, SaveError> {
        self.writer.byte(opcode::EOF);
        let output = self.writer.output_mut();
        output.flush();
        // Without a checksum it is 0.
        let sum = output.checksum.take().map_or(0, |checksum| checksum.value());
        self.writer.raw(&sum.to_le_bytes());
        let mut output = self.writer.into_output();
        output.flush();
        if let Some(failure) = output.failure {
            return Err(failure);
        }
        output.file.sync().map_err(|error| SaveError { step: "fsync", error })?;
        Ok(output.written)
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
