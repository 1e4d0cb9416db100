//! What every value with members is to the keyspace: lists, hashes, sets, sorted sets, streams.
//!
//! A small one may live *inline*, as its packed bytes in the key's record; everything else is boxed as a
//! [`Value`](crate::Value). Reading never copies; for a write the inline bytes are copied out, and back when the write is done.

use crate::keyspace::size_class;
use crate::value::{Boxed, TypeCode};

/// A value with members.
pub trait Collection: Default + Boxed + 'static {
    /// The type of the key.
    const TYPE: TypeCode;

    /// What reading needs: packed bytes, or a reference to the large form.
    type Ref<'a>: Copy;

    /// The value for reading.
    fn view(&self) -> Self::Ref<'_>;

    /// The value for reading, from the bytes [`into_inline`](Self::into_inline) gave.
    fn inline_view(bytes: &[u8]) -> Self::Ref<'_>;

    /// The value for writing, from the bytes [`into_inline`](Self::into_inline) gave.
    fn from_inline(bytes: Vec<u8>) -> Self;

    /// The packed bytes if the value is in a form that may live inside a record, whatever its size; else the value
    /// back.
    fn into_inline(self) -> Result<Vec<u8>, Self>;

    /// True when the key is to leave the keyspace. A stream is never empty in this sense.
    fn is_empty(&self) -> bool;

    /// Bytes of all allocations behind it. O(1).
    fn heap_size(&self) -> usize;

    /// What OBJECT ENCODING answers.
    fn encoding_name(view: Self::Ref<'_>) -> &'static str;

    /// The earliest deadline of a member, as unix time in ms. O(1). A value that has one never lives inline.
    fn earliest_deadline_ms(&self) -> Option<i64> {
        None
    }

    /// Removes at most `limit` members whose deadline lies before `now_ms`, and names them to `removed`.
    fn remove_due(&mut self, _now_ms: i64, _limit: usize, _removed: &mut dyn FnMut(&[u8])) {}
}

/// A collection that never lives inside a record and stays when it has nothing in it: a stream has groups and counters, a
/// sketch its shape.
pub trait AlwaysBoxed: Default + Boxed + 'static {
    /// The type of the key.
    const CODE: TypeCode;

    /// What OBJECT ENCODING answers.
    const ENCODING: &'static str;

    /// Bytes of all allocations behind it. O(1).
    fn size_behind(&self) -> usize;

    /// True when the key is to leave the keyspace after all.
    fn is_over(&self) -> bool {
        false
    }
}

impl<T: AlwaysBoxed> Collection for T {
    const TYPE: TypeCode = T::CODE;
    type Ref<'a> = &'a T;

    fn view(&self) -> &T {
        self
    }

    fn inline_view(_: &[u8]) -> &T {
        unreachable!("{} never lives inside a record", T::ENCODING)
    }

    fn from_inline(_: Vec<u8>) -> Self {
        unreachable!("{} never lives inside a record", T::ENCODING)
    }

    fn into_inline(self) -> Result<Vec<u8>, Self> {
        Err(self)
    }

    fn is_empty(&self) -> bool {
        self.is_over()
    }

    fn heap_size(&self) -> usize {
        self.size_behind()
    }

    fn encoding_name(_: &T) -> &'static str {
        T::ENCODING
    }
}

/// Bytes of all allocations of a `BTreeMap` with `len` entries, about: a tree cannot be asked. Its nodes have room for
/// 11, of which 6 are used when entries come in ascending order.
pub(crate) fn btree_size<K, V>(len: usize) -> usize {
    const ROOM: usize = 11;
    const USED: usize = 6;
    const LINKS: usize = 16;
    const CHILDREN: usize = 12 * size_of::<usize>();
    if len == 0 {
        return 0;
    }
    let leaf = size_class(ROOM * (size_of::<K>() + size_of::<V>()) + LINKS);
    let leaves = if len <= ROOM { 1 } else { len.div_ceil(USED) };
    leaves * leaf + (leaves / USED) * CHILDREN
}

/// The simplest collection, for tests of the keyspace: distinct bytes, each with or without a deadline.
#[cfg(test)]
pub(crate) mod probe {
    use super::{Collection, TypeCode};

    /// Packed until a member gets a deadline.
    #[derive(Clone, Debug, PartialEq)]
    pub enum Probe {
        Packed(Vec<u8>),
        Timed(Vec<(u8, i64)>),
    }

    impl Default for Probe {
        fn default() -> Self {
            Self::Packed(Vec::new())
        }
    }

    impl Probe {
        pub(crate) fn add(&mut self, member: u8, deadline_ms: Option<i64>) {
            if let (Self::Packed(members), Some(_)) = (&*self, deadline_ms) {
                *self = Self::Timed(members.iter().map(|member| (*member, i64::MAX)).collect());
            }
            match self {
                Self::Packed(members) => members.push(member),
                Self::Timed(members) => members.push((member, deadline_ms.unwrap_or(i64::MAX))),
            }
        }

        pub(crate) fn clear(&mut self) {
            *self = Self::default();
        }
    }

    impl Collection for Probe {
        const TYPE: TypeCode = TypeCode::Stream;
        type Ref<'a> = usize;

        fn view(&self) -> usize {
            match self {
                Self::Packed(members) => members.len(),
                Self::Timed(members) => members.len(),
            }
        }

        fn inline_view(bytes: &[u8]) -> usize {
            bytes.len()
        }

        fn from_inline(bytes: Vec<u8>) -> Self {
            Self::Packed(bytes)
        }

        fn into_inline(self) -> Result<Vec<u8>, Self> {
            if let Self::Packed(members) = self { Ok(members) } else { Err(self) }
        }

        fn is_empty(&self) -> bool {
            self.view() == 0
        }

        fn heap_size(&self) -> usize {
            match self {
                Self::Packed(members) => members.capacity(),
                Self::Timed(members) => members.capacity() * 16,
            }
        }

        fn encoding_name(_: usize) -> &'static str {
            "probe"
        }

        fn earliest_deadline_ms(&self) -> Option<i64> {
            let Self::Timed(members) = self else { return None };
            members.iter().map(|(_, deadline_ms)| *deadline_ms).min().filter(|ms| *ms < i64::MAX)
        }

        fn remove_due(&mut self, now_ms: i64, limit: usize, removed: &mut dyn FnMut(&[u8])) {
            let Self::Timed(members) = self else { return };
            let mut left = limit;
            members.retain(|(member, deadline_ms)| {
                let goes = *deadline_ms < now_ms && left > 0;
                if goes {
                    left -= 1;
                    removed(&[*member]);
                }
                !goes
            });
        }
    }
}
