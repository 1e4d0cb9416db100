//! Client connections: listening, reading, decoding, writing.

mod backlog;
pub mod conn;
pub mod decode;
pub mod late;
pub mod listen;
pub mod reactor;
pub mod stream;
