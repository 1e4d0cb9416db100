//! Types of our own: what Redis keeps as values of modules. One line per type at the end of this file.
//!
//! In files and payloads each is a value of a module: nine characters name the type, and its parts are one string, whose
//! form is the type's business ([`Native::save`], [`Native::load`]).

use super::collection::Collection;
use crate::keyspace::{Record, ValueRef};
use crate::rdb::Error;
use crate::value::{Boxed, TypeCode, Value};

/// Tokens are less: a double of a client's language holds them exactly.
pub const TOKEN_END: i64 = 1 << 53;

/// A key whose value ends by the native clock is deleted by the time of day, which is ahead of that by less.
pub const LINGER_MS: i64 = 1000;

/// A type of our own.
pub trait Native: Collection {
    /// What files call it.
    const MODULE: &'static [u8; 9];

    /// The version of the form that [`save`](Self::save) writes, from 1 on. All earlier ones are read.
    const VERSION: u32 = 1;

    /// Appends the form that files have. Integers are little endian. O(size).
    fn save(view: Self::Ref<'_>, payload: &mut Vec<u8>);

    /// The value of this form, which anybody may have written: nothing is allocated by a length that was not checked. O(size).
    ///
    /// # Errors
    /// It is not such a form.
    fn load(payload: &[u8], version: u32) -> Result<Self, Error>;

    /// The largest token it has: none that is given out later may be less. O(size).
    fn token_max(_: Self::Ref<'_>) -> i64 {
        0
    }

    /// False if `COPY` finds nothing that could be copied.
    fn is_copied(_: Self::Ref<'_>) -> bool {
        true
    }

    /// When a key that is restored without deadline may go, Unix milliseconds: a value of leases ends with these. O(size).
    fn deadline_ms(_: Self::Ref<'_>) -> Option<i64> {
        None
    }
}

macro_rules! natives {
    ($($name:ident($structure:ty)),* $(,)?) => {
        /// A value of a type of our own, for reading.
        #[derive(Clone, Copy)]
        pub enum NativeRef<'a> {
            $($name(<$structure as Collection>::Ref<'a>),)*
        }

        impl<'a> NativeRef<'a> {
            /// A small one, inside its record.
            pub(crate) fn of_packed(code: TypeCode, bytes: &'a [u8]) -> Self {
                $(
                    if code == <$structure>::TYPE {
                        return NativeRef::$name(<$structure>::inline_view(bytes));
                    }
                )*
                unreachable!("no {} lives inside a record", code.name())
            }

            /// A boxed one.
            pub(crate) fn of_boxed(value: &'a Value) -> Self {
                $(
                    if let Some(value) = <$structure>::of(value) {
                        return NativeRef::$name(value.view());
                    }
                )*
                unreachable!("a {} is no type of our own", value.type_code().name())
            }

            /// The value, if it is of a type of our own.
            pub fn of(value: ValueRef<'a>) -> Option<Self> {
                match value {
                    ValueRef::Packed { code, bytes } if is_native(code) => Some(Self::of_packed(code, bytes)),
                    ValueRef::Boxed(value) if is_native(value.type_code()) => Some(Self::of_boxed(value)),
                    _ => None,
                }
            }

            /// What files call its type.
            pub fn module(self) -> &'static [u8; 9] {
                match self {
                    $(NativeRef::$name(_) => <$structure>::MODULE,)*
                }
            }

            /// The version of its form in files.
            pub fn version(self) -> u32 {
                match self {
                    $(NativeRef::$name(_) => <$structure>::VERSION,)*
                }
            }

            /// The largest token it has; 0 for none. O(size).
            pub fn token_max(self) -> i64 {
                match self {
                    $(NativeRef::$name(view) => <$structure>::token_max(view),)*
                }
            }

            /// When a key that is restored without deadline may go, Unix milliseconds. O(size).
            pub fn deadline_ms(self) -> Option<i64> {
                match self {
                    $(NativeRef::$name(view) => <$structure>::deadline_ms(view),)*
                }
            }

            /// False if `COPY` finds nothing that could be copied.
            pub fn is_copied(self) -> bool {
                match self {
                    $(NativeRef::$name(view) => <$structure>::is_copied(view),)*
                }
            }

            /// Appends the form that files have. O(size).
            pub fn save(self, payload: &mut Vec<u8>) {
                match self {
                    $(NativeRef::$name(view) => <$structure>::save(view, payload),)*
                }
            }
        }

        /// True for the types of our own.
        pub const fn is_native(code: TypeCode) -> bool {
            match code {
                $(<$structure>::TYPE => true,)*
                _ => false,
            }
        }

        /// The latest version of the form of the type with this name; `None` if it is not one of ours.
        pub(crate) fn version_of(module: &str) -> Option<u32> {
            $(
                if module.as_bytes() == <$structure>::MODULE {
                    return Some(<$structure>::VERSION);
                }
            )*
            None
        }

        /// The value that this form says, under `key`.
        pub(crate) fn load(
            module: &str,
            version: u32,
            payload: &[u8],
            key: &[u8],
            expiry_ms: Option<i64>,
        ) -> Result<Record, Error> {
            $(
                if module.as_bytes() == <$structure>::MODULE {
                    let value = <$structure>::load(payload, version)?;
                    return Ok(Record::new_collection(key, value, expiry_ms));
                }
            )*
            Err(Error::Module(module.into()))
        }
    };
}

natives! {
    RateLimit(super::ratelimit::RateLimit),
    Counter(super::counter::Counter),
    Sequence(super::sequence::Sequence),
    Uniq(super::uniq::Uniq),
    Bloom(super::bloom::Bloom),
    Cuckoo(super::cuckoo::Cuckoo),
    Cms(super::cms::Cms),
    TopK(super::topk::TopK),
    TDigest(super::tdigest::TDigest),
    Breaker(super::breaker::Breaker),
    Cache(super::cache::Cache),
    Lock(super::lock::Lock),
    Idem(super::idem::Idem),
    Queue(super::queue::XQueue),
}
