//! Client connections: listening, reading, decoding, writing.

pub mod conn;
pub mod decode;
pub mod listen;
pub mod quote;
pub mod reactor;
pub mod stream;
