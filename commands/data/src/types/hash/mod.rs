//! Hashes: fields with values, and possibly with deadlines.
//!
//! | Form     | What it is                                                   | OBJECT ENCODING             |
//! |----------|--------------------------------------------------------------|-----------------------------|
//! | `Packed` | field, value, field, value ... in one piece of memory        | `listpack` or `hashtable`   |
//! | `Timed`  | the same with the deadline of each field after its value     | `listpackex`                |
//! | `Table`  | a table of records                                           | `hashtable`                 |
//!
//! What the encoding is called follows Redis: a hash that has outgrown the limits for a listpack is a `hashtable` for
//! good. How it is stored does not: a few fields, one of them long, are smaller and no slower in one piece, so a
//! `hashtable` stays packed until it is really large.

mod timed;
mod view;

use timed::TimedFields;
pub use view::{Field, HashRef};

use super::{
    collection::Collection,
    members::Members,
    packed::{Item, PACKED_LEN_MAX, Packed},
    string::INT_LEN_MAX,
};
use crate::keyspace::Expiry;
use crate::value::TypeCode;

/// Fields of a packed hash that reports itself as `hashtable`.
const PACKED_TABLE_LEN_MAX: usize = 64;

/// Bytes of a packed hash that reports itself as `hashtable`.
const PACKED_TABLE_SIZE_MAX: usize = 4096;

/// The byte before a packed hash: it reports itself as `listpack` or as `hashtable`.
const IS_LISTPACK: [u8; 1] = [0];
const IS_TABLE: [u8; 1] = [1];

/// A hash to be changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Hash {
    /// Fields and values in turn.
    Packed(Packed<1>),
    /// Fields, values and deadlines in turn.
    Timed(Box<TimedFields>),
    /// Records.
    Table(Box<Members>),
}

/// Up to which size a hash is a listpack: the directives `hash-max-listpack-...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashLimits {
    /// Number of fields.
    pub entries: usize,
    /// Bytes of a field or a value.
    pub value: usize,
}

/// Most fields of as many items that fit into one piece, one less so that another can be added before it is too long.
const fn fields_max(items: usize) -> usize {
    PACKED_LEN_MAX / items - 1
}

/// The deadline that is kept for a field. All up to 1970 have passed alike, and are the same in every form: 0 stands for
/// none where deadlines are packed, and what is saved counts from the earliest.
fn kept_ms(deadline_ms: i64) -> i64 {
    deadline_ms.max(1)
}

impl Hash {
    /// Sets the value of a field; true when the field is new. Its deadline is removed, unless it is to be kept.
    pub fn set(&mut self, field: &[u8], value: &[u8], deadline: Expiry, limits: HashLimits) -> bool {
        let deadline = match deadline {
            Expiry::At(deadline_ms) => Expiry::At(kept_ms(deadline_ms)),
            other => other,
        };
        let is_long = field.len() > limits.value || value.len() > limits.value;
        if is_long {
            self.outgrow(field.len().saturating_add(value.len()));
        }
        let had_deadlines = !matches!(self, Self::Packed(_));
        let is_new = match self {
            Self::Packed(fields) => set_packed(fields, field, Item::from(value)),
            Self::Timed(fields) => fields.set(field, Item::from(value), deadline),
            Self::Table(fields) => fields.put_bytes(field, value, deadline),
        };
        if is_new || is_long {
            self.check_len(limits);
        }
        if let (false, Expiry::At(deadline_ms)) = (had_deadlines, deadline) {
            self.set_deadline(field, Some(deadline_ms));
        }
        is_new
    }

    /// Removes a field; false when there is none.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Self::Packed(fields) => match fields.view().find(field, 1) {
                Some(pos) => fields.remove(pos, 2) > 0,
                None => false,
            },
            Self::Timed(fields) => fields.remove(field),
            Self::Table(fields) => fields.remove(field).is_some(),
        }
    }

    /// Sets or removes the deadline of a field, unix time in ms; false when there is no such field.
    pub fn set_deadline(&mut self, field: &[u8], deadline_ms: Option<i64>) -> bool {
        let deadline_ms = deadline_ms.map(kept_ms);
        if let Self::Packed(fields) = self {
            if deadline_ms.is_none() || fields.view().find(field, 1).is_none() {
                return fields.view().find(field, 1).is_some();
            }
            if fields.prefix() == IS_LISTPACK && fields.len() / 2 <= fields_max(3) {
                *self = Self::Timed(Box::new(TimedFields::from_untimed(fields.view())));
            } else {
                self.make_table();
            }
        }
        match self {
            Self::Packed(_) => unreachable!("it was just converted"),
            Self::Timed(fields) => fields.set_deadline(field, deadline_ms),
            Self::Table(fields) => fields.set_deadline(field, deadline_ms),
        }
    }

    /// Becomes a `hashtable` if it has more fields than a listpack may have, and a real one if it is large.
    fn check_len(&mut self, limits: HashLimits) {
        let is_too_long = match self {
            Self::Packed(fields) if fields.prefix() == IS_LISTPACK => {
                fields.len() / 2 > limits.entries.min(fields_max(2))
            }
            Self::Packed(_) => true,
            Self::Timed(fields) => fields.len() > limits.entries.min(fields_max(3)),
            Self::Table(_) => false,
        };
        if is_too_long {
            self.outgrow(0);
        }
    }

    /// It is a `hashtable` from now on, and is about to grow by `more` bytes.
    fn outgrow(&mut self, more: usize) {
        match self {
            Self::Packed(fields)
                if fields.len() <= 2 * PACKED_TABLE_LEN_MAX
                    && fields.view().size().saturating_add(more) <= PACKED_TABLE_SIZE_MAX =>
            {
                fields.set_prefix(IS_TABLE);
            }
            Self::Packed(_) | Self::Timed(_) => self.make_table(),
            Self::Table(_) => {}
        }
    }

    fn make_table(&mut self) {
        let mut table = Members::new();
        let mut scratch = [[0; INT_LEN_MAX]; 2];
        for Field { name, value, deadline_ms } in self.view().iter() {
            let [name_scratch, value_scratch] = &mut scratch;
            let deadline = deadline_ms.map_or(Expiry::Clear, Expiry::At);
            table.put_bytes(name.bytes(name_scratch), value.bytes(value_scratch), deadline);
        }
        *self = Self::Table(Box::new(table));
    }
}

fn set_packed(fields: &mut Packed<1>, field: &[u8], value: Item) -> bool {
    let name = Item::from(field);
    let Some(pos) = fields.view().find(name, 1) else {
        fields.push_back(name);
        fields.push_back(value);
        return true;
    };
    let pos = fields.view().after(pos);
    fields.replace(pos, value);
    false
}

impl Default for Hash {
    fn default() -> Self {
        Self::Packed(Packed::default())
    }
}

impl Collection for Hash {
    const TYPE: TypeCode = TypeCode::Hash;
    type Ref<'a> = HashRef<'a>;

    #[inline]
    fn view(&self) -> HashRef<'_> {
        match self {
            Self::Packed(fields) => HashRef::packed(fields.as_bytes()),
            Self::Timed(fields) => HashRef::Timed(fields),
            Self::Table(fields) => HashRef::Table(fields),
        }
    }

    #[inline]
    fn inline_view(bytes: &[u8]) -> HashRef<'_> {
        HashRef::packed(bytes)
    }

    fn from_inline(bytes: Vec<u8>) -> Self {
        Self::Packed(Packed::from_bytes(bytes))
    }

    fn into_inline(self) -> Result<Vec<u8>, Self> {
        match self {
            Self::Packed(fields) => Ok(fields.into_bytes()),
            other => Err(other),
        }
    }

    fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    fn heap_size(&self) -> usize {
        match self {
            Self::Packed(fields) => fields.heap_size(),
            Self::Timed(fields) => fields.heap_size(),
            Self::Table(fields) => fields.heap_size(),
        }
    }

    fn encoding_name(view: HashRef<'_>) -> &'static str {
        view.encoding_name()
    }

    fn earliest_deadline_ms(&self) -> Option<i64> {
        match self {
            Self::Packed(_) => None,
            Self::Timed(fields) => fields.earliest_deadline_ms(),
            Self::Table(fields) => fields.earliest_deadline_ms(),
        }
    }

    fn remove_due(&mut self, now_ms: i64, limit: usize, removed: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Packed(_) => {}
            Self::Timed(fields) => fields.remove_due(now_ms, limit, removed),
            Self::Table(fields) => {
                fields.remove_due(now_ms, limit, &mut |record| removed(record.key()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
