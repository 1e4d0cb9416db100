//! Values with members: reading them in place, writing them through a guard, and removing members whose time has
//! come.

use super::super::key::Key;
use super::super::log::{EventClass, ExpiredMembers};
use super::super::record::{INLINE_PACKED_MAX, Record, ValueRef, shrink_to_class};
use super::super::table::{Entry, Members, Place, Weight};
use super::Keys;
use crate::types::collection::Collection;
use crate::value::{Value, WrongType};

/// Most members that one effect removes: servers take no command of any length.
const EXPIRED_MEMBERS_MAX: usize = 1024;

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
        if self.hides_nothing(key) {
            return collection_of::<T>(self.read(key));
        }
        self.read(key);
        self.view_as::<T>(key)
    }

    /// The collection at `key` for a command that is about to write: an access, but neither hit nor miss.
    #[inline]
    pub fn for_write_as<T: Collection>(&mut self, key: Key) -> Result<Option<T::Ref<'_>>, WrongType> {
        if self.hides_nothing(key) {
            return collection_of::<T>(self.for_write(key));
        }
        self.for_write(key);
        self.view_as::<T>(key)
    }

    /// Nothing at `key` can be due that is not deleted when it is looked up.
    #[inline]
    fn hides_nothing(&mut self, key: Key) -> bool {
        self.rules.delete_expired || self.table(key).deadlines_len() == 0
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
        let touched = self.touched(key);
        // Watchers notice it, but it is no change that the command made: that one may only read.
        if self.log.record_touched {
            self.log.touched.push(touched.clone());
        }
        let (class, name) = ExpiredMembers::event_of(code);
        self.log.event_of(class, name, self.db as u16, key.bytes(), &members);
        while !members.is_empty() {
            let some = members.split_off(members.len() - members.len().min(EXPIRED_MEMBERS_MAX));
            self.log.expired_members.push(ExpiredMembers { key: touched.clone(), code, members: some });
        }
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
        let Some(lent) = self.lend(key)? else { return Ok(None) };
        Ok(Some(Write { keys: self, key, lent, changed: false, untold: false }))
    }

    /// The collection at `key` for writing, an empty one when there is no key. It comes into being only if it is not
    /// empty in the end.
    #[inline]
    pub fn write_or_create<'k, 'n, T: Collection>(
        &'k mut self,
        key: Key<'n>,
    ) -> Result<Write<'k, 'a, 'n, T>, WrongType> {
        let lent = self.lend(key)?.unwrap_or_else(|| Lent::New(T::default()));
        Ok(Write { keys: self, key, lent, changed: false, untold: false })
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

    /// An access, but neither hit nor miss.
    #[inline]
    fn lend<T: Collection>(&mut self, key: Key) -> Result<Option<Lent<T>>, WrongType> {
        let (place, is_alive) = self.found(key);
        if !is_alive {
            return Ok(None);
        }
        let access = self.rules.access;
        let table = self.held.get(key.shard()).table_mut(self.db);
        let Entry::Occupied(mut entry) = table.entry_at(key.hash(), place) else { return Ok(None) };
        let (record, place) = (entry.record(), entry.place());
        let old = record.access();
        let word = access.next(old);
        if word != old {
            record.set_access(word);
        }
        match record.value() {
            ValueRef::Packed { code, bytes } if code == T::TYPE => {
                let mut buffer = std::mem::take(&mut self.log.packed);
                buffer.clear();
                buffer.extend_from_slice(bytes);
                Ok(Some(Lent::Inline(place, T::from_inline(buffer))))
            }
            ValueRef::Boxed(_) => {
                entry.lend::<T>().map(|before| Some(Lent::Boxed(place, before))).ok_or(WrongType)
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

/// Where a value is while it is written.
#[derive(Debug)]
enum Lent<T> {
    /// In its record.
    Boxed(Place, Weight),
    /// A copy of what is inline in its record.
    Inline(Place, T),
    /// There is no record yet.
    New(T),
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
    changed: bool,
    /// The value may have another size without having changed for anybody.
    untold: bool,
}

impl<T: Collection> Write<'_, '_, '_, T> {
    /// True when there was no key.
    pub fn is_new(&self) -> bool {
        matches!(self.lent, Lent::New(_))
    }

    /// False where somebody else decides when what is due goes: it must stay.
    pub fn removes_due(&self) -> bool {
        self.keys.rules.delete_expired
    }

    /// The value for reading.
    #[inline]
    pub fn view(&self) -> T::Ref<'_> {
        match &self.lent {
            Lent::Boxed(place, _) => {
                let value = self.keys.held.peek(self.key.shard()).table(self.keys.db).boxed_at(*place);
                T::of(value).expect("its type was checked").view()
            }
            Lent::Inline(_, value) | Lent::New(value) => value.view(),
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

    /// Empties it. What it held is freed with other garbage, once no shard is held.
    pub fn clear(&mut self) {
        let old = std::mem::take(self.change());
        if matches!(self.lent, Lent::Boxed(..)) {
            self.keys.log.discard(Record::new_boxed(b"", Box::new(old.into()), None));
        }
    }

    /// The value, to see what comes of a change: call [`Write::touch`] or [`Write::note`] if something did. Also for what
    /// is no change to anybody else, as the time at which somebody asked.
    #[inline]
    pub fn change_untold(&mut self) -> &mut T {
        self.untold = true;
        self.value()
    }

    /// The key counts as touched.
    #[inline]
    pub fn touch(&mut self) {
        if !self.changed {
            self.note_change();
        }
    }

    /// The value of an existing key counts as changed, but nobody hears of it who watches the key or waits for it: what
    /// the consumers of a stream have is not its content.
    pub fn note(&mut self) {
        if !self.changed {
            self.changed = true;
            self.keys.log.changes += 1;
        }
    }

    /// Has those look at the key again who wait for it, after a change that was only [noted](Self::note).
    pub fn wake(&mut self) {
        self.keys.wake(self.key);
    }

    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn note_change(&mut self) {
        self.changed = true;
        self.keys.touch(self.key);
        if self.is_new() {
            self.keys.event(EventClass::New, "new", self.key);
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    fn value(&mut self) -> &mut T {
        match &mut self.lent {
            Lent::Boxed(place, _) => {
                let value = self.keys.table(self.key).boxed_at_mut(*place);
                T::of_mut(value).expect("its type was checked")
            }
            Lent::Inline(_, value) | Lent::New(value) => value,
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

    /// The same for one that is about these fields or members.
    pub fn event_of<S: AsRef<[u8]>>(
        &mut self,
        class: EventClass,
        name: &'static str,
        subkeys: impl IntoIterator<Item = S>,
    ) {
        let (db, key) = (self.keys.db as u16, self.key);
        self.keys.log.event_of(class, name, db, key.bytes(), subkeys);
    }

    #[inline]
    fn put_back(&mut self) {
        match std::mem::replace(&mut self.lent, Lent::Done) {
            Lent::Boxed(place, before) => {
                if self.changed || self.untold {
                    let is_empty = self.keys.table(self.key).collection_changed::<T>(place, before);
                    if is_empty {
                        self.leave(place);
                    }
                }
            }
            Lent::Inline(place, value) => self.put_inline(place, value),
            Lent::New(value) if self.changed && !value.is_empty() => self.put_new(value),
            Lent::New(_) | Lent::Done => {}
        }
    }

    fn put_inline(&mut self, place: Place, value: T) {
        let is_empty = value.is_empty();
        let kept = self.keys.keep_inline(value);
        if !self.changed && !self.untold {
            return;
        }
        if is_empty {
            return self.leave(place);
        }
        // The buffer is borrowed beside the table.
        let buffer = std::mem::take(&mut self.keys.log.packed);
        self.keys.table(self.key).at(place).update(|record| {
            let expiry_ms = record.expiry_ms();
            match kept {
                Ok(()) => record.replace_packed(T::TYPE, &buffer, expiry_ms),
                Err(value) => record.replace_boxed(Box::new(value.into()), expiry_ms),
            }
        });
        self.keys.log.packed = buffer;
    }

    fn put_new(&mut self, value: T) {
        let (keys, key) = (&mut *self.keys, self.key);
        let record = match keys.keep_inline(value) {
            Ok(()) => Record::new_packed(key.bytes(), T::TYPE, &keys.log.packed, None),
            Err(value) => Record::new_boxed(key.bytes(), Box::new(value.into()), None),
        };
        record.set_access(keys.rules.access.initial());
        match keys.table(key).entry(key.hash(), key.bytes()) {
            Entry::Vacant(entry) => {
                entry.insert(record);
            }
            // One that is due, where somebody else decides when it goes.
            Entry::Occupied(mut entry) => {
                let old = entry.replace(record);
                keys.log.discard(old);
            }
        }
    }

    /// The collection was emptied: the key leaves the keyspace.
    #[cold]
    fn leave(&mut self, place: Place) {
        let record = self.keys.table(self.key).at(place).remove();
        self.keys.log.discard(record);
        self.keys.event(EventClass::Generic, "del", self.key);
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
            shrink_to_class(&mut bytes);
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
