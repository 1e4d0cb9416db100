//! Bytes of a client connection: request decoding and the quoting rules of inline requests.

pub mod decode;
pub mod quote;
