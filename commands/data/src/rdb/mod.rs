//! Redis' serialisation of values: what `DUMP` answers, `RESTORE` takes, and an RDB file holds.
//!
//! Decoding reads every encoding that Redis from 1.0 to 8.x and Valkey have written, and encoding writes only what every
//! Redis from 7.0 on reads. Nothing here knows files: bytes come from a [`Source`] and go to an [`Output`]; whole files are
//! the persistence crate's.
//!
//! # Hostile input
//!
//! The bytes may come from anybody. Every length is compared with what is left of the input before anything is allocated
//! or skipped, foreign blobs are walked element by element and rebuilt as our own structures (never adopted), and
//! whatever does not fit is an [`Error`]: nothing panics, whatever the bytes.
//!
//! # Files
//!
//! * `read`, `write`: lengths, strings, numbers; where bytes come from and go to.
//! * `lzf`: the compression of strings. `checksum`: CRC-64.
//! * `blob`: the packed encodings: listpack, ziplist, zipmap, intset.
//! * `code`: the numbers of the encodings. `decode`: each of them, element by element;
//!   `skip`: where they end; `module`: what can be said of modules' values.
//! * `load`, `save`: from them to our own records, and back; `stream`: both for streams. `payload`: `DUMP` and `RESTORE`.
//! * `library`: functions as a release candidate wrote them.

mod checksum;

mod library;
mod load;
mod lzf;
mod payload;
mod read;
mod save;
mod skip;
mod stream;
mod write;

pub mod blob;
pub mod code;
pub mod decode;
pub mod module;

pub use checksum::Checksum;
pub use code::Dialect;
pub use library::library_of_candidate;
pub use load::{Rules, load};
pub use payload::{PayloadError, VERSION_OWN, dump, is_known_version, restore, version_of};
pub use read::{Reader, Source};
pub use save::{encoding_of, save};
pub use skip::skip;
pub use write::{Output, Writer};

use std::fmt;

/// Why bytes are no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// They end too early.
    Truncated,
    /// They contradict themselves, or the format.
    Corrupt(&'static str),
    /// A collection without elements. Redis never writes one on purpose, and skips those that old bugs left in files.
    Empty,
    /// An encoding that is not known here.
    UnknownType(u8),
    /// The value of a module, by the name of its type.
    Module(Box<str>),
    /// A value of a type of our own, in a version of its form that a later server wrote.
    NativeVersion(u32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated => f.write_str("unexpected end of the data"),
            Error::Corrupt(what) => f.write_str(what),
            Error::Empty => f.write_str("a collection without elements"),
            Error::UnknownType(code) => write!(f, "Unknown RDB encoding type {code}"),
            Error::Module(name) => {
                write!(f, "The RDB file contains module data I can't load: no matching module type '{name}'")
            }
            Error::NativeVersion(version) => write!(f, "native payload version {version} is not supported"),
        }
    }
}

impl std::error::Error for Error {}
