//! Integration tests against the real binary, one file per family. They state what Redis 7.0.15 does, so all of them
//! also pass with `TIDEGATE_BIN=/usr/bin/redis-server`.
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "all transcripts look alike, with quotes in them or not"
)]

mod admin;
mod append;
mod background;
mod bitmaps;
mod blocking;
mod caches;
mod clients;
mod command;
mod connection;
mod dump;
mod functions;
mod generic;
mod geo;
mod hashes;
mod help;
mod hyperloglogs;
mod interop;
mod keyspace_events;
mod lists;
mod loading;
mod migrate;
mod notify_stream;
mod observe;
mod protocol;
mod pubsub;
mod pushback;
mod reclaim;
mod refused;
mod sandbox;
mod scripts;
mod server;
mod sets;
mod snapshot;
mod sort;
mod streams;
mod strings;
mod tracking;
mod transactions;
mod transcript;
mod wrong_type;
mod zsets;
