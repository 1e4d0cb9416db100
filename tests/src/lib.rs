//! Shared parts of the proof harnesses: starting servers on free ports ([`server`]), talking raw RESP ([`resp`]),
//! reproducible randomness ([`random`]), and the differential oracle ([`oracle`]) which runs the same commands on
//! Tidegate and on a real Redis and compares everything it can see.

pub mod clock;
pub mod ledger;
pub mod oracle;
pub mod random;
pub mod resp;
pub mod server;
pub mod twin;
