//! The data structures behind the values, one file or folder per type: structure, codec and property tests only.

pub mod bits;
pub mod collection;
pub mod encodings;
pub mod geo;
pub mod hash;
pub mod hll;
pub mod list;
pub mod members;
pub mod packed;
pub mod sample;
pub mod set;
pub mod stream;
pub mod string;
pub mod zset;
