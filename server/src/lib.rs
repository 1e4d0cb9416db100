//! The server.

pub mod config;
pub mod net;
pub mod process;
pub mod version;
