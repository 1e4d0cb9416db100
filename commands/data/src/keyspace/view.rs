//! A value by its type, however and wherever it is kept: for those who walk over all of it, as whoever writes files.

use super::ValueRef;
use crate::types::collection::Collection;
use crate::types::hash::{Hash, HashRef};
use crate::types::list::{List, ListRef};
use crate::types::native::NativeRef;
use crate::types::set::{Set, SetRef};
use crate::types::stream::Stream;
use crate::types::zset::{Zset, ZsetRef};
use crate::value::{TypeCode, Value};

/// A value, however it is kept.
#[derive(Clone, Copy)]
pub enum View<'a> {
    /// A string that is an integer.
    Int(i64),
    /// Any other string.
    Bytes(&'a [u8]),
    List(ListRef<'a>),
    Set(SetRef<'a>),
    Zset(ZsetRef<'a>),
    Hash(HashRef<'a>),
    Stream(&'a Stream),
    /// A type of our own.
    Native(NativeRef<'a>),
}

impl<'a> View<'a> {
    /// The view of a value. O(1).
    pub fn of(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Int(value) => View::Int(value),
            ValueRef::Bytes { bytes, .. } => View::Bytes(bytes),
            ValueRef::Packed { code, bytes } => match code {
                TypeCode::List => View::List(List::inline_view(bytes)),
                TypeCode::Set => View::Set(Set::inline_view(bytes)),
                TypeCode::Zset => View::Zset(Zset::inline_view(bytes)),
                TypeCode::Hash => View::Hash(Hash::inline_view(bytes)),
                _ => View::Native(NativeRef::of_packed(code, bytes)),
            },
            ValueRef::Boxed(Value::String(string)) => View::Bytes(string.as_bytes()),
            ValueRef::Boxed(Value::List(list)) => View::List(list.view()),
            ValueRef::Boxed(Value::Set(set)) => View::Set(set.view()),
            ValueRef::Boxed(Value::Zset(zset)) => View::Zset(zset.view()),
            ValueRef::Boxed(Value::Hash(hash)) => View::Hash(hash.view()),
            ValueRef::Boxed(Value::Stream(stream)) => View::Stream(stream),
            ValueRef::Boxed(value) => View::Native(NativeRef::of_boxed(value)),
        }
    }
}
