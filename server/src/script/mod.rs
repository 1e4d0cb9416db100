//! Scripts: the engine that runs them, apart from the commands that ask it to.
//!
//! The interpreter is `tidegate-lua`. Each thread has its own, and what a script leaves in it cannot be seen by the next:
//! every table that outlives a script is read-only.

pub mod functions;
pub mod libs;
