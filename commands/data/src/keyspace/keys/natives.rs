//! Small values of our own types, changed in their records in one look-up.

use super::super::hash::slot;
use super::super::key::Key;
use super::super::leases::Lease;
use super::super::log::EventClass;
use super::super::record::{Record, ValueRef};
use super::super::table::{Entry, Place};
use super::Keys;
use crate::value::{TypeCode, WrongType};

/// What becomes of a small value.
#[derive(Debug)]
pub enum Put<I> {
    /// It stays as it is.
    Nothing,
    /// It is replaced, and expires then, Unix milliseconds.
    Value(I, Option<i64>),
}

impl Keys<'_> {
    /// Changes the small value of this type at `key` in one look-up. `change` is given its bytes (`None`: there is no key) and
    /// says what becomes of it; when it refuses, nothing happened. `Ok(None)` without having called it if the value is boxed.
    #[inline]
    pub fn update_packed<I: AsRef<[u8]>, R, E: From<WrongType>>(
        &mut self,
        key: Key,
        code: TypeCode,
        change: impl FnOnce(Option<&[u8]>) -> Result<(R, Put<I>), E>,
    ) -> Result<Option<R>, E> {
        let access = self.rules.access;
        let (result, is_new) = match self.entry(key) {
            Entry::Occupied(mut entry) => {
                let record = entry.record();
                let old = record.access();
                let word = access.next(old);
                if word != old {
                    record.set_access(word);
                }
                let (result, put) = match record.value() {
                    ValueRef::Packed { code: found, bytes } if found == code => change(Some(bytes))?,
                    ValueRef::Boxed(value) if value.type_code() == code => return Ok(None),
                    _ => return Err(WrongType.into()),
                };
                let Put::Value(image, expiry_ms) = put else { return Ok(Some(result)) };
                entry.set_packed(code, image.as_ref(), expiry_ms);
                (result, false)
            }
            Entry::Vacant(entry) => {
                let (result, put) = change(None)?;
                let Put::Value(image, expiry_ms) = put else { return Ok(Some(result)) };
                let record = Record::new_packed(key.bytes(), code, image.as_ref(), expiry_ms);
                record.set_access(access.initial());
                entry.insert(record);
                (result, true)
            }
        };
        self.touch(key);
        if is_new {
            self.event(EventClass::New, "new", key);
        }
        Ok(Some(result))
    }

    /// Looks at the small value of this type at `key`, which counts as an access. `look` is given its bytes (`None`: there is no
    /// key). Returns where the key stands, for [`Keys::put_packed`]; `look` is not called if the value is boxed.
    #[inline]
    pub fn look_packed(
        &mut self,
        key: Key,
        code: TypeCode,
        look: impl FnOnce(Option<&[u8]>),
    ) -> Result<Option<Place>, WrongType> {
        let (access, now_ms) = (self.rules.access, self.rules.now_ms);
        let table = self.table(key);
        let Some(place) = table.place(key.hash(), key.bytes()) else {
            look(None);
            return Ok(None);
        };
        let record = table.record_at(place);
        if record.deadline_ms().is_some_and(|deadline_ms| now_ms > deadline_ms) {
            // Deleted, or invisible: looked for again.
            return self.look_due(key, code, look);
        }
        let old = record.access();
        let word = access.next(old);
        if word != old {
            record.set_access(word);
        }
        match record.value() {
            ValueRef::Packed { code: found, bytes } if found == code => {
                look(Some(bytes));
                Ok(Some(place))
            }
            ValueRef::Boxed(value) if value.type_code() == code => Ok(None),
            _ => Err(WrongType),
        }
    }

    #[cold]
    fn look_due(
        &mut self,
        key: Key,
        code: TypeCode,
        look: impl FnOnce(Option<&[u8]>),
    ) -> Result<Option<Place>, WrongType> {
        match self.entry(key) {
            Entry::Occupied(entry) => match entry.record().value() {
                ValueRef::Packed { code: found, bytes } if found == code => {
                    look(Some(bytes));
                    Ok(Some(entry.place()))
                }
                ValueRef::Boxed(value) if value.type_code() == code => Ok(None),
                _ => Err(WrongType),
            },
            Entry::Vacant(_) => {
                look(None);
                Ok(None)
            }
        }
    }

    /// Replaces the small value of this type at a key that [`Keys::look_packed`] found there. Since then no key may have been
    /// added or removed.
    #[inline]
    pub fn put_packed(&mut self, key: Key, place: Place, code: TypeCode, bytes: &[u8], expiry_ms: i64) {
        let mut entry = self.table(key).at(place);
        debug_assert_eq!(entry.record().key(), key.bytes(), "nothing was added or removed");
        entry.set_packed(code, bytes, Some(expiry_ms));
        self.touch(key);
    }

    /// Moves the deadline of a key (Unix milliseconds; `None` for none) as part of a change that was noted already.
    pub fn move_expiry(&mut self, key: Key, expiry_ms: Option<i64>) {
        if let Entry::Occupied(mut entry) = self.table(key).entry(key.hash(), key.bytes()) {
            entry.set_expiry(expiry_ms);
        }
    }

    /// Does something on the server's own account with a key that the command does not name, but whose user named it when the
    /// value at `key` was configured. `None` where it has another slot: then it is not held.
    pub fn with_neighbour<R>(
        &mut self,
        key: Key,
        name: &[u8],
        act: impl FnOnce(&mut Self, Key) -> R,
    ) -> Option<R> {
        if slot(name) != slot(key.bytes()) {
            return None;
        }
        let hash = self.table(key).hasher().hash(name);
        let mark = self.log.trace.mark();
        let result = act(self, Key::new(name, hash, key.shard()));
        self.log.trace.cut(mark);
        Some(result)
    }

    /// The lease under which `key` is to be filled, on or over.
    pub fn lease(&self, key: Key) -> Option<Lease> {
        self.held.peek(key.shard()).leases().get(self.db as u16, key.bytes())
    }

    /// Gives out a lease of `key` in place of an earlier one; false if there is no room.
    pub fn put_lease(&mut self, key: Key, lease: Lease, now_ms: i64) -> bool {
        let db = self.db as u16;
        self.log.trace.key(self.db, key, true);
        self.held.get(key.shard()).leases_mut().put(db, key.bytes(), lease, now_ms)
    }

    /// Ends the lease of `key`, if there is one: who waits for it looks again. A change of the key ends it anyway.
    #[inline]
    pub fn end_lease(&mut self, key: Key) {
        self.log.trace.key(self.db, key, true);
        let db = self.db as u16;
        let leases = self.held.get(key.shard()).leases_mut();
        if !leases.is_empty() && leases.remove(db, key.bytes()) {
            self.wake(key);
        }
    }

    /// Removes a key that was of no use to anybody: it counts as a change, but nobody has to hear of it.
    pub fn remove_unseen(&mut self, key: Key) {
        if let Some(record) = self.take_record(key) {
            self.log.trace.key(self.db, key, true);
            self.log.discard(record);
            self.log.changes += 1;
        }
    }

    /// The journal hears of the state of `key` later.
    pub fn note_soft(&mut self, key: Key) {
        self.log.trace.key(self.db, key, true);
        let touched = self.touched(key);
        self.log.soft.push(touched);
    }
}
