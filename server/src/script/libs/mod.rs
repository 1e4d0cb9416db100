//! The libraries that scripts find besides Lua's own.
//!
//! A library is a table of functions over the values of a [`Frame`]. They are written in Rust, so that hostile input can
//! at most raise an error.

use tidegate_lua::{Fault, Frame, Function};

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
pub static ALL: &[&Library] = &[];

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
mod tests {
    use super::*;
    use tidegate_lua::State;

    #[test]
    fn libraries_are_found_by_their_names() {
        let mut state = State::new(1 << 20);
        state.with(open).unwrap();
        state
            .with(|frame| {
                frame.push_globals()?;
                for library in ALL {
                    frame.raw_field(1, library.name)?;
                    assert_eq!(frame.kind(-1), tidegate_lua::Kind::Table, "{}", library.name);
                    frame.truncate(1);
                }
                Ok(())
            })
            .unwrap();
    }
}
