//! Scripts: the engine that runs them, apart from the commands that ask it to.
//!
//! The interpreter is `tidegate-lua`. Each thread has its own ([`Engine`]), and what a script leaves in it cannot be seen
//! by the next: every table that outlives a script is read-only. The texts of scripts ([`Scripts`]) are one set for all
//! threads. A run ([`run`]) takes the shards it needs as it goes, and releases them together.

mod api;
pub mod attend;
mod busy;
mod cache;
mod convert;
mod engine;
pub mod functions;
pub mod libs;
mod reach;
mod run;
mod shebang;

pub use busy::{Busy, Kind, Running};
pub use cache::{Script, Scripts, Sha, parse_sha, sha_of};
pub use engine::{Engine, Verdict};
pub use run::{Code, Invocation};
pub use shebang::{Permits, Shebang};
