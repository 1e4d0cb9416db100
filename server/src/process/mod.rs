//! The process around the server: command line, log, daemon, limits and warnings. It knows the configuration but
//! not what the server does with it.

pub mod title;
