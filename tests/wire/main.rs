//! Integration tests against the real binary, one file per family. They state what Redis 7.0.15 does, so all of them
//! also pass with `TIDEGATE_BIN=/usr/bin/redis-server`.
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "all transcripts look alike, with quotes in them or not"
)]

mod acl;
mod admin;
mod append;
mod audit;
mod background;
mod bitmaps;
mod blocking;
mod caches;
mod client_memory;
mod clients;
mod command;
mod connection;
mod dump;
mod eviction;
mod functions;
mod generic;
mod geo;
mod hashes;
mod help;
mod hostile;
mod hyperloglogs;
mod interop;
mod keyspace_events;
mod lists;
mod loading;
mod metrics;
mod migrate;
mod native;
mod notify_stream;
mod observe;
mod protocol;
mod pubsub;
mod pushback;
mod quotas;
mod reclaim;
mod refused;
mod sandbox;
mod scripts;
mod secrets;
mod server;
mod sets;
mod sketches;
mod snapshot;
mod sort;
mod streams;
mod strings;
mod supervised;
mod tls;
mod tracking;
mod transactions;
mod transcript;
mod wrong_type;
mod zsets;
