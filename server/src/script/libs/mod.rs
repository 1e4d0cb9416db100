//! The libraries that scripts find besides Lua's own.
//!
//! A library is a table of functions over the values of a [`Frame`]. They are written in Rust, so that hostile input can
//! at most raise an error. Nothing in them recurses by what a script or its input says, nothing is allocated by a length that
//! stands in the input, and what they build counts against the memory a script may use. Names, results, number formats,
//! limits and error texts are those of Redis 7.0: what scripts stored outlives the server that ran them.
#![expect(
    clippy::float_cmp,
    reason = "whether a double is exactly an integer or a float decides how it is written"
)]

mod arguments;
mod bit;
mod cjson;
mod cmsgpack;
mod output;
mod structs;

use tidegate_lua::{Fault, Frame, Function};

/// The stack slots Lua 5.1 gives one function. How deep data may be nested, and how many values one call may return,
/// follows from it.
const SLOTS_MAX: usize = 8000;

/// Completes the table on top of a frame.
pub type Finish = fn(&mut Frame<'_>) -> Result<(), Fault>;

/// A library: the global variable it is found under, and its functions by name.
#[derive(Debug)]
pub struct Library {
    /// The global variable.
    pub name: &'static str,
    /// Its functions.
    pub functions: &'static [(&'static str, Function)],
    /// Adds what is not a function: constants, and what the functions remember.
    pub finish: Option<Finish>,
}

/// Every library.
pub static ALL: &[&Library] = &[&bit::LIBRARY, &cjson::LIBRARY, &cmsgpack::LIBRARY, &structs::LIBRARY];

/// Makes all libraries global variables. The frame is empty before and after.
pub fn open(frame: &mut Frame<'_>) -> Result<(), Fault> {
    frame.push_globals()?;
    for library in ALL {
        frame.push_table(0, library.functions.len())?;
        for (name, function) in library.functions {
            frame.push_function(*function)?;
            frame.raw_set_field(2, name)?;
        }
        if let Some(finish) = library.finish {
            finish(frame)?;
        }
        frame.raw_set_field(1, library.name)?;
    }
    frame.truncate(0);
    Ok(())
}

#[cfg(test)]
mod tests;
