//! The numbers of the encodings: the byte before a value.

use crate::value::TypeCode;

pub const STRING: u8 = 0;
pub const LIST: u8 = 1;
pub const SET: u8 = 2;
/// Scores as text.
pub const ZSET: u8 = 3;
pub const HASH: u8 = 4;
/// Scores as doubles.
pub const ZSET_2: u8 = 5;
/// Release candidates of Redis 4.0 only.
pub const MODULE: u8 = 6;
pub const MODULE_2: u8 = 7;
pub const HASH_ZIPMAP: u8 = 9;
pub const LIST_ZIPLIST: u8 = 10;
pub const SET_INTSET: u8 = 11;
pub const ZSET_ZIPLIST: u8 = 12;
pub const HASH_ZIPLIST: u8 = 13;
/// Nodes are ziplists.
pub const LIST_QUICKLIST: u8 = 14;
pub const STREAM_LISTPACKS: u8 = 15;
pub const HASH_LISTPACK: u8 = 16;
pub const ZSET_LISTPACK: u8 = 17;
/// Nodes are listpacks or plain elements.
pub const LIST_QUICKLIST_2: u8 = 18;
pub const STREAM_LISTPACKS_2: u8 = 19;
pub const SET_LISTPACK: u8 = 20;
pub const STREAM_LISTPACKS_3: u8 = 21;
/// Fields with deadlines: of Valkey 9, or of release candidates of Redis 7.4.
pub const HASH_22: u8 = 22;
/// Release candidates of Redis 7.4 only.
pub const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
/// Fields with deadlines, Redis 7.4.
pub const HASH_METADATA: u8 = 24;
/// Packed fields with deadlines, Redis 7.4.
pub const HASH_LISTPACK_EX: u8 = 25;

/// The first of the encodings from which on Redis has opcodes and Tidegate encodings of its own. Redis counts its
/// encodings upwards from 0 and its opcodes downwards from 255; these are in between, and mean nothing to it.
///
/// A set whose members have deadlines: `n, (member, deadline)*n`, the deadline in eight bytes, -1 for none.
pub const OWN_SET: u8 = 200;
/// A sorted set whose members have deadlines: `n, (member, score, deadline)*n`, the score in eight bytes.
pub const OWN_ZSET: u8 = 201;
/// A stream with more than Redis 7.0 can hold; see `stream`.
pub const OWN_STREAM: u8 = 202;

/// Who wrote the bytes, where the same number means two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    #[default]
    Redis,
    Valkey,
}

impl Dialect {
    /// The first version of the format that is Valkey's own.
    const VALKEY: u32 = 80;

    /// The dialect of a version of the format.
    pub fn of_version(version: u32) -> Self {
        if version >= Self::VALKEY { Dialect::Valkey } else { Dialect::Redis }
    }
}

/// The type of a value in this encoding; `None` for modules and unknown ones.
pub fn type_of(code: u8) -> Option<TypeCode> {
    Some(match code {
        STRING => TypeCode::String,
        LIST | LIST_ZIPLIST | LIST_QUICKLIST | LIST_QUICKLIST_2 => TypeCode::List,
        SET | SET_INTSET | SET_LISTPACK | OWN_SET => TypeCode::Set,
        ZSET | ZSET_2 | ZSET_ZIPLIST | ZSET_LISTPACK | OWN_ZSET => TypeCode::Zset,
        HASH
        | HASH_ZIPMAP
        | HASH_ZIPLIST
        | HASH_LISTPACK
        | HASH_22
        | HASH_LISTPACK_EX_PRE_GA
        | HASH_METADATA
        | HASH_LISTPACK_EX => TypeCode::Hash,
        STREAM_LISTPACKS | STREAM_LISTPACKS_2 | STREAM_LISTPACKS_3 | OWN_STREAM => TypeCode::Stream,
        _ => return None,
    })
}
