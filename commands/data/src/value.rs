//! The types of values: their codes, the names TYPE and OBJECT ENCODING answer, and the enum of all structures that
//! live outside a record. A new type is one line in each list here.

use crate::types::string::LongString;

/// What kind of value a key holds. The code is stored in four bits of a record, so there can be 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TypeCode {
    String = 0,
    List = 1,
    Set = 2,
    Zset = 3,
    Hash = 4,
    Stream = 5,
}

impl TypeCode {
    /// All types, in the order of their codes.
    pub const ALL: [Self; 6] = [Self::String, Self::List, Self::Set, Self::Zset, Self::Hash, Self::Stream];

    /// What TYPE answers for a key of this type, and what SCAN's TYPE option compares with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Zset => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }

    /// The type with this code, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        if (code as usize) < Self::ALL.len() { Some(Self::ALL[code as usize]) } else { None }
    }
}

const _: () = {
    let mut code = 0;
    while code < TypeCode::ALL.len() {
        assert!(TypeCode::ALL[code] as usize == code, "ALL is in the order of the codes");
        code += 1;
    }
    assert!(TypeCode::ALL.len() <= 16, "a record has four bits for the type");
};

/// How OBJECT ENCODING calls a string that is not an integer. Sticky: an `embstr` that was changed in place stays `raw`
/// until it is set anew, however short it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringEncoding {
    Embstr,
    Raw,
}

impl StringEncoding {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embstr => "embstr",
            Self::Raw => "raw",
        }
    }
}

/// A value that does not fit into its record. Short strings and integers never take this form.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    String(LongString),
}

impl Value {
    pub const fn type_code(&self) -> TypeCode {
        match self {
            Self::String(_) => TypeCode::String,
        }
    }

    /// What OBJECT ENCODING answers.
    pub const fn encoding_name(&self) -> &'static str {
        match self {
            Self::String(_) => StringEncoding::Raw.name(),
        }
    }

    /// Bytes of all allocations behind the value, `size_of::<Value>()` not included. O(1) for every type: it is asked
    /// before and after each change.
    pub fn heap_size(&self) -> usize {
        match self {
            Self::String(string) => string.heap_size(),
        }
    }
}

const _: () = assert!(size_of::<Value>() <= 32, "a boxed value takes a small size class");
