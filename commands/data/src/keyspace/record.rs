//! One key with its value, expiry and access clock in a single allocation.
//!
//! ```text
//! 0       access clock (24 bits) and key length (8 bits, 255: long form)     one atomic word
//! 4       type (5 bits), form (3 bits), flags (8 bits), inline length (16 bits)
//! 8       expiry, unix time in ms, if EXPIRY
//! +8      key length, if LONG_KEY
//! +8      integer or pointer to a boxed `Value`, if WORD
//! ...     key bytes
//! ...     value bytes, if not WORD
//! ```
//!
//! The words precede the bytes so that all are aligned and the key starts at 8 * (1 + number of flags). The size of the
//! allocation is not stored: it is the size class of what the header describes, which is also how a value of similar
//! size can overwrite another in place.
//!
//! A record is one pointer whose upper 16 bits are ignored here: the table keeps the key's tag in them.

#![expect(unsafe_code, reason = "a record is an allocation of variable layout; under Miri in CI")]
#![expect(clippy::cast_ptr_alignment, reason = "the words of a record are aligned by its layout")]

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    fmt,
    mem::ManuallyDrop,
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use crate::{
    types::{
        collection::Collection,
        string::{INT_LEN_MAX, LongString, format_int},
    },
    value::{StringEncoding, TypeCode, Value, packed_encoding_name},
};

/// Longest string kept inside its record; longer ones are boxed.
pub const INLINE_LEN_MAX: usize = 1024;

/// Most bytes of a small collection kept inside its record. A write copies them out and back, so they are few.
pub const INLINE_PACKED_MAX: usize = 512;

/// One key and what it holds. Owns its allocation.
///
/// Methods that may have to move the record take and give it by value; the table's entries put the result back.
#[repr(transparent)]
pub struct Record(NonNull<u8>);

const _: () = {
    assert!(size_of::<usize>() == 8, "the tag needs the unused upper 16 bits of a 64-bit pointer");
    assert!(size_of::<Option<Record>>() == 8);
    assert!(INLINE_LEN_MAX <= u16::MAX as usize);
    assert!(size_class(HEADER + 16 + 16) <= 48, "16-byte key, 16-byte value");
    assert!(size_class(HEADER + WORD_SIZE + 16 + 16) <= 48, "... with an expiry");
    assert!(size_class(HEADER + 16 + 64) <= 96, "16-byte key, 64-byte value");
};

const HEADER: usize = 8;
const WORD_SIZE: usize = 8;
const ALIGN: usize = 8;

const EXPIRY: u8 = 1;
const LONG_KEY: u8 = 2;
const WORD: u8 = 4;

/// The type is in the lower bits of its byte, the form above.
const TYPE_MASK: u8 = 0x1f;
const FORM_SHIFT: u32 = 5;

/// Key lengths from here on are stored in a word of their own.
const LONG_KEY_LEN: usize = 255;

const TAG_SHIFT: u32 = 48;
const ADDRESS_MASK: usize = (1 << TAG_SHIFT) - 1;

/// Largest value of the access clock.
const ACCESS_MAX: u32 = (1 << 24) - 1;

/// How the value is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Form {
    Int = 0,
    Embstr = 1,
    Raw = 2,
    Boxed = 3,
    Packed = 4,
}

/// A view of a record's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A string that is an integer.
    Int(i64),
    /// A short string.
    Bytes { bytes: &'a [u8], encoding: StringEncoding },
    /// A small collection, in the packed form of its type.
    Packed { code: TypeCode, bytes: &'a [u8] },
    /// Anything else.
    Boxed(&'a Value),
}

impl<'a> ValueRef<'a> {
    /// What OBJECT ENCODING answers.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Bytes { encoding, .. } => encoding.name(),
            Self::Packed { code, bytes } => packed_encoding_name(code, bytes),
            Self::Boxed(value) => value.encoding_name(),
        }
    }

    /// The bytes of a string in any form, or `None` for another type. An integer is formatted into `scratch`.
    #[inline]
    pub fn string<'s>(self, scratch: &'s mut [u8; INT_LEN_MAX]) -> Option<&'s [u8]>
    where
        'a: 's,
    {
        match self {
            Self::Int(value) => Some(format_int(value, scratch)),
            Self::Bytes { bytes, .. } => Some(bytes),
            Self::Boxed(Value::String(string)) => Some(string.as_bytes()),
            _ => None,
        }
    }

    /// The collection, if it is one of this type.
    #[inline]
    pub fn collection<T: Collection>(self) -> Option<T::Ref<'a>> {
        match self {
            Self::Packed { code, bytes } if code == T::TYPE => Some(T::inline_view(bytes)),
            Self::Boxed(value) => T::of(value).map(T::view),
            _ => None,
        }
    }
}

/// The size an allocation of `size` bytes really takes in the usual allocators (mimalloc, jemalloc): multiples of 16 up
/// to 128, then four classes per doubling.
#[inline]
pub const fn size_class(size: usize) -> usize {
    if size <= 128 {
        return size.next_multiple_of(16);
    }
    // A power of two: no division, which would be most of the work here.
    let step: usize = 1 << (usize::BITS - (size - 1).leading_zeros() - 3);
    // Sizes near usize::MAX cannot be allocated; leave them for the allocator to refuse.
    match size.checked_add(step - 1) {
        Some(end) => end & !(step - 1),
        None => size,
    }
}

/// Gives spare memory back, for bytes to which nothing is added any more. They are moved: asked to shrink an allocation
/// in place, mimalloc keeps a block that is up to twice as large as needed.
pub(crate) fn shrink_to_class(bytes: &mut Vec<u8>) {
    let size = size_class(bytes.len());
    if size < size_class(bytes.capacity()) {
        let mut moved = Vec::with_capacity(size);
        moved.extend_from_slice(bytes);
        *bytes = moved;
    }
}

/// What determines the layout of a record.
#[derive(Clone, Copy)]
struct Shape {
    flags: u8,
    key_len: usize,
    inline_len: usize,
}

impl Shape {
    fn new(key_len: usize, expiry: Option<i64>, word: bool, inline_len: usize) -> Self {
        let mut flags = 0;
        if expiry.is_some() {
            flags |= EXPIRY;
        }
        if key_len >= LONG_KEY_LEN {
            flags |= LONG_KEY;
        }
        if word {
            flags |= WORD;
        }
        Self { flags, key_len, inline_len }
    }

    #[inline]
    fn key_offset(self) -> usize {
        // Not count_ones: without the popcnt instruction, which x86-64 does not promise, that is a dozen instructions.
        let flags = usize::from(self.flags);
        HEADER + WORD_SIZE * ((flags & 1) + (flags >> 1 & 1) + (flags >> 2))
    }

    #[inline]
    fn long_key_offset(self) -> usize {
        HEADER + WORD_SIZE * usize::from(self.flags & EXPIRY)
    }

    #[inline]
    fn size(self) -> usize {
        size_class(self.key_offset() + self.key_len + self.inline_len)
    }

    fn layout(self) -> Layout {
        Layout::from_size_align(self.size(), ALIGN).expect("a key fits the address space")
    }
}

impl Record {
    /// A string given as bytes. Boxes it if it is longer than [`INLINE_LEN_MAX`] (it is `raw` then, whatever
    /// `encoding` says). `expiry_ms` is a unix time.
    pub fn new_bytes(key: &[u8], value: &[u8], encoding: StringEncoding, expiry_ms: Option<i64>) -> Self {
        if value.len() > INLINE_LEN_MAX {
            return Self::new_boxed(key, Box::new(Value::String(LongString::new(value))), expiry_ms);
        }
        let mut record = Self::allocate(Shape::new(key.len(), expiry_ms, false, value.len()), key);
        record.put_expiry(expiry_ms);
        record.put_inline(value, encoding);
        record
    }

    /// A string that is an integer.
    pub fn new_int(key: &[u8], value: i64, expiry_ms: Option<i64>) -> Self {
        let mut record = Self::allocate(Shape::new(key.len(), expiry_ms, true, 0), key);
        record.put_expiry(expiry_ms);
        record.put_int(value);
        record
    }

    /// A small collection: at most [`INLINE_PACKED_MAX`] bytes, in the packed form of its type.
    pub fn new_packed(key: &[u8], code: TypeCode, bytes: &[u8], expiry_ms: Option<i64>) -> Self {
        let mut record = Self::allocate(Shape::new(key.len(), expiry_ms, false, bytes.len()), key);
        record.put_expiry(expiry_ms);
        record.put_bytes(bytes, Form::Packed, code);
        record
    }

    /// Any value in its boxed form.
    pub fn new_boxed(key: &[u8], value: Box<Value>, expiry_ms: Option<i64>) -> Self {
        let mut record = Self::allocate(Shape::new(key.len(), expiry_ms, true, 0), key);
        record.put_expiry(expiry_ms);
        record.put_boxed(value);
        record
    }

    /// The same value, expiry and access clock under another key (RENAME, MOVE). A boxed value is moved, not copied.
    #[must_use = "the record has moved"]
    pub fn with_key(mut self, key: &[u8]) -> Self {
        let expiry_ms = self.expiry_ms();
        let record = match self.value() {
            ValueRef::Int(value) => Self::new_int(key, value, expiry_ms),
            ValueRef::Bytes { bytes, encoding } => Self::new_bytes(key, bytes, encoding, expiry_ms),
            ValueRef::Packed { code, bytes } => Self::new_packed(key, code, bytes, expiry_ms),
            ValueRef::Boxed(_) => Self::new_boxed(key, self.take_boxed(), expiry_ms),
        };
        record.set_access(self.access());
        record
    }

    /// A copy of value, expiry and access clock under another key (COPY).
    #[must_use = "the copy is not in a table yet"]
    pub fn copy_to(&self, key: &[u8]) -> Self {
        let expiry_ms = self.expiry_ms();
        let record = match self.value() {
            ValueRef::Int(value) => Self::new_int(key, value, expiry_ms),
            ValueRef::Bytes { bytes, encoding } => Self::new_bytes(key, bytes, encoding, expiry_ms),
            ValueRef::Packed { code, bytes } => Self::new_packed(key, code, bytes, expiry_ms),
            ValueRef::Boxed(value) => Self::new_boxed(key, Box::new(value.clone()), expiry_ms),
        };
        record.set_access(self.access());
        record
    }

    /// The value, if it is boxed; else the record back.
    pub fn into_boxed(mut self) -> Result<Box<Value>, Self> {
        if self.form() == Form::Boxed { Ok(self.take_boxed()) } else { Err(self) }
    }

    #[inline]
    pub fn key(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: the allocation holds `key_len` initialised bytes at `key_offset` from construction on.
        unsafe { slice::from_raw_parts(self.base().add(shape.key_offset()), shape.key_len) }
    }

    #[expect(
        clippy::inline_always,
        reason = "a call per step costs as much as the steps: see ARCHITECTURE.md"
    )]
    #[inline(always)]
    pub fn value(&self) -> ValueRef<'_> {
        match self.form() {
            Form::Int => ValueRef::Int(self.int()),
            Form::Embstr => ValueRef::Bytes { bytes: self.inline(), encoding: StringEncoding::Embstr },
            Form::Raw => ValueRef::Bytes { bytes: self.inline(), encoding: StringEncoding::Raw },
            // SAFETY: in this form the word is a pointer made by Box::into_raw, owned by the record, borrowed with it.
            Form::Boxed => ValueRef::Boxed(unsafe { &*self.boxed() }),
            Form::Packed => ValueRef::Packed { code: self.type_code(), bytes: self.inline() },
        }
    }

    /// The value, if it is boxed. It must keep its type.
    #[inline]
    pub fn boxed_mut(&mut self) -> Option<&mut Value> {
        match self.form() {
            // SAFETY: see `value`; `&mut self` makes the borrow exclusive.
            Form::Boxed => Some(unsafe { &mut *self.boxed() }),
            _ => None,
        }
    }

    /// The bytes of a string, to be changed in place; `None` for integers and other types. The encoding stays what it
    /// is: call [`resize_bytes`](Self::resize_bytes) first, which makes it `raw`.
    #[inline]
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match self.form() {
            Form::Embstr | Form::Raw => {
                let shape = self.shape();
                // SAFETY: `inline_len` initialised bytes follow the key; `&mut self` makes the borrow exclusive.
                Some(unsafe { slice::from_raw_parts_mut(self.inline_start(shape), shape.inline_len) })
            }
            Form::Boxed => match self.boxed_mut() {
                Some(Value::String(string)) => Some(string.as_bytes_mut()),
                _ => None,
            },
            Form::Int | Form::Packed => None,
        }
    }

    #[inline]
    pub fn type_code(&self) -> TypeCode {
        TypeCode::from_code(self.head() as u8 & TYPE_MASK).expect("only codes of types are written")
    }

    /// When the key expires, as unix time in ms.
    #[inline]
    pub fn expiry_ms(&self) -> Option<i64> {
        if self.shape().flags & EXPIRY == 0 {
            return None;
        }
        // SAFETY: with EXPIRY the word after the header is the expiry, aligned as the allocation is.
        Some(unsafe { self.base().add(HEADER).cast::<i64>().read() })
    }

    /// The next time at which something here is due, as unix time in ms: the key itself or a member of its value.
    #[inline]
    pub fn deadline_ms(&self) -> Option<i64> {
        self.deadline_with(self.members_deadline_ms())
    }

    /// The same where the earliest expiry of a member is known.
    #[inline]
    pub(super) fn deadline_with(&self, members_ms: Option<i64>) -> Option<i64> {
        let expiry_ms = self.expiry_ms();
        match members_ms {
            None => expiry_ms,
            Some(members_ms) => Some(expiry_ms.map_or(members_ms, |expiry_ms| expiry_ms.min(members_ms))),
        }
    }

    /// The earliest expiry of a member of the value.
    #[inline]
    pub fn members_deadline_ms(&self) -> Option<i64> {
        match self.form() {
            // SAFETY: see `value`.
            Form::Boxed => unsafe { &*self.boxed() }.earliest_deadline_ms(),
            _ => None,
        }
    }

    /// The 24 bits of the access clock. Their meaning (LRU seconds, or LFU minutes and counter) is the caller's.
    #[inline]
    pub fn access(&self) -> u32 {
        self.first().load(Relaxed) >> 8
    }

    /// Sets the access clock; bits above the 24th are cut off. Needs no exclusive access: readers touch the clock too.
    #[inline]
    pub fn set_access(&self, access: u32) {
        let first = self.first();
        first.store((access & ACCESS_MAX) << 8 | first.load(Relaxed) & 0xff, Relaxed);
    }

    /// True when dropping it takes so long that others would notice: members by the thousand, or a string whose pages
    /// the kernel takes back one by one. O(1).
    pub fn is_slow_to_free(&self) -> bool {
        const MEMBERS_SIZE: usize = 64 * 1024;
        const STRING_SIZE: usize = 16 << 20;
        let most = if self.type_code() == TypeCode::String { STRING_SIZE } else { MEMBERS_SIZE };
        self.heap_size() > most
    }

    /// Bytes of the allocation, plus those of the boxed value. O(1).
    #[inline]
    pub fn heap_size(&self) -> usize {
        let own = self.shape().size();
        match self.value() {
            ValueRef::Boxed(value) => own + size_class(size_of::<Value>()) + value.heap_size(),
            _ => own,
        }
    }

    /// The same key and value with another expiry; in place unless the size class changes.
    #[must_use = "the record may have moved"]
    pub fn with_expiry(mut self, expiry_ms: Option<i64>) -> Self {
        let shape = self.shape();
        if expiry_ms.is_some() == (shape.flags & EXPIRY != 0) {
            self.put_expiry(expiry_ms);
            return self;
        }
        let word = shape.flags & WORD != 0;
        let target = Shape::new(shape.key_len, expiry_ms, word, shape.inline_len);
        let (form, code) = (self.form(), self.type_code());
        let value = if word { self.word() } else { ptr::null_mut() };
        let mut record = self.reshape(target, shape.inline_len);
        record.put_expiry(expiry_ms);
        if word {
            record.put_word(value);
        }
        record.put_form(form, code);
        record
    }

    /// Overwrites an inline string without expiry by another one of the same length; false, and nothing done, for any
    /// other record.
    #[inline]
    pub fn overwrite_bytes(&mut self, value: &[u8], encoding: StringEncoding) -> bool {
        let shape = self.shape();
        let is_inline = matches!(self.form(), Form::Embstr | Form::Raw);
        if !is_inline || shape.flags & EXPIRY != 0 || shape.inline_len != value.len() {
            return false;
        }
        let form = if encoding == StringEncoding::Embstr { Form::Embstr } else { Form::Raw };
        self.put_form(form, TypeCode::String);
        // SAFETY: `inline_len` bytes follow the key, and `value` does not overlap with what is borrowed mutably.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), self.inline_start(shape), value.len()) };
        true
    }

    /// The same key with another string; in place if the size class allows. Boxes like [`new_bytes`](Self::new_bytes).
    #[must_use = "the record may have moved"]
    pub fn replace_bytes(mut self, value: &[u8], encoding: StringEncoding, expiry_ms: Option<i64>) -> Self {
        if value.len() > INLINE_LEN_MAX {
            if let Some(Value::String(string)) = self.boxed_mut() {
                string.assign(value);
                return self.with_expiry(expiry_ms);
            }
            return self.replace_boxed(Box::new(Value::String(LongString::new(value))), expiry_ms);
        }
        let mut record = self.without_value(expiry_ms, false, value.len());
        record.put_inline(value, encoding);
        record
    }

    /// The same key with an integer.
    #[must_use = "the record may have moved"]
    pub fn replace_int(self, value: i64, expiry_ms: Option<i64>) -> Self {
        let mut record = self.without_value(expiry_ms, true, 0);
        record.put_int(value);
        record
    }

    /// The same key and expiry with a small collection, as [`new_packed`](Self::new_packed).
    #[must_use = "the record may have moved"]
    pub fn replace_packed(self, code: TypeCode, bytes: &[u8], expiry_ms: Option<i64>) -> Self {
        let mut record = self.without_value(expiry_ms, false, bytes.len());
        record.put_bytes(bytes, Form::Packed, code);
        record
    }

    /// Overwrites a small value that expires by another of the same size and type, and its expiry: what it was before, or `None`,
    /// and nothing done, for any other record.
    #[inline]
    pub fn overwrite_packed(&mut self, code: TypeCode, bytes: &[u8], expiry_ms: i64) -> Option<i64> {
        let shape = self.shape();
        let is_such = self.form() == Form::Packed && self.type_code() == code;
        if !is_such || shape.flags & EXPIRY == 0 || shape.inline_len != bytes.len() {
            return None;
        }
        let old_ms = self.expiry_ms();
        self.put_expiry(Some(expiry_ms));
        // SAFETY: `inline_len` bytes follow the key, and `bytes` does not overlap with what is borrowed mutably.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.inline_start(shape), bytes.len()) };
        old_ms
    }

    /// The bytes of a small value inside its record, to be changed in place.
    pub fn packed_mut(&mut self) -> Option<&mut [u8]> {
        if self.form() != Form::Packed {
            return None;
        }
        let shape = self.shape();
        // SAFETY: `inline_len` initialised bytes follow the key; `&mut self` makes the borrow exclusive.
        Some(unsafe { slice::from_raw_parts_mut(self.inline_start(shape), shape.inline_len) })
    }

    /// The same key with a boxed value.
    #[must_use = "the record may have moved"]
    pub fn replace_boxed(self, value: Box<Value>, expiry_ms: Option<i64>) -> Self {
        let mut record = self.without_value(expiry_ms, true, 0);
        record.put_boxed(value);
        record
    }

    /// The string at `len` bytes, zero-padded or cut off, with encoding `raw` and the same expiry; an integer becomes
    /// its digits first. Records of other types come back unchanged.
    #[must_use = "the record may have moved"]
    pub fn resize_bytes(self, len: usize) -> Self {
        self.resize_keeping(len, |string| string.resize(len))
    }

    /// The string with `tail` at its end, with encoding `raw` and the same expiry; an integer becomes its digits first.
    /// Records of other types come back unchanged.
    #[must_use = "the record may have moved"]
    pub fn append_bytes(self, tail: &[u8]) -> Self {
        let ValueRef::Bytes { bytes, .. } = self.value() else {
            return match self.value() {
                ValueRef::Int(_) => self.int_to_bytes().append_bytes(tail),
                _ => self.resize_keeping(0, |string| string.append(tail)),
            };
        };
        let old_len = bytes.len();
        let mut record =
            self.resize_keeping(old_len.saturating_add(tail.len()), |string| string.append(tail));
        if record.form() != Form::Boxed {
            record.bytes_mut().expect("appending to bytes gives bytes")[old_len..].copy_from_slice(tail);
        }
        record
    }

    /// An inline string goes to `len` bytes, zero-padded, if that may stay inline. Otherwise it is boxed, and boxed
    /// strings are changed by `change`.
    fn resize_keeping(mut self, len: usize, change: impl FnOnce(&mut LongString)) -> Self {
        let shape = self.shape();
        let expiry_ms = self.expiry_ms();
        match self.form() {
            Form::Int => self.int_to_bytes().resize_keeping(len, change),
            Form::Boxed => {
                let Some(Value::String(string)) = self.boxed_mut() else { return self };
                change(string);
                self
            }
            Form::Packed => self,
            Form::Embstr | Form::Raw if len <= INLINE_LEN_MAX => {
                let keep = shape.inline_len.min(len);
                let mut record = self.reshape(Shape::new(shape.key_len, expiry_ms, false, len), keep);
                record.put_expiry(expiry_ms);
                record.put_form(Form::Raw, TypeCode::String);
                // SAFETY: the allocation has room for `len` bytes behind the key; the first `keep` were moved along.
                unsafe { record.inline_start(record.shape()).add(keep).write_bytes(0, len - keep) };
                record
            }
            Form::Embstr | Form::Raw => {
                let mut string = LongString::new(self.inline());
                change(&mut string);
                self.replace_boxed(Box::new(Value::String(string)), expiry_ms)
            }
        }
    }

    fn int_to_bytes(self) -> Self {
        let mut scratch = [0; INT_LEN_MAX];
        let expiry_ms = self.expiry_ms();
        let digits = format_int(self.int(), &mut scratch);
        self.replace_bytes(digits, StringEncoding::Raw, expiry_ms)
    }

    /// The record with key, access clock and expiry, its old value dropped and room for a new one.
    fn without_value(mut self, expiry_ms: Option<i64>, word: bool, inline_len: usize) -> Self {
        if self.form() == Form::Boxed {
            drop(self.take_boxed());
        }
        let shape = self.shape();
        let mut record = self.reshape(Shape::new(shape.key_len, expiry_ms, word, inline_len), 0);
        record.put_expiry(expiry_ms);
        record
    }

    /// Takes the boxed value and leaves an integer.
    fn take_boxed(&mut self) -> Box<Value> {
        assert!(self.form() == Form::Boxed, "only a boxed value can be taken");
        let value = self.boxed();
        self.put_int(0);
        // SAFETY: the pointer came from Box::into_raw, and the record no longer refers to it.
        unsafe { Box::from_raw(value) }
    }

    /// Puts another boxed value of the same type in the place of the present one, which belongs to the caller from then on:
    /// a pointer made by `Box::into_raw`, which others may be reading through.
    pub(super) fn swap_boxed(&mut self, value: Box<Value>) -> NonNull<Value> {
        assert!(self.form() == Form::Boxed, "only a boxed value can be taken");
        let old = self.boxed();
        self.put_boxed(value);
        // SAFETY: Box::into_raw makes no null pointers.
        unsafe { NonNull::new_unchecked(old) }
    }

    /// The record in another shape, in place if the size class is the same. Keeps the access clock, the key and the
    /// first `keep` bytes of an inline value; the caller writes everything else, the form included. A boxed value is
    /// neither dropped nor kept: the caller has taken its pointer.
    fn reshape(self, target: Shape, keep: usize) -> Self {
        let shape = self.shape();
        let source = ManuallyDrop::new(self).base();
        let (from, to) = (shape.key_offset(), target.key_offset());
        let moved = shape.key_len + keep;
        // SAFETY: `source` is an allocation of `shape.layout()` with at least `from + moved` bytes; the target, be it
        // the same or new, has at least `to + moved`, as `keep` is at most the target's inline length.
        unsafe {
            let base = if shape.size() == target.size() {
                if from != to {
                    ptr::copy(source.add(from), source.add(to), moved);
                }
                source
            } else {
                let base = new_allocation(target);
                base.cast::<u64>().write(source.cast::<u64>().read());
                ptr::copy_nonoverlapping(source.add(from), base.add(to), moved);
                dealloc(source, shape.layout());
                base
            };
            let mut record = Self(NonNull::new_unchecked(base));
            record.put_shape(target);
            record
        }
    }

    /// An allocation of this shape with the key in it; the caller writes expiry and value.
    fn allocate(shape: Shape, key: &[u8]) -> Self {
        // SAFETY: the new allocation has room for the header, and for the key at `key_offset`.
        unsafe {
            let base = new_allocation(shape);
            base.cast::<u32>().write(key.len().min(LONG_KEY_LEN) as u32);
            base.cast::<u32>().add(1).write(0);
            ptr::copy_nonoverlapping(key.as_ptr(), base.add(shape.key_offset()), key.len());
            let mut record = Self(NonNull::new_unchecked(base));
            record.put_shape(shape);
            record
        }
    }

    fn put_shape(&mut self, shape: Shape) {
        let kind = self.head() & 0xff;
        self.put_head(kind | u32::from(shape.flags) << 8 | (shape.inline_len as u32) << 16);
        if shape.flags & LONG_KEY != 0 {
            // SAFETY: with LONG_KEY there is a word for the length between expiry and value.
            unsafe { self.base().add(shape.long_key_offset()).cast::<usize>().write(shape.key_len) };
        }
    }

    /// Writes the expiry of a record whose shape has, or has not, room for it.
    fn put_expiry(&mut self, expiry_ms: Option<i64>) {
        if let Some(expiry_ms) = expiry_ms {
            assert!(self.shape().flags & EXPIRY != 0, "the shape was made for this expiry");
            // SAFETY: just checked that the word is there.
            unsafe { self.base().add(HEADER).cast::<i64>().write(expiry_ms) };
        }
    }

    fn put_inline(&mut self, value: &[u8], encoding: StringEncoding) {
        let form = match encoding {
            StringEncoding::Embstr => Form::Embstr,
            StringEncoding::Raw => Form::Raw,
        };
        self.put_bytes(value, form, TypeCode::String);
    }

    fn put_bytes(&mut self, value: &[u8], form: Form, code: TypeCode) {
        let shape = self.shape();
        assert!(
            shape.flags & WORD == 0 && shape.inline_len == value.len(),
            "the shape was made for this value"
        );
        self.put_form(form, code);
        // SAFETY: the allocation has room for `inline_len` bytes behind the key. `value` may not overlap with it, as it
        // is borrowed while `self` is borrowed mutably.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), self.inline_start(shape), value.len()) };
    }

    fn put_int(&mut self, value: i64) {
        assert!(self.shape().flags & WORD != 0, "the shape was made for a word");
        self.put_form(Form::Int, TypeCode::String);
        // SAFETY: just checked that the word is there.
        unsafe { self.word_start().cast::<i64>().write(value) };
    }

    fn put_boxed(&mut self, value: Box<Value>) {
        let code = value.type_code();
        self.put_word(Box::into_raw(value));
        self.put_form(Form::Boxed, code);
    }

    fn put_word(&mut self, word: *mut Value) {
        assert!(self.shape().flags & WORD != 0, "the shape was made for a word");
        // SAFETY: just checked that the word is there.
        unsafe { self.word_start().cast::<*mut Value>().write(word) };
    }

    fn put_form(&mut self, form: Form, code: TypeCode) {
        self.put_head(self.head() & !0xff | (form as u32) << FORM_SHIFT | code as u32);
    }

    #[inline]
    fn shape(&self) -> Shape {
        let head = self.head();
        let flags = (head >> 8) as u8;
        let mut shape = Shape { flags, key_len: 0, inline_len: (head >> 16) as usize };
        shape.key_len = if flags & LONG_KEY == 0 {
            (self.first().load(Relaxed) & 0xff) as usize
        } else {
            // SAFETY: with LONG_KEY there is a word for the length.
            unsafe { self.base().add(shape.long_key_offset()).cast::<usize>().read() }
        };
        shape
    }

    #[inline]
    fn form(&self) -> Form {
        match self.head() >> FORM_SHIFT & 0x07 {
            0 => Form::Int,
            1 => Form::Embstr,
            2 => Form::Raw,
            3 => Form::Boxed,
            _ => Form::Packed,
        }
    }

    #[inline]
    fn int(&self) -> i64 {
        debug_assert!(self.form() == Form::Int);
        // SAFETY: in this form the word is an integer.
        unsafe { self.word_start().cast::<i64>().read() }
    }

    #[inline]
    fn boxed(&self) -> *mut Value {
        debug_assert!(self.form() == Form::Boxed);
        self.word()
    }

    /// The word as a pointer, be it one or an integer. Reading it as a pointer keeps its provenance.
    #[inline]
    fn word(&self) -> *mut Value {
        // SAFETY: callers have seen WORD, and any initialised eight bytes are a valid raw pointer.
        unsafe { self.word_start().cast::<*mut Value>().read() }
    }

    #[inline]
    fn inline(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: `inline_len` initialised bytes follow the key.
        unsafe { slice::from_raw_parts(self.inline_start(shape), shape.inline_len) }
    }

    /// # Safety
    /// `shape` is that of the record.
    #[inline]
    unsafe fn inline_start(&self, shape: Shape) -> *mut u8 {
        // SAFETY: key and value lie within the allocation.
        unsafe { self.base().add(shape.key_offset() + shape.key_len) }
    }

    /// # Safety
    /// The record has WORD.
    #[inline]
    unsafe fn word_start(&self) -> *mut u8 {
        // SAFETY: the word is the last before the key.
        unsafe { self.base().add(self.shape().key_offset() - WORD_SIZE) }
    }

    #[inline]
    fn first(&self) -> &AtomicU32 {
        // SAFETY: the first word of the allocation is only ever accessed as this atomic once the record is shared.
        unsafe { AtomicU32::from_ptr(self.base().cast()) }
    }

    #[inline]
    fn head(&self) -> u32 {
        // SAFETY: the second word of the allocation is initialised at construction and changes only under `&mut`.
        unsafe { self.base().cast::<u32>().add(1).read() }
    }

    #[inline]
    fn put_head(&mut self, head: u32) {
        // SAFETY: as in `head`.
        unsafe { self.base().cast::<u32>().add(1).write(head) };
    }

    #[inline]
    fn base(&self) -> *mut u8 {
        self.0.as_ptr().map_addr(|address| address & ADDRESS_MASK)
    }

    /// The record with `tag` in the upper bits of its pointer.
    #[inline]
    pub(super) fn tagged(self, tag: u16) -> Self {
        let base = ManuallyDrop::new(self).base();
        let pointer = base.map_addr(|address| address | usize::from(tag) << TAG_SHIFT);
        // SAFETY: setting bits does not make a non-null pointer null.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// The tag last set.
    #[inline]
    pub(super) fn tag(&self) -> u16 {
        (self.0.addr().get() >> TAG_SHIFT) as u16
    }

    /// Where the record lies, for prefetching.
    #[inline]
    pub(super) fn address(&self) -> *const u8 {
        self.base()
    }

    /// Where the record lies, for [`from_pointer`](Self::from_pointer).
    #[inline]
    pub(super) fn pointer(&self) -> NonNull<u8> {
        // SAFETY: the address of an allocation is not null.
        unsafe { NonNull::new_unchecked(self.base()) }
    }

    /// A second owner of the record at `pointer`.
    ///
    /// # Safety
    /// The record exists, and only one of its owners is dropped or changed.
    #[inline]
    pub(super) unsafe fn from_pointer(pointer: NonNull<u8>) -> Self {
        Self(pointer)
    }
}

fn new_allocation(shape: Shape) -> *mut u8 {
    let layout = shape.layout();
    // SAFETY: the layout is never empty, there is a header at least.
    let base = unsafe { alloc(layout) };
    if base.is_null() {
        handle_alloc_error(layout);
    }
    assert!(base.addr() <= ADDRESS_MASK, "user space addresses have 48 bits");
    base
}

impl Drop for Record {
    fn drop(&mut self) {
        let layout = self.shape().layout();
        if self.form() == Form::Boxed {
            // SAFETY: the pointer came from Box::into_raw and is not used again.
            drop(unsafe { Box::from_raw(self.boxed()) });
        }
        // SAFETY: the allocation was made with the layout its header describes.
        unsafe { dealloc(self.base(), layout) };
    }
}

// SAFETY: a record owns its allocation and its boxed value, which is Send.
unsafe impl Send for Record where Value: Send {}

// SAFETY: shared access only reads, except for the access clock, which is atomic.
unsafe impl Sync for Record where Value: Sync {}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("key", &self.key().escape_ascii().to_string())
            .field("value", &self.value())
            .field("expiry_ms", &self.expiry_ms())
            .finish()
    }
}
