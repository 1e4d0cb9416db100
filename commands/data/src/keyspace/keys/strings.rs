//! Strings that are changed bit by bit, or made as a whole.

use super::super::key::Key;
use super::super::log::EventClass;
use super::super::record::{INLINE_LEN_MAX, Record};
use super::super::table::Entry;
use super::Keys;
use crate::types::string::{INT_LEN_MAX, LongString};
use crate::value::{StringEncoding, Value, WrongType};

impl Keys<'_> {
    /// As [`Keys::edit_string`] for an edit that may turn out to change nothing. It is told whether the string is new
    /// or was made longer, and says besides its result whether it changed a byte. If neither is so, the string only
    /// gets encoding `raw`, which counts as no change, as in Redis. Returns the result and whether something changed.
    pub fn edit_string_if<R>(
        &mut self,
        key: Key,
        min_len: usize,
        edit: impl FnOnce(&mut [u8], bool) -> (R, bool),
    ) -> Result<(R, bool), WrongType> {
        let is_new = self.string_for_write(key)?.is_none();
        if is_new {
            self.event(EventClass::New, "new", key);
        }
        let access = self.rules.access;
        let mut entry = match self.table(key).entry(key.hash(), key.bytes()) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => {
                let record = Record::new_bytes(key.bytes(), b"", StringEncoding::Raw, None);
                record.set_access(access.initial());
                entry.insert(record)
            }
        };
        let len = entry.record().value().string(&mut [0; INT_LEN_MAX]).map_or(0, <[u8]>::len);
        let grows = is_new || len < min_len;
        entry.update(|record| record.resize_bytes(len.max(min_len)));
        let (result, edited) = entry.bytes_mut().map(|bytes| edit(bytes, grows)).ok_or(WrongType)?;
        let changed = grows || edited;
        if changed {
            self.touch(key);
        }
        Ok((result, changed))
    }

    /// Stores a string whose bytes were made for it, with encoding `raw` and no deadline, whatever was there before. A
    /// long one is not copied.
    pub fn set_made_string(&mut self, key: Key, bytes: Vec<u8>) {
        let access = self.rules.access;
        let access = self.for_write(key).map_or(access.initial(), |old| access.next(old.access()));
        let record = if bytes.len() > INLINE_LEN_MAX {
            Record::new_boxed(key.bytes(), Box::new(Value::String(LongString::from(bytes))), None)
        } else {
            Record::new_bytes(key.bytes(), &bytes, StringEncoding::Raw, None)
        };
        record.set_access(access);
        self.put(key, record);
    }
}
