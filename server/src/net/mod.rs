//! Client connections: listening, reading, decoding, writing.

pub mod conn;
pub mod decode;
pub mod late;
pub mod listen;
pub mod reactor;
pub mod stream;
