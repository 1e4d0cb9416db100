//! RDB files: the data set as a whole, as Redis keeps it on disk.
//!
//! ```text
//! "REDIS" <version: four digits>
//! (<opcode> ...)*                            auxiliary fields, functions, databases, keys
//! ff <CRC-64 of all before, or 0>            the sum since version 5
//! ```
//!
//! Values are [`tidegate_data::rdb`]'s business; here it is what is around them. [`Loader`] reads every version of Redis
//! and Valkey that is known, [`save`] writes what Redis 7.0 reads (version 10) unless a value needs more: 12 for deadlines
//! of fields (Redis 7.4), [`VERSION_OWN`](tidegate_data::rdb::VERSION_OWN) for what only Tidegate has. Others refuse that
//! by its number, before they touch their data.

mod chunk;
mod part;
mod read;
mod save;
#[cfg(test)]
mod tests;

pub use chunk::{Chunk, ChunkWriter, put_large};
pub use part::Part;
pub use read::{Entry, Found, LoadError, Loader, Note};
pub use save::{Header, SaveError, Saver, put_in_place, save, temporary};

/// Opcodes, which count downwards where the encodings of values count upwards.
mod opcode {
    pub(super) const EOF: u8 = 255;
    pub(super) const SELECT_DB: u8 = 254;
    /// Seconds, four bytes.
    pub(super) const EXPIRE_TIME: u8 = 253;
    /// Milliseconds, eight bytes.
    pub(super) const EXPIRE_TIME_MS: u8 = 252;
    /// Keys of the database, and keys with a deadline.
    pub(super) const RESIZE_DB: u8 = 251;
    /// Name and value.
    pub(super) const AUX: u8 = 250;
    /// The LFU counter of the next key.
    pub(super) const FREQ: u8 = 249;
    /// Seconds since the next key was used.
    pub(super) const IDLE: u8 = 248;
    pub(super) const MODULE_AUX: u8 = 247;
    /// A library of functions, as release candidates of Redis 7.0 wrote it.
    pub(super) const FUNCTION_OF_CANDIDATES: u8 = 246;
    /// A library of functions.
    pub(super) const FUNCTION_2: u8 = 245;
    /// Slot, keys, keys with a deadline.
    pub(super) const SLOT_INFO: u8 = 244;
    /// Of Valkey 9: name of 40 bytes, ranges of slots. Redis 8.6 means something else by it.
    pub(super) const SLOT_IMPORT: u8 = 243;
    /// The lowest one that anybody uses.
    pub(super) const LOWEST: u8 = 240;
}
