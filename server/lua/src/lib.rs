//! Lua 5.1, as scripts of Redis expect it, and a safe way to it.
//!
//! `core` holds Lua 5.1.5 with the changes listed in `core/CHANGES.md`: read-only tables, text only (no bytecode is
//! loaded), no files, the known memory errors mended, and bounds on what runs for long inside one library function.
//!
//! * [`State`]: one interpreter: compiles scripts, runs them within limits.
//! * [`Frame`]: the values of a running function: how Rust functions get their arguments and give their results.
//! * [`bytecode`]: what a script was compiled to.
//! * [`Host`]: what a running script may ask of the program around it. [`Fault`]: errors that functions raise.
//!
//! # How Rust functions and Lua errors go together
//!
//! The core raises errors by `longjmp`. A Rust function never calls anything that may raise one: it gives a [`Fault`]
//! back, and the few lines that called it raise it when nothing with a destructor is left (`call.rs`). That holds as
//! long as every operation of [`Frame`] checks what the core does not: types, indices, room on the stack, read-only
//! tables. Running out of memory is the one error that any operation could raise; `heap.rs` says why none does.
#![expect(unsafe_code, reason = "the core is written in C")]

pub mod bytecode;
mod call;
mod fault;
mod ffi;
mod frame;
mod heap;
mod host;
mod slots;
mod state;
mod values;

pub use fault::Fault;
pub use frame::{Argument, Frame, Function, Kind, Place};
pub use host::{Host, Stop};
pub use state::{Compiled, Failure, State};
