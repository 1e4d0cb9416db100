//! Values with members: reading them in place, writing them through a guard, and removing members whose time has
//! come.

use super::super::key::Key;
use super::super::log::{EventClass, ExpiredMembers};
use super::super::record::{INLINE_PACKED_MAX, Record, ValueRef, size_class};
use super::super::table::{Entry, Members};
use super::{Access, Keys};
use crate::types::collection::Collection;
use crate::value::{Value, WrongType};

/// A copy of a value without the members that are due, for readers where a primary decides when those go.
#[derive(Debug)]
pub(super) struct Filtered {
    db: usize,
    key: Box<[u8]>,
    value: Value,
}

impl<'a> Keys<'a> {
    // ---- reading -------------------------------------------------------------------------------------------

    /// The collection at `key` for reading: counted as hit or miss, remembered as an access. Its due members are
    /// gone.
    #[inline]
    pub fn read_as<T: Collection>(&mut self, key: Key) -> Result<Option<T::Ref<'_>>, WrongType> {
        if self.table(key).deadlines_len() == 0 {
            return collection_of::<T>(self.read(key));
        }
        self.read(key);
        self.view_as::<T>(key)
    }

    /// The collection at `key` for a command that is about to write: an access, but neither hit nor miss.
    #[inline]
    pub fn for_write_as<T: Collection>(&mut self, key: Key) -> Result<Option<T::Ref<'_>>, WrongType> {
        if self.table(key).deadlines_len() == 0 {
            return collection_of::<T>(self.for_write(key));
        }
        self.for_write(key);
        self.view_as::<T>(key)
    }

    /// The collection at `key`, which was already looked up in this unit (by [`Keys::read`], [`Keys::read_as`] or
    /// [`Keys::for_write`]): several can be borrowed at once.
    pub fn view_as<T: Collection>(&self, key: Key) -> Result<Option<T::Ref<'_>>, WrongType> {
        if let Some(value) = self.filtered_value(key) {
            let value = T::of(value).ok_or(WrongType)?;
            return Ok((!value.is_empty()).then(|| value.view()));
        }
        collection_of::<T>(self.view(key))
    }

    /// The record of a key which was already looked up in this unit; several can be borrowed at once.
    pub fn view(&self, key: Key) -> Option<&Record> {
        let now_ms = self.rules.now_ms;
        let record = self.held.peek(key.shard()).table(self.db).get(key.hash(), key.bytes())?;
        record.expiry_ms().is_none_or(|deadline| now_ms <= deadline).then_some(record)
    }

    fn filtered_value(&self, key: Key) -> Option<&Value> {
        let filtered =
            self.filtered.iter().find(|filtered| filtered.db == self.db && *filtered.key == *key.bytes());
        filtered.map(|filtered| &filtered.value)
    }

    // ---- members whose time has come -----------------------------------------------------------------------

    /// Removes members that are due, or hides them where that is not for us to decide; false when that leaves
    /// nothing of the key.
    #[cold]
    pub(super) fn remove_due_members(&mut self, key: Key) -> bool {
        let now_ms = self.rules.now_ms;
        if !self.rules.delete_expired {
            return self.hide_due_members(key);
        }
        let Entry::Occupied(mut entry) = self.table(key).entry(key.hash(), key.bytes()) else { return true };
        let mut members = Members::new();
        let (code, emptied) = {
            let Some(mut value) = entry.boxed_mut() else { return true };
            value.remove_due(now_ms, usize::MAX, &mut |member| members.push(member.into()));
            (value.type_code(), value.is_empty())
        };
        if members.is_empty() {
            // What the value takes for its earliest deadline may be one that was changed since.
            return true;
        }
        let removed = emptied.then(|| entry.remove());
        let expired = ExpiredMembers { key: self.touched(key), code, members };
        // Watchers notice it, but it is no change that the command made: that one may only read.
        if self.log.record_touched {
            self.log.touched.push(expired.key.clone());
        }
        let (class, name) = expired.event();
        self.event(class, name, key);
        self.log.expired_members.push(expired);
        if let Some(record) = removed {
            self.log.discard(record);
            self.event(EventClass::Generic, "del", key);
        }
        !emptied
    }

    fn hide_due_members(&mut self, key: Key) -> bool {
        if let Some(value) = self.filtered_value(key) {
            return !value.is_empty();
        }
        let now_ms = self.rules.now_ms;
        let Some(ValueRef::Boxed(value)) = self.view(key).map(Record::value) else { return true };
        let mut value = value.clone();
        value.remove_due(now_ms, usize::MAX, &mut |_| {});
        let remains = !value.is_empty();
        self.filtered.push(Filtered { db: self.db, key: key.bytes().into(), value });
        remains
    }

    // ---- writing -------------------------------------------------------------------------------------------

    /// The collection at `key` for writing; `None` when there is no key.
    #[inline]
    pub fn write_as<'k, 'n, T: Collection>(
        &'k mut self,
        key: Key<'n>,
    ) -> Result<Option<Write<'k, 'a, 'n, T>>, WrongType> {
        if self.for_write(key).is_none() {
            return Ok(None);
        }
        let lent = self.lend(key)?;
        Ok(Some(Write { keys: self, key, lent, is_new: false, changed: false }))
    }

    /// The collection at `key` for writing, an empty one when there is no key. It comes into being only if it is not
    /// empty in the end.
    #[inline]
    pub fn write_or_create<'k, 'n, T: Collection>(
        &'k mut self,
        key: Key<'n>,
    ) -> Result<Write<'k, 'a, 'n, T>, WrongType> {
        let is_new = self.for_write(key).is_none();
        let lent = if is_new { Lent::Owned(T::default()) } else { self.lend(key)? };
        Ok(Write { keys: self, key, lent, is_new, changed: false })
    }

    /// Puts a whole collection at `key`, whatever was there before, its deadline included: the `STORE` commands. An
    /// empty one deletes the key. True when there was a key. No event is announced, but that of a new key.
    pub fn store<T: Collection>(&mut self, key: Key, value: T) -> bool {
        if value.is_empty() {
            return self.remove(key);
        }
        let existed = self.exists(key);
        let record = Record::new_collection(key.bytes(), value, None);
        record.set_access(self.rules.access.initial());
        self.put(key, record);
        existed
    }

    fn lend<T: Collection>(&mut self, key: Key) -> Result<Lent<T>, WrongType> {
        let mut buffer = std::mem::take(&mut self.log.packed);
        let Entry::Occupied(mut entry) = self.table(key).entry(key.hash(), key.bytes()) else {
            unreachable!("the key was there a moment ago, under the same hold");
        };
        match entry.record().value() {
            ValueRef::Packed { code, bytes } if code == T::TYPE => {
                buffer.clear();
                buffer.extend_from_slice(bytes);
                Ok(Lent::Owned(T::from_inline(buffer)))
            }
            ValueRef::Boxed(value) if value.type_code() == T::TYPE => {
                let mut lent = None;
                entry.update(|record| {
                    let (record, value) = record.lend_boxed();
                    lent = value;
                    record
                });
                Ok(Lent::Boxed(lent.expect("the record was seen to have a boxed value")))
            }
            _ => Err(WrongType),
        }
    }
}

#[inline]
fn collection_of<T: Collection>(record: Option<&Record>) -> Result<Option<T::Ref<'_>>, WrongType> {
    match record {
        None => Ok(None),
        Some(record) => record.value().collection::<T>().map(Some).ok_or(WrongType),
    }
}

impl Record {
    /// A collection, inline if its form and size allow.
    pub fn new_collection<T: Collection>(key: &[u8], value: T, expiry_ms: Option<i64>) -> Self {
        match value.into_inline() {
            Ok(bytes) if bytes.len() <= INLINE_PACKED_MAX => {
                Record::new_packed(key, T::TYPE, &bytes, expiry_ms)
            }
            Ok(bytes) => Record::new_boxed(key, Box::new(T::from_inline(bytes).into()), expiry_ms),
            Err(value) => Record::new_boxed(key, Box::new(value.into()), expiry_ms),
        }
    }
}

/// A value while it is written: its record keeps the place.
#[derive(Debug)]
enum Lent<T> {
    /// Taken out of its record, which holds a placeholder now.
    Boxed(Box<Value>),
    /// A copy of what is inline, or a new value.
    Owned(T),
    /// Put back.
    Done,
}

/// A collection being written. When the guard is dropped the keyspace takes the value back, learns its new size and
/// deadline, and deletes the key (announced as `del`) if the collection was emptied.
#[derive(Debug)]
pub struct Write<'k, 'a, 'n, T: Collection> {
    keys: &'k mut Keys<'a>,
    key: Key<'n>,
    lent: Lent<T>,
    is_new: bool,
    changed: bool,
}

impl<T: Collection> Write<'_, '_, '_, T> {
    /// True when there was no key.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// False where somebody else decides when what is due goes: it must stay.
    pub fn removes_due(&self) -> bool {
        self.keys.rules.delete_expired
    }

    /// The value for reading.
    #[inline]
    pub fn view(&self) -> T::Ref<'_> {
        match &self.lent {
            Lent::Boxed(value) => T::of(value).expect("its type was checked").view(),
            Lent::Owned(value) => value.view(),
            Lent::Done => unreachable!("only drop puts it back"),
        }
    }

    /// The value to be changed: call it only to really change something. The key counts as touched.
    #[inline]
    pub fn change(&mut self) -> &mut T {
        if !self.changed {
            self.note_change();
        }
        self.value()
    }

    /// Makes a change which tells whether it really changed something; returns that. Each one that did is counted.
    #[inline]
    pub fn change_if(&mut self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let changed = change(self.value());
        if changed && self.changed {
            self.count_changes(1);
        } else if changed {
            self.note_change();
        }
        changed
    }

    fn note_change(&mut self) {
        self.changed = true;
        self.keys.touch(self.key);
        if self.is_new {
            self.keys.event(EventClass::New, "new", self.key);
        }
    }

    fn value(&mut self) -> &mut T {
        match &mut self.lent {
            Lent::Boxed(value) => T::of_mut(value).expect("its type was checked"),
            Lent::Owned(value) => value,
            Lent::Done => unreachable!("only drop puts it back"),
        }
    }

    /// Counts further changes than the one that [`Write::change`] counts: Redis counts elements.
    pub fn count_changes(&mut self, more: u64) {
        self.keys.log.changes += more;
    }

    /// Announces a keyspace event of this key.
    pub fn event(&mut self, class: EventClass, name: &'static str) {
        self.keys.event(class, name, self.key);
    }

    fn put_back(&mut self) {
        let access = self.keys.rules.access;
        let lent = std::mem::replace(&mut self.lent, Lent::Done);
        let key = self.key;
        let is_empty = match &lent {
            Lent::Boxed(value) => value.is_empty(),
            Lent::Owned(value) => value.is_empty(),
            Lent::Done => return,
        };
        if self.is_new {
            if let (true, Lent::Owned(value)) = (self.changed && !is_empty, lent) {
                let record = match self.keys.keep_inline(value) {
                    Ok(()) => Record::new_packed(key.bytes(), T::TYPE, &self.keys.log.packed, None),
                    Err(value) => Record::new_boxed(key.bytes(), Box::new(value.into()), None),
                };
                insert(self.keys, key, record, access);
            }
            return;
        }
        let boxed = match lent {
            Lent::Boxed(value) => Some(value),
            Lent::Owned(value) => self.keys.keep_inline(value).err().map(|value| Box::new(value.into())),
            Lent::Done => None,
        };
        // What is inline and did not change is still in its record.
        if boxed.is_some() || (self.changed && !is_empty) {
            // The buffer is borrowed beside the table.
            let buffer = std::mem::take(&mut self.keys.log.packed);
            if let Entry::Occupied(mut entry) = self.keys.table(key).entry(key.hash(), key.bytes()) {
                entry.update(|record| {
                    let expiry_ms = record.expiry_ms();
                    match boxed {
                        Some(value) => record.replace_boxed(value, expiry_ms),
                        None => record.replace_packed(T::TYPE, &buffer, expiry_ms),
                    }
                });
            }
            self.keys.log.packed = buffer;
        }
        if is_empty {
            if let Some(record) = self.keys.take_record(key) {
                self.keys.log.discard(record);
            }
            self.keys.event(EventClass::Generic, "del", key);
        }
    }
}

fn insert(keys: &mut Keys, key: Key, record: Record, access: Access) {
    record.set_access(access.initial());
    match keys.table(key).entry(key.hash(), key.bytes()) {
        Entry::Vacant(entry) => {
            entry.insert(record);
        }
        Entry::Occupied(_) => unreachable!("the guard saw that there is no such key"),
    }
}

impl Keys<'_> {
    /// Leaves the packed bytes of a small value in the buffer; else gives the value back.
    fn keep_inline<T: Collection>(&mut self, value: T) -> Result<(), T> {
        /// A buffer larger than this is not kept.
        const KEPT: usize = 4 * INLINE_PACKED_MAX;
        let mut bytes = value.into_inline()?;
        if bytes.len() > INLINE_PACKED_MAX {
            // It was written in the buffer, which is larger.
            bytes.shrink_to(size_class(bytes.len()));
            return Err(T::from_inline(bytes));
        }
        if bytes.capacity() <= KEPT {
            self.log.packed = bytes;
        } else {
            self.log.packed.clear();
            self.log.packed.extend_from_slice(&bytes);
        }
        Ok(())
    }
}

impl<T: Collection> Drop for Write<'_, '_, '_, T> {
    fn drop(&mut self) {
        self.put_back();
    }
}
