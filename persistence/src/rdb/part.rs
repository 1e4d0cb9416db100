//! Keys that were found in a file and not looked at yet: whoever reads the file finds out where each of them ends, which is
//! quick, and others decode them.

use tidegate_data::rdb::{self, Reader, Rules, Source};

use super::opcode;
use super::read::{Entry, LoadError};

/// What stands before a key and belongs to it.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) expiry_ms: Option<i64>,
    pub(super) idle_s: Option<u64>,
    pub(super) frequency: Option<u8>,
}

impl Attributes {
    /// Reads what belongs to this opcode; false if that is none of an attribute.
    pub(super) fn read<S: Source>(&mut self, code: u8, reader: &mut Reader<S>) -> Result<bool, rdb::Error> {
        match code {
            opcode::EXPIRE_TIME => {
                let seconds = reader.array().map(i32::from_le_bytes)?;
                self.expiry_ms = Some(i64::from(seconds) * 1000);
            }
            opcode::EXPIRE_TIME_MS => self.expiry_ms = Some(reader.millis()?),
            opcode::IDLE => self.idle_s = Some(reader.number()?),
            opcode::FREQ => self.frequency = Some(reader.byte()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Redis writes -1 for a key that never expires, where it writes anything.
    pub(super) fn expiry_ms(&self) -> Option<i64> {
        self.expiry_ms.filter(|expiry_ms| *expiry_ms != -1)
    }
}

/// How many of these bytes are whole keys, with what belongs to them.
pub(super) fn whole_keys(bytes: &[u8]) -> usize {
    let mut reader = Reader::new(bytes);
    let mut end = 0;
    while let Ok(true) = skip_key(&mut reader) {
        end = bytes.len() - reader.source().len();
    }
    end
}

/// False where something else than a key begins, or a key whose end is not to be found so easily.
fn skip_key(reader: &mut Reader<&[u8]>) -> Result<bool, rdb::Error> {
    let mut attributes = Attributes::default();
    loop {
        let code = reader.byte()?;
        if attributes.read(code, reader)? {
            continue;
        }
        if code >= opcode::LOWEST {
            return Ok(false);
        }
        reader.skip_string()?;
        return rdb::skip(code, reader);
    }
}

/// Keys of one database, as they stand in the file.
#[derive(Debug)]
pub struct Part {
    pub(super) db: usize,
    pub(super) rules: Rules,
    pub(super) bytes: Vec<u8>,
    /// Where in the bytes the keys begin.
    pub(super) start: usize,
    /// Where they end.
    pub(super) end: usize,
    /// Where in the file the bytes begin.
    pub(super) offset: u64,
}

impl Part {
    /// Decodes the keys one by one, until `each` says that this is enough. Keys without elements go to `empty`.
    ///
    /// # Errors
    /// One of them is none. Those before it were handed out.
    pub fn decode(
        &self,
        each: &mut dyn FnMut(Entry) -> bool,
        empty: &mut dyn FnMut(&[u8]),
    ) -> Result<(), LoadError> {
        let bytes = &self.bytes[..self.end];
        let mut reader = Reader::new(&bytes[self.start..]);
        let mut key = Vec::new();
        while !reader.source().is_empty() {
            let result = self.entry(&mut reader, &mut key);
            match result {
                Ok(entry) => {
                    if !each(entry) {
                        return Ok(());
                    }
                }
                Err(rdb::Error::Empty) => empty(&key),
                Err(error) => {
                    let at = bytes.len() - reader.source().len();
                    return Err(LoadError::Value { offset: self.offset + at as u64, error });
                }
            }
        }
        Ok(())
    }

    fn entry(&self, reader: &mut Reader<&[u8]>, key: &mut Vec<u8>) -> Result<Entry, rdb::Error> {
        let mut attributes = Attributes::default();
        let mut code = reader.byte()?;
        while attributes.read(code, reader)? {
            code = reader.byte()?;
        }
        key.clear();
        key.extend_from_slice(reader.bytes()?);
        let record = rdb::load(code, reader, key, attributes.expiry_ms(), &self.rules)?;
        let Attributes { idle_s, frequency, .. } = attributes;
        Ok(Entry { db: self.db, record, idle_s, frequency })
    }

    /// Where in the file it is, roughly.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The memory, for [`Loader::give_back`](super::Loader::give_back).
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}
