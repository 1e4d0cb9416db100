//! What the user of Tidegate calls: the model of a command, and the families of commands.
//!
//! Handlers are plain functions over [`tidegate_data`]: no sockets, threads, files or clocks.

pub mod families;
pub mod model;
