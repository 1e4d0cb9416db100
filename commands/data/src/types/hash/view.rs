//! A hash to read from.

use super::{IS_TABLE, timed::TimedFields};
use crate::keyspace::{Record, ValueRef};
use crate::types::{
    members::{Members, NEVER_MS},
    packed::{Item, PackedRef},
    sample::{Random, below, choose},
};
use crate::value::Value;

/// A hash to read from, wherever it is.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Fields and values in turn.
    Packed { pairs: PackedRef<'a>, is_table: bool },
    /// Fields, values and deadlines in turn.
    Timed(&'a TimedFields),
    /// Records.
    Table(&'a Members),
}

/// A field. The items of a large hash are bytes, also those that are the decimal form of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: Item<'a>,
    pub value: Item<'a>,
    /// Unix time in ms.
    pub deadline_ms: Option<i64>,
}

impl<'a> HashRef<'a> {
    #[inline]
    pub(super) fn packed(bytes: &'a [u8]) -> Self {
        match bytes {
            [prefix, pairs @ ..] => {
                Self::Packed { pairs: PackedRef::new(pairs), is_table: *prefix == IS_TABLE[0] }
            }
            [] => Self::Packed { pairs: PackedRef::new(&[]), is_table: false },
        }
    }

    /// What OBJECT ENCODING answers.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Self::Packed { is_table: false, .. } => "listpack",
            Self::Timed(_) => "listpackex",
            Self::Packed { is_table: true, .. } | Self::Table(_) => "hashtable",
        }
    }

    /// Number of fields.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed { pairs, .. } => pairs.len() / 2,
            Self::Timed(fields) => fields.len(),
            Self::Table(fields) => fields.len(),
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a field. O(1), or O(size) while the hash is small.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Item<'a>> {
        match self {
            Self::Packed { pairs, .. } => pairs.find(field, 1).map(|pos| pairs.item(pairs.after(pos))),
            Self::Timed(fields) => fields.get(field).map(|(value, _)| value),
            Self::Table(fields) => fields.get(field).map(value_of),
        }
    }

    pub fn contains(self, field: &[u8]) -> bool {
        match self {
            Self::Packed { pairs, .. } => pairs.find(field, 1).is_some(),
            Self::Timed(fields) => fields.get(field).is_some(),
            Self::Table(fields) => fields.contains(field),
        }
    }

    /// When a field is due, as unix time in ms, [`NEVER_MS`] if it has no deadline; `None` without such a field.
    pub fn deadline_ms(self, field: &[u8]) -> Option<i64> {
        match self {
            Self::Packed { .. } => self.contains(field).then_some(NEVER_MS),
            Self::Timed(fields) => fields.get(field).map(|(_, deadline_ms)| deadline_ms.unwrap_or(NEVER_MS)),
            Self::Table(fields) => fields.deadline_ms(field),
        }
    }

    /// All fields: of a small hash in the order in which they were added, of a large one in no particular order.
    pub fn iter(self) -> impl Iterator<Item = Field<'a>> {
        let (mut packed, mut timed, mut table) = (None, None, None);
        match self {
            Self::Packed { pairs, .. } => packed = Some(pairs.iter()),
            Self::Timed(fields) => timed = Some(fields.iter()),
            Self::Table(fields) => table = Some(fields.iter()),
        }
        let packed = packed.into_iter().flat_map(|mut items| {
            std::iter::from_fn(move || {
                Some(Field { name: items.next()?, value: items.next()?, deadline_ms: None })
            })
        });
        let timed = timed.into_iter().flatten();
        let timed = timed.map(|(name, value, deadline_ms)| Field { name, value, deadline_ms });
        packed.chain(timed).chain(table.into_iter().flatten().map(field_of))
    }

    /// Calls `visit` with `count` fields chosen at random, each as likely as any other at every time, unless `visit`
    /// returns false; not at all if there are no fields. O(count), and O(size) while the hash is small.
    pub fn draw(self, count: usize, random: Random, mut visit: impl FnMut(Field) -> bool) {
        if self.is_empty() {
            return;
        }
        match self {
            Self::Table(fields) => {
                for _ in 0..count {
                    let Some(record) = fields.random(random) else { return };
                    if !visit(field_of(record)) {
                        return;
                    }
                }
            }
            Self::Packed { pairs, .. } if count == 1 => {
                let pos = pairs.position(2 * below(self.len(), random)).unwrap_or_default();
                let value = pairs.item(pairs.after(pos));
                visit(Field { name: pairs.item(pos), value, deadline_ms: None });
            }
            Self::Packed { .. } | Self::Timed(_) => {
                let fields = self.iter().collect::<Vec<_>>();
                for _ in 0..count {
                    if !visit(fields[below(fields.len(), random)]) {
                        return;
                    }
                }
            }
        }
    }

    /// Calls `visit` with `count` different fields chosen at random, or with all if there are not as many. Every set of
    /// fields is as likely as any other. O(count) for few of many fields, else O(fields).
    pub fn sample(self, count: usize, random: Random, mut visit: impl FnMut(Field)) {
        if let Self::Table(fields) = self {
            return fields.sample(count, random, |record| visit(field_of(record)));
        }
        let mut fields = self.iter();
        let mut passed = 0;
        choose(self.len(), count, random, |number| {
            visit(fields.nth(number - passed).expect("as many fields as were counted"));
            passed = number + 1;
        });
    }

    /// One step of a scan, as [`Members::scan`]: visits about `count` fields and returns where to go on. A small hash is
    /// visited as a whole.
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(Field)) -> u64 {
        match self {
            Self::Table(fields) => fields.scan(cursor, count, &mut |record| visit(field_of(record))),
            Self::Packed { .. } | Self::Timed(_) => {
                self.iter().for_each(visit);
                0
            }
        }
    }
}

fn field_of(record: &Record) -> Field<'_> {
    Field { name: Item::Bytes(record.key()), value: value_of(record), deadline_ms: record.expiry_ms() }
}

#[inline]
fn value_of(record: &Record) -> Item<'_> {
    match record.value() {
        ValueRef::Bytes { bytes, .. } => Item::Bytes(bytes),
        ValueRef::Boxed(Value::String(string)) => Item::Bytes(string.as_bytes()),
        ValueRef::Int(value) => Item::Int(value),
        ValueRef::Packed { .. } | ValueRef::Boxed(_) => unreachable!("the value of a field is a string"),
    }
}
