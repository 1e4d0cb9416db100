//! Reading an RDB file, key by key.

use std::io::{self, Read};

use tidegate_data::rdb::{self, Checksum, Dialect, Reader, Rules, Source, is_known_version, module};
use tidegate_data::{Encodings, Record};

use super::opcode;
use super::part::{Attributes, Part, whole_keys};

const MAGIC_LEN: usize = 9;
/// The first version that ends with a checksum.
const CHECKSUM_SINCE: u32 = 5;
/// Valkey 9 has a magic word of its own and three digits.
const VALKEY: &[u8] = b"VALKEY";
const REDIS: &[u8] = b"REDIS";

/// Why a file cannot be loaded. The texts are those of Redis.
#[derive(Debug)]
pub enum LoadError {
    /// It is no RDB file.
    Signature,
    /// It is newer than what is known here.
    Version(u32),
    /// It is damaged.
    Checksum {
        /// What its bytes sum up to.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// It ends too early, or contradicts itself.
    Value {
        /// Bytes read so far.
        offset: u64,
        /// What is wrong.
        error: rdb::Error,
    },
    /// A database with this number.
    Database(u64),
    /// It cannot be read.
    Io(io::Error),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadError::Signature => f.write_str("Wrong signature trying to load DB from file"),
            LoadError::Version(version) => write!(f, "Can't handle RDB format version {version}"),
            LoadError::Checksum { expected, found } => write!(
                f,
                "Wrong RDB checksum expected: ({expected:x}) but got ({found:x}). Aborting now."
            ),
            LoadError::Value { error: rdb::Error::Truncated, .. } => {
                f.write_str("Short read or OOM loading DB. Unrecoverable error, aborting now.")
            }
            LoadError::Value { offset, error } => {
                write!(f, "Internal error in RDB reading offset {offset} -> {error}")
            }
            LoadError::Database(_) => f.write_str(
                "FATAL: Data file was created with a Redis server configured to handle more databases. Exiting",
            ),
            LoadError::Io(error) => write!(f, "The RDB file cannot be read: {error}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Something between the keys that is worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// An auxiliary field.
    Aux {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// A library of functions, as source text.
    Function(Vec<u8>),
    /// Data of a module that belongs to no key, by the name of its type.
    Module(Box<str>),
    /// A key without elements, which was left out.
    Empty(Vec<u8>),
}

/// A key with its value.
#[derive(Debug)]
pub struct Entry {
    /// Its database.
    pub db: usize,
    /// Key, value and deadline. The access clock is not set.
    pub record: Record,
    /// Seconds since it was used.
    pub idle_s: Option<u64>,
    /// Its LFU counter.
    pub frequency: Option<u8>,
}

/// What is next in a file.
#[derive(Debug)]
pub enum Found {
    /// Keys that were not decoded yet.
    Part(Part),
    /// A key that was.
    Entry(Entry),
}

/// Reads the keys of a file one after the other.
pub struct Loader<'f> {
    reader: Reader<FileSource>,
    version: u32,
    rules: Rules,
    verify: bool,
    databases: usize,
    db: usize,
    note: &'f mut dyn FnMut(Note),
    is_done: bool,
}

impl std::fmt::Debug for Loader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("version", &self.version).field("db", &self.db).finish_non_exhaustive()
    }
}

impl<'f> Loader<'f> {
    /// Begins with a file of `size` bytes, for a server with so many databases. Its checksum counts only if `verify`.
    /// What is between the keys goes to `note`.
    pub fn new(
        file: Box<dyn Read + Send>,
        size: u64,
        databases: usize,
        encodings: Encodings,
        verify: bool,
        note: &'f mut dyn FnMut(Note),
    ) -> Result<Self, LoadError> {
        let mut reader = Reader::new(FileSource::new(file, size));
        let magic: Result<[u8; MAGIC_LEN], _> = reader.array();
        let magic = magic.map_err(|error| LoadError::at(&mut reader, error))?;
        let version = version_of(&magic).ok_or(LoadError::Signature)?;
        if !is_known_version(version) || version == 0 {
            return Err(LoadError::Version(version));
        }
        let rules = Rules { dialect: Dialect::of_version(version), encodings };
        Ok(Loader { reader, version, rules, verify, databases, db: 0, note, is_done: false })
    }

    /// The next key; `None` after the last, when the checksum was found to be right.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, LoadError> {
        if self.is_done {
            return Ok(None);
        }
        let mut attributes = Attributes::default();
        loop {
            let code = self.read(Reader::byte)?;
            if self.read(|reader| attributes.read(code, reader))? {
                continue;
            }
            match code {
                opcode::EOF => {
                    self.is_done = true;
                    self.check_sum()?;
                    return Ok(None);
                }
                opcode::LOWEST.. => self.between(code)?,
                code => {
                    let key = self.read(|reader| reader.bytes().map(<[u8]>::to_vec))?;
                    let attributes = std::mem::take(&mut attributes);
                    let record = rdb::load(code, &mut self.reader, &key, attributes.expiry_ms(), &self.rules);
                    let Attributes { idle_s, frequency, .. } = attributes;
                    match record {
                        Ok(record) => return Ok(Some(Entry { db: self.db, record, idle_s, frequency })),
                        Err(rdb::Error::Empty) => (self.note)(Note::Empty(key)),
                        Err(error) => return Err(LoadError::at(&mut self.reader, error)),
                    }
                }
            }
        }
    }

    /// What comes next: keys that somebody else may decode, as many as are at hand, or one key that has to be decoded in
    /// its turn. `None` after the last, as with [`next_entry`](Self::next_entry).
    pub fn next_found(&mut self) -> Result<Option<Found>, LoadError> {
        while !self.is_done {
            let source = self.reader.source_mut();
            let len = whole_keys(source.at_hand());
            if len > 0 {
                let (db, rules) = (self.db, self.rules);
                let offset = source.before;
                let (bytes, start) = source.split(len);
                return Ok(Some(Found::Part(Part { db, rules, bytes, start, end: start + len, offset })));
            }
            // A key that is not whole after this is so large that it is decoded while it is read.
            if source.at_hand().len() >= CHUNK || !source.read_on() {
                return Ok(self.next_entry()?.map(Found::Entry));
            }
        }
        Ok(None)
    }

    /// Takes memory back that [`Part::into_buffer`] gave.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        self.reader.source_mut().spare.push(buffer);
    }

    /// How many bytes were read.
    pub fn offset(&self) -> u64 {
        self.reader.source().offset()
    }

    fn read<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<FileSource>) -> Result<T, rdb::Error>,
    ) -> Result<T, LoadError> {
        read(&mut self.reader).map_err(|error| LoadError::at(&mut self.reader, error))
    }

    /// What stands between the keys.
    fn between(&mut self, code: u8) -> Result<(), LoadError> {
        match code {
            opcode::SELECT_DB => {
                let db = self.read(Reader::number)?;
                let known = usize::try_from(db).ok().filter(|db| *db < self.databases);
                self.db = known.ok_or(LoadError::Database(db))?;
            }
            opcode::RESIZE_DB => self.skip_numbers(2)?,
            opcode::SLOT_INFO => self.skip_numbers(3)?,
            opcode::SLOT_IMPORT if self.rules.dialect == Dialect::Valkey => {
                self.read(|reader| reader.take(40).map(|_| ()))?;
                for _ in 0..self.read(|reader| reader.count(2))? {
                    self.skip_numbers(2)?;
                }
            }
            opcode::AUX => {
                let name = self.read(|reader| reader.bytes().map(<[u8]>::to_vec))?;
                let value = self.read(|reader| reader.bytes().map(<[u8]>::to_vec))?;
                (self.note)(Note::Aux { name, value });
            }
            opcode::FUNCTION_2 => {
                let source = self.read(|reader| reader.bytes().map(<[u8]>::to_vec))?;
                (self.note)(Note::Function(source));
            }
            opcode::FUNCTION_OF_CANDIDATES => {
                let source = self.read(rdb::library_of_candidate)?;
                (self.note)(Note::Function(source));
            }
            opcode::MODULE_AUX => {
                let name = module::name(self.read(Reader::number)?);
                // When it was saved: a number after the mark of a number.
                self.skip_numbers(2)?;
                self.read(module::skip_parts)?;
                (self.note)(Note::Module(name));
            }
            _ => {
                let error = rdb::Error::UnknownType(code);
                return Err(LoadError::at(&mut self.reader, error));
            }
        }
        Ok(())
    }

    fn skip_numbers(&mut self, count: usize) -> Result<(), LoadError> {
        for _ in 0..count {
            self.read(Reader::number)?;
        }
        Ok(())
    }

    fn check_sum(&mut self) -> Result<(), LoadError> {
        if self.version < CHECKSUM_SINCE {
            return Ok(());
        }
        let expected = self.reader.source_mut().sum();
        let found = self.read(Reader::array).map(u64::from_le_bytes)?;
        // 0: whoever wrote it was told not to sum.
        if self.verify && found != 0 && found != expected {
            return Err(LoadError::Checksum { expected, found });
        }
        Ok(())
    }
}

impl LoadError {
    /// The error as it is, or what the disk said when the bytes ended.
    fn at(reader: &mut Reader<FileSource>, error: rdb::Error) -> Self {
        let source = reader.source_mut();
        match source.failure.take() {
            Some(failure) => LoadError::Io(failure),
            None => LoadError::Value { offset: source.offset(), error },
        }
    }
}

fn version_of(magic: &[u8; MAGIC_LEN]) -> Option<u32> {
    let digits = magic.strip_prefix(REDIS).or_else(|| magic.strip_prefix(VALKEY))?;
    digits
        .iter()
        .try_fold(0, |version, digit| digit.is_ascii_digit().then(|| version * 10 + u32::from(digit - b'0')))
}

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// A file, buffered and summed up.
struct FileSource {
    file: Box<dyn Read + Send>,
    /// Bytes of the file that are not in the buffer yet.
    unread: u64,
    buffer: Vec<u8>,
    /// What of the buffer was taken.
    taken: usize,
    /// What of the buffer was summed up.
    summed: usize,
    checksum: Checksum,
    /// Bytes before the buffer.
    before: u64,
    failure: Option<io::Error>,
    /// Memory for buffers to come.
    spare: Vec<Vec<u8>>,
}

impl FileSource {
    fn new(file: Box<dyn Read + Send>, size: u64) -> Self {
        FileSource {
            file,
            unread: size,
            buffer: Vec::new(),
            taken: 0,
            summed: 0,
            checksum: Checksum::default(),
            before: 0,
            failure: None,
            spare: Vec::new(),
        }
    }

    /// What is in the buffer and was not taken.
    fn at_hand(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// Has more at hand, if there is more: true then.
    fn read_on(&mut self) -> bool {
        let len = self.at_hand().len();
        // A failure shows when somebody wants what could not be read.
        self.unread > 0 && (self.fill(len + 1).is_ok() || self.at_hand().len() > len)
    }

    /// Gives the buffer away with the next `len` bytes, which begin at the place that comes with it.
    fn split(&mut self, len: usize) -> (Vec<u8>, usize) {
        let start = self.taken;
        self.taken += len;
        self.sum();
        let mut rest = self.spare.pop().unwrap_or_default();
        rest.clear();
        rest.extend_from_slice(&self.buffer[self.taken..]);
        self.before += self.taken as u64;
        (self.taken, self.summed) = (0, 0);
        (std::mem::replace(&mut self.buffer, rest), start)
    }

    fn offset(&self) -> u64 {
        self.before + self.taken as u64
    }

    /// The sum of all that was taken.
    fn sum(&mut self) -> u64 {
        self.checksum.update(&self.buffer[self.summed..self.taken]);
        self.summed = self.taken;
        self.checksum.value()
    }

    /// Has at least `len` bytes in the buffer that were not taken yet.
    #[cold]
    fn fill(&mut self, len: usize) -> Result<(), rdb::Error> {
        self.sum();
        self.buffer.drain(..self.taken);
        self.before += self.taken as u64;
        (self.taken, self.summed) = (0, 0);
        if len < CHUNK {
            self.buffer.shrink_to(2 * CHUNK);
        }
        let missing = len - self.buffer.len();
        let wanted = self.unread.min(missing.max(CHUNK) as u64);
        let read = self.file.by_ref().take(wanted).read_to_end(&mut self.buffer);
        match read {
            Ok(0) => self.unread = 0,
            Ok(count) => self.unread = self.unread.saturating_sub(count as u64),
            Err(error) => {
                self.failure = Some(error);
                return Err(rdb::Error::Truncated);
            }
        }
        if self.buffer.len() < len { Err(rdb::Error::Truncated) } else { Ok(()) }
    }
}

impl Source for FileSource {
    fn remaining(&self) -> u64 {
        self.unread + (self.buffer.len() - self.taken) as u64
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&[u8], rdb::Error> {
        if self.buffer.len() - self.taken < len {
            self.fill(len)?;
        }
        let start = self.taken;
        self.taken += len;
        Ok(&self.buffer[start..self.taken])
    }
}
