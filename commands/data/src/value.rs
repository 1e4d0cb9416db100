//! The types of values: their codes, the names TYPE and OBJECT ENCODING answer, and the enum of all structures that
//! live outside a record. A new type is one line in each list here.

use crate::types::{collection::Collection, stream::Stream, string::LongString};

/// What kind of value a key holds. The code is stored in five bits of a record, so there can be 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TypeCode {
    String = 0,
    List = 1,
    Set = 2,
    Zset = 3,
    Hash = 4,
    Stream = 5,
    /// `RL.*`
    RateLimit = 6,
    /// `CTR.*`
    Counter = 7,
    /// `SEQ.*`
    Sequence = 8,
    /// `UNIQ.*`
    Uniq = 9,
    /// `BF.*`
    Bloom = 10,
    /// `CF.*`
    Cuckoo = 11,
    /// `CMS.*`
    Cms = 12,
    /// `TOPK.*`
    TopK = 13,
    /// `TDIGEST.*`
    TDigest = 14,
    /// `CB.*`
    Breaker = 15,
    /// `CACHE.*`
    Cache = 16,
    /// `LOCK.*`
    Lock = 17,
    /// `IDEM.*`
    Idem = 18,
    /// `XQUEUE.*`
    Queue = 19,
}

impl TypeCode {
    /// All types, in the order of their codes.
    pub const ALL: [Self; 20] = [
        Self::String,
        Self::List,
        Self::Set,
        Self::Zset,
        Self::Hash,
        Self::Stream,
        Self::RateLimit,
        Self::Counter,
        Self::Sequence,
        Self::Uniq,
        Self::Bloom,
        Self::Cuckoo,
        Self::Cms,
        Self::TopK,
        Self::TDigest,
        Self::Breaker,
        Self::Cache,
        Self::Lock,
        Self::Idem,
        Self::Queue,
    ];

    /// What TYPE answers for a key of this type, and what SCAN's TYPE option compares with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Zset => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
            Self::RateLimit => "ratelimit",
            Self::Counter => "counter",
            Self::Sequence => "seq",
            Self::Uniq => "uniq",
            Self::Bloom => "MBbloom--",
            Self::Cuckoo => "MBbloomCF",
            Self::Cms => "CMSk-TYPE",
            Self::TopK => "TopK-TYPE",
            Self::TDigest => "TDIS-TYPE",
            Self::Breaker => "breaker",
            Self::Cache => "cache",
            Self::Lock => "lock",
            Self::Idem => "idem",
            Self::Queue => "xqueue",
        }
    }

    /// Keys of this type are never evicted, unless `evict-durable` says so: to lose one is to lose what somebody relies on,
    /// not a copy of it.
    pub const fn is_durable(self) -> bool {
        match self {
            Self::String
            | Self::List
            | Self::Set
            | Self::Zset
            | Self::Hash
            | Self::Stream
            | Self::RateLimit
            | Self::Counter
            | Self::Breaker
            | Self::Cache => false,
            Self::Sequence
            | Self::Uniq
            | Self::Bloom
            | Self::Cuckoo
            | Self::Cms
            | Self::TopK
            | Self::TDigest
            | Self::Lock
            | Self::Idem
            | Self::Queue => true,
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
    assert!(TypeCode::ALL.len() <= 32, "a record has five bits for the type");
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

/// The enum of all structures and what depends on which of them it is: one line per type at the end of this file.
macro_rules! values {
    ($($(#[$attribute:meta])* $name:ident($structure:ty)),* $(,)?) => {
        /// A value that does not fit into its record. Short strings and integers, and small collections, never take
        /// this form.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Value {
            String(LongString),
            $($(#[$attribute])* $name($structure),)*
        }

        impl Value {
            pub const fn type_code(&self) -> TypeCode {
                match self {
                    Self::String(_) => TypeCode::String,
                    $($(#[$attribute])* Self::$name(_) => <$structure>::TYPE,)*
                }
            }

            /// What OBJECT ENCODING answers.
            pub fn encoding_name(&self) -> &'static str {
                match self {
                    Self::String(_) => StringEncoding::Raw.name(),
                    $($(#[$attribute])* Self::$name(value) => <$structure>::encoding_name(value.view()),)*
                }
            }

            /// Bytes of all allocations behind the value, `size_of::<Value>()` not included. O(1) for every type: it
            /// is asked before and after each change.
            pub fn heap_size(&self) -> usize {
                match self {
                    Self::String(string) => string.heap_size(),
                    $($(#[$attribute])* Self::$name(value) => value.heap_size(),)*
                }
            }

            /// The earliest deadline of a member, as unix time in ms. O(1).
            pub fn earliest_deadline_ms(&self) -> Option<i64> {
                match self {
                    Self::String(_) => None,
                    $($(#[$attribute])* Self::$name(value) => value.earliest_deadline_ms(),)*
                }
            }

            /// Removes at most `limit` members whose deadline lies before `now_ms`, and names them to `removed`.
            pub fn remove_due(&mut self, now_ms: i64, limit: usize, removed: &mut dyn FnMut(&[u8])) {
                match self {
                    Self::String(_) => {}
                    $($(#[$attribute])* Self::$name(value) => value.remove_due(now_ms, limit, removed),)*
                }
            }

            /// True for a collection without members, which leaves the keyspace. A string is never empty in this
            /// sense, nor is a stream.
            pub fn is_empty(&self) -> bool {
                match self {
                    Self::String(_) => false,
                    $($(#[$attribute])* Self::$name(value) => Collection::is_empty(value),)*
                }
            }
        }

        $(
            $(#[$attribute])*
            impl From<$structure> for Value {
                fn from(value: $structure) -> Self {
                    Self::$name(value)
                }
            }

            $(#[$attribute])*
            impl Boxed for $structure {
                #[inline]
                fn of(value: &Value) -> Option<&Self> {
                    if let Value::$name(value) = value { Some(value) } else { None }
                }

                #[inline]
                fn of_mut(value: &mut Value) -> Option<&mut Self> {
                    if let Value::$name(value) = value { Some(value) } else { None }
                }
            }
        )*

        impl Value {
            /// The boxed form of a small collection that lives inside a record.
            pub fn from_packed(code: TypeCode, bytes: &[u8]) -> Self {
                $(
                    $(#[$attribute])*
                    if code == <$structure>::TYPE {
                        return <$structure>::from_inline(bytes.to_vec()).into();
                    }
                )*
                unreachable!("no {} of {} bytes lives inside a record", code.name(), bytes.len())
            }
        }

        /// What OBJECT ENCODING answers for a small collection inside its record.
        pub(crate) fn packed_encoding_name(code: TypeCode, bytes: &[u8]) -> &'static str {
            $(
                $(#[$attribute])*
                if code == <$structure>::TYPE {
                    return <$structure>::encoding_name(<$structure>::inline_view(bytes));
                }
            )*
            unreachable!("no {} of {} bytes lives inside a record", code.name(), bytes.len())
        }
    };
}

/// The key holds a value of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongType;

/// A structure that is a variant of [`Value`].
pub trait Boxed: Into<Value> {
    /// The structure, if the value is of this type.
    fn of(value: &Value) -> Option<&Self>;

    /// The same, to change it.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
}

const _: () = assert!(size_of::<Value>() <= 32, "a boxed value takes a small size class");

values! {
    List(crate::types::list::List),
    Zset(crate::types::zset::Zset),
    Set(crate::types::set::Set),
    Hash(crate::types::hash::Hash),
    #[cfg(test)]
    Probe(crate::types::collection::probe::Probe),
    Stream(Stream),
    RateLimit(crate::types::ratelimit::RateLimit),
    Counter(crate::types::counter::Counter),
    Sequence(crate::types::sequence::Sequence),
    Uniq(crate::types::uniq::Uniq),
    Bloom(crate::types::bloom::Bloom),
    Cuckoo(crate::types::cuckoo::Cuckoo),
    Cms(crate::types::cms::Cms),
    TopK(crate::types::topk::TopK),
    TDigest(crate::types::tdigest::TDigest),
    Breaker(crate::types::breaker::Breaker),
    Cache(crate::types::cache::Cache),
    Lock(crate::types::lock::Lock),
    Idem(crate::types::idem::Idem),
    Queue(crate::types::queue::XQueue),
}
