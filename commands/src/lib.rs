//! What the user of Tidegate calls: the model of a command, and the families of commands.
//!
//! # Where things are
//!
//! * [`model`]: what a command *is*: its declaration ([`model::Command`]), where its keys are ([`model::KeySpec`]), its
//!   arguments, reply and errors, and what it did ([`model::Outcome`]). [`model::check`] runs handlers without a server.
//! * [`families`]: one file or folder per family, and the one list of all families. A command is one block: name, syntax,
//!   handler, documentation, arity, keys, flags, with its tests beside it.
//!
//! # Invariants
//!
//! * A handler is a plain `fn` over [`tidegate_data`], never `async`: no sockets, threads, files or clocks but that of
//!   [`model::Env`].
//! * No handler names a shard, thread, channel, journal or session; this crate does not depend on the server.
//! * Only [`model::Reply`] writes RESP2 and RESP3 differently.
//! * A handler that changed something says so, and one that read the clock or the random source names its effects. Debug
//!   builds check both.
//! * A handler reaches the keys its command declares and no others, but for commands that declare the whole keyspace.

pub mod families;
pub mod model;
